"""What stored values mean, and whether they can be those of a chest and of neighbours."""
