"""The command `mmstudy`, one module per theme; heavy imports stay inside its functions."""
