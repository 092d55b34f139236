"""Figures with intervals, tests and curves from labels and scores; imports nothing else of ours."""
