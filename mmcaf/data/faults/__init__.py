"""Faults of real collections, for synthetic ones."""
