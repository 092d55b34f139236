"""Tables and sentences as text, in five formats."""
