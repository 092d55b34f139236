"""Tables and sentences as text, in five formats; a study as one page to be signed."""
