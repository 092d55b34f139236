"""Net benefit of a trial: as counted by hand at a threshold, each case once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmstudy.comparison.benefit import net_benefit
from support.made_study import MMCAF_LABELS, MMCAF_SCORES, made_study


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8])
def test_it_is_the_true_less_the_weighed_false(tmp_path: Path, threshold: float) -> None:
    curve = net_benefit(made_study(tmp_path), 0, [threshold])
    called, n = threshold <= MMCAF_SCORES, len(MMCAF_LABELS)
    odds = threshold / (1 - threshold)
    expected = (called & (MMCAF_LABELS == 1)).sum() - odds * (called & (MMCAF_LABELS == 0)).sum()
    assert curve is not None
    assert curve.model == pytest.approx([expected / n])
    everybody = MMCAF_LABELS.sum() - odds * (MMCAF_LABELS == 0).sum()
    assert curve.treat_all == pytest.approx([everybody / n])
    assert curve.low is not None
    assert np.all(curve.low <= curve.model)
