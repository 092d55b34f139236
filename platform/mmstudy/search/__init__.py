"""Which trial is next: the only importer of Optuna."""
