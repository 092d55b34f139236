"""The smallest study that is still a real one: two trials, two folds, two epochs."""

from __future__ import annotations

__all__ = ["TINY_SPEC"]

TINY_SPEC = {
    "question": "Does it run?",
    "protocol": {"kind": "kfold", "folds": 2},
    "data": {"window": [8, 32, 32], "tile_stride": 8},
    "model": {"width": 0.0625, "token_grid": [1, 1, 2], "tabular": "mlp"},
    "train": {"epochs": 2, "optimizer": "adamw"},
    "space": {
        "train.lr": {"float": [1e-4, 1e-2], "log": True},
        "model.pyramid_scales": {"choice": [[3], [2, 3]]},
    },
    "search": {"trials": 2, "startup_trials": 2},
}
