"""From DICOM on disk to batches of windows and clinical rows."""
