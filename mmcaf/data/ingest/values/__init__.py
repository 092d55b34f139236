"""What stored values mean: compressed, kept as integers, turned into Hounsfield units."""
