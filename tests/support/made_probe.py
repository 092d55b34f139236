"""A probe as it is stored, of nothing that was trained."""

from __future__ import annotations

from mmstudy.storage.schema import Probe, ProbeRow

__all__ = ["PROBE"]

PROBE = Probe(
    version=1,
    spec="0123456789abcdef",
    cohort_digest="fedcba9876543210",
    epochs=6,
    n=20,
    device="cpu",
    threads=1,
    code_version="made",
    base='{"train.lr": 0.001, "train.momentum": 0.9}',
    rows=(
        ProbeRow(
            setting="train.momentum",
            low="0.0",
            high="0.9",
            moved=0.02,
            by_seed=0.4,
            share=0.05,
            share_low=0.03,
            share_high=0.08,
            steady=0.04,
            steady_low=0.02,
            steady_high=0.06,
            seeds=5,
        ),
        ProbeRow(
            setting="train.lr",
            low="1e-05",
            high="0.1",
            moved=0.9,
            by_seed=0.4,
            share=2.25,
            share_low=1.8,
            share_high=2.9,
            steady=2.0,
            steady_low=1.5,
            steady_high=2.6,
            seeds=5,
        ),
    ),
)
"""A setting that a seed drowns, and one that moves more than a seed."""
