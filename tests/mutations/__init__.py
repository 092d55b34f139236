"""Single random edits of headers, of cells of the sheet and of annotations: none may end silently.

What is read of the edited tree must be exact, or flagged, or the patient named; a wrong value
without a word is a fault of ingestion. `tests/mmcaf/data/ingest/test_mutations.py` runs a seeded
sample, and `make soak` the whole. An edit is drawn from its seed and number alone:

python -m mutations headers 17 1042 FOLDER     does it again, says how it ended, and keeps the tree
"""
