"""Every network of the paper on one footing."""
