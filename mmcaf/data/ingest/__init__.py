"""A download on disk becomes a cohort: DICOM, annotations and sheet to one row per patient."""
