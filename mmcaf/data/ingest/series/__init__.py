"""Files to slices, slices to stacks, and which of a patient's stacks is taken, and why."""
