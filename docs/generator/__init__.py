"""What `docs/generate.py` reads from the program, one module per theme; writes no file."""
