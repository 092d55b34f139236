"""Faults of real collections, planted into a synthetic one."""
