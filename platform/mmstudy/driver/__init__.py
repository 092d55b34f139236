"""A study from its plan to its end: who decides, who runs, what it will cost."""
