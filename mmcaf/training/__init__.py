"""From batches to trained weights: the loop, its stages, frozen features and simple baselines."""
