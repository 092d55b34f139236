"""Pictures of a study's tables as values, and as files; usable in a notebook."""
