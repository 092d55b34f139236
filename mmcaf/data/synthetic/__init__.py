"""Synthetic cohorts whose truth is known, written as DICOM; tied to nothing else."""
