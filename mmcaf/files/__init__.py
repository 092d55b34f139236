"""Files written whole or not at all, object stores and checkpoints; knows nothing of networks."""
