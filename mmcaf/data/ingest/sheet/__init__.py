"""The clinical sheet: from a file to a table, its headers, and what each cell means."""
