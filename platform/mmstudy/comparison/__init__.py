"""Ours beside what was published, and what may be said of the difference."""
