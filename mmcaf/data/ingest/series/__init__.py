"""Which of a patient's series is taken, why, and how the report shows it."""
