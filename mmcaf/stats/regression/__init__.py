"""Logistic regression of a table: what every network has to beat, and parts of two comparators."""
