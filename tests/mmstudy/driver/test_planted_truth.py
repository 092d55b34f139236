"""What the whole chain learns, against what synthetic data are known to hold."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mmcaf.data.ingest.run import ingest
from mmcaf.data.synthetic.write import SyntheticSpec, write
from mmcaf.stats.areas import auroc
from mmstudy.driver.drive import plan_study, run_study
from mmstudy.driver.inline import InlineRunner
from mmstudy.driver.tally import Standing
from mmstudy.spec.study_spec import parse_spec
from mmstudy.study import open_study
from support.keyed import keyed

pytestmark = pytest.mark.slow

SEEDS = range(5)
COHORTS = range(15)  # as many as make the bound about 0.12
SPEC: dict[str, Any] = {
    "question": "What does one fixed network find?",
    "protocol": {"kind": "kfold", "folds": 3},
    "data": {"window": [12, 48, 48], "tile_stride": 6},
    "model": {"width": 0.0625, "token_grid": [1, 2, 2]},
    "train": {"epochs": 4, "optimizer": "adamw", "lr": 3e-3},
    "search": {"trials": 1},
}


@dataclass(frozen=True)
class Found:
    """The last epoch's AUROC over the folds, and what the cohort itself allows."""

    auroc: float
    null_error: float  # of `auroc` if scores say nothing: at most this standard error
    clinical: float  # AUROC of the cohort's own clinical likelihood ratio


def studied(folder: Path, *, seed: int, signal_clinical: float) -> Found:
    """A cohort without any signal in its images, and one fixed network trained on it."""
    made = SyntheticSpec(
        patients=48,
        size=96,
        slices=20,
        signal_image=0,
        signal_clinical=signal_clinical,
        seed=seed,
    )
    write(folder / "dicom", made)
    cohort = ingest([folder / "dicom"], keyed(folder / "cohort"), in_plane_px=96)
    plan = plan_study(parse_spec(SPEC), cohort=cohort.folder, root=folder, name="s")
    run_study(plan, InlineRunner(), notify=ignore, progress=lambda *_: None)
    last = open_study(folder / "s").metrics(0).filter(pl.col("epoch") == 3)
    positive = last["n_val_positive"].to_numpy()
    negative = last["n_val"].to_numpy() - positive
    variance = (positive + negative + 1) / (12 * positive * negative)  # of the rank sum
    truth = json.loads((folder / "dicom" / "TRUTH.json").read_text())["cases"]
    return Found(
        auroc=float(last["auroc"].mean()),  # type: ignore[arg-type]
        # Folds share most of their training patients, so their AUROCs rise and fall together:
        # the mean of three is hardly surer than one.
        null_error=float(np.sqrt(variance.mean())),
        clinical=auroc(
            np.array([case["label"] for case in truth]),
            np.array([case["llr_clinical"] for case in truth]),
        ),
    )


def ignore(_: Standing) -> None:
    """Nobody watches."""


def test_nothing_is_found_where_there_is_nothing(tmp_path: Path) -> None:
    found = [studied(tmp_path / str(seed), seed=seed, signal_clinical=0) for seed in COHORTS]
    mean = np.mean([one.auroc for one in found])
    error = np.sqrt(sum(one.null_error**2 for one in found)) / len(found)
    assert abs(mean - 0.5) < 3 * error, f"AUROC {mean:.3f}, standard error {error:.3f}"


@pytest.mark.parametrize("seed", SEEDS)
def test_images_that_say_nothing_add_nothing_to_the_clinical_row(tmp_path: Path, seed: int) -> None:
    found = studied(tmp_path, seed=seed, signal_clinical=1)
    assert found.auroc < found.clinical + 2 * found.null_error, found
