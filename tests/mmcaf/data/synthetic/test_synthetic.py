"""Synthetic cohorts: what is planted is measured, traps catch a careless loader, a null is null."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from scipy.stats import spearmanr

from mmcaf.data.ingest.report import confound_probe
from mmcaf.data.ingest.run import ingest
from mmcaf.data.splits import Protocol, assign
from mmcaf.data.synthetic.write import SyntheticSpec, Variant, write
from mmcaf.stats.areas import auroc
from mmcaf.stats.regression.logistic import out_of_fold

MEASURED = ("max_diam_mm", "lateral_mm", "lesion_hu", "lesion_n_slices", "z_first_lesion")
CLINICAL = ("sex", "age_years", "weight_kg", "smoker")
LATENTS = ("ln_diameter_mm", "lateral_px", "solidity", "male", "age_years", "weight_kg", "smoker")
FOLDS, REPEATS = 5, 5


@dataclass(frozen=True)
class Made:
    tree: Path
    patients: pl.DataFrame
    truth: pl.DataFrame
    report: dict[str, Any]
    llr: float

    @property
    def labels(self) -> NDArray[np.int64]:
        return self.patients["label"].to_numpy().astype(np.int64)


def made(folder: Path, variant: Variant = "plain", side: int = 48, **spec: Any) -> Made:
    write(folder / "tree", SyntheticSpec(variant=variant, **{"size": side, **spec}))
    found = ingest([folder / "tree"], folder / "cohort", in_plane_px=side)
    cases = json.loads((folder / "tree" / "TRUTH.json").read_text())["cases"]
    truth = pl.DataFrame(cases).sort("patient_id")
    assert truth["patient_id"].equals(found.patients["patient_id"])
    return Made(
        tree=folder / "tree",
        patients=found.patients,
        truth=truth,
        report=json.loads((folder / "cohort" / "ingest_report.json").read_text()),
        llr=auroc(truth["label"], truth["llr_both"]),
    )


def features(rows: pl.DataFrame, hu: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """What ingestion measured, missing values at the median (no class enters it)."""
    rows = rows.with_columns(pl.col("max_diam_mm").log())
    if hu is not None:
        rows = rows.with_columns(lesion_hu=pl.Series(hu))
    columns = [pl.col(name).cast(pl.Float64) for name in (*MEASURED[:3], *CLINICAL)]
    filled = rows.select(column.fill_null(column.median()) for column in columns)
    return filled.to_numpy()


def area(values: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """AUROC of logistic regression, five times five folds, averaged over the repeats."""
    names = [f"{number:04d}" for number in range(len(labels))]
    protocol = Protocol(folds=FOLDS, repeats=REPEATS)
    split = assign(names, labels.tolist(), names, protocol=protocol)
    parts = [np.array([int(case) for case in fold.val]) for fold in split.folds]
    areas = [
        auroc(labels, out_of_fold(values, labels, parts[first : first + FOLDS]))
        for first in range(0, len(parts), FOLDS)
    ]
    return float(np.mean(areas))


@pytest.mark.parametrize("variant", ["hu-trap", "order-trap", "multi-phase"])
def test_a_trap_is_measured_exactly_as_the_plain_cohort(variant: Variant, tmp_path: Path) -> None:
    spec = {"patients": 9, "slices": 12, "seed": 4}
    plain = made(tmp_path / "plain", **spec)
    trap = made(tmp_path / "trap", variant, **spec)
    columns = ["patient_id", *MEASURED, *CLINICAL, "spacing_z_mm"]
    assert trap.patients.select(columns).equals(plain.patients.select(columns))
    if variant != "hu-trap":
        assert sorted(trap.patients["n_phases"])[-3:] == [3, 3, 3]


def acquired(follows: float) -> pl.DataFrame:
    """Patients whose kernel follows the class with this share."""
    random = np.random.default_rng(0)
    labels = (np.arange(80) % 3 == 0).astype(int)
    told = np.where(random.random(80) < follows, labels, 1 - labels)
    names = [f"{'G' if label else 'A'}{n:04d}" for n, label in enumerate(labels)]
    numbers = {name: np.full(80, 5.0) for name in ("spacing_z_mm", "spacing_x_mm", "kvp")}
    return pl.DataFrame(
        {
            "patient_id": names,
            "group_id": names,
            "label": labels,
            "vendor": ["SYNTHETIC"] * 80,
            "model": [None] * 80,
            "kernel": [("B31f", "B70f")[k] for k in told],
            "n_slices": [24] * 80,
            **numbers,
        }
    )


@pytest.mark.parametrize(("follows", "suspect"), [(0.5, False), (0.9, True), (0.1, True)])
def test_the_probe_knows_a_scanner_that_follows_the_class(follows: float, suspect: bool) -> None:
    found = confound_probe(acquired(follows))
    assert found is not None
    assert found["suspect"] == suspect


def test_the_probe_says_nothing_about_a_few_patients() -> None:
    assert confound_probe(acquired(0.9)[:15]) is None


@pytest.mark.slow
def test_the_confounded_cohort_is_suspect_though_its_last_quarter_is_reversed(
    tmp_path: Path,
) -> None:
    spec = {"patients": 120, "slices": 12, "side": 32, "seed": 1}
    found = made(tmp_path, "scanner-confounded", **spec)
    sys.stdout.write(f"\nconfounded: {found.report['confound_probe']}\n")
    assert found.report["confound_probe"]["suspect"]
    shifted = found.truth["shifted"].to_numpy()
    other = found.patients["vendor"].to_numpy() == "SYNTHETIC B"
    adeno = found.labels == 0
    assert (other == adeno)[~shifted].mean() > 0.85
    assert (other == adeno)[shifted].mean() < 0.15


def test_a_variant_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match=r"one of plain, hu-trap, .*got 'ct-trap'"):
        SyntheticSpec(variant="ct-trap")  # type: ignore[arg-type]


def slices_of(of: Made, row: dict[str, Any]) -> list[Path]:
    """Files of the chosen series in the order of their names, as `os.walk` might give them."""
    files = sorted(of.tree.glob(f"manifest-*/*/Lung_Dx-{row['patient_id']}/*/*/*.dcm"))
    wanted = row["series_uid"]
    return [
        p
        for p in files
        if dcmread(p, specific_tags=["SeriesInstanceUID"]).SeriesInstanceUID == wanted
    ]


def careless_hu(of: Made, *, rescale: bool, sort: bool) -> NDArray[np.float64]:
    """Mean of the middle of the boxes as a loader gives it that leaves out a step."""
    found = []
    for row in of.patients.iter_rows(named=True):
        slices = [dcmread(path) for path in slices_of(of, row)]
        if sort:
            slices = [s for s in slices if s.AcquisitionNumber == row["acquisition"]]
            slices.sort(key=lambda s: float(s.ImagePositionPatient[2]))
        planes = [
            s.pixel_array * 1.0 + (float(s.RescaleIntercept) if rescale else 0) for s in slices
        ]
        middle = planes[(row["z_first_lesion"] + row["z_last_lesion"]) // 2]
        side = len(middle)
        x, y = round(row["box_cx"] * side), round(row["box_cy"] * side)
        half = max(1, round(row["max_diam_mm"] / row["spacing_x_mm"] / 5))
        found.append(middle[y - half : y + half + 1, x - half : x + half + 1].mean())
    return np.array(found)


@pytest.mark.slow
def test_what_is_planted_is_measured(tmp_path: Path) -> None:
    spec = {"patients": 240, "slices": 24, "seed": 0, "prevalence": 0.35}
    found = made(tmp_path, side=128, signal_image=1.0, signal_clinical=1.0, **spec)
    true = area(found.truth.select(LATENTS).to_numpy(), found.labels)
    measured = area(features(found.patients), found.labels)
    rank = spearmanr(found.truth["ln_diameter_mm"], found.patients["max_diam_mm"]).statistic
    sys.stdout.write(
        f"\nmeasured {measured:.3f}, latents {true:.3f}, ratio {found.llr:.3f}, rank {rank:.3f}"
    )
    assert abs(measured - true) < 0.05
    assert abs(measured - found.llr) < 0.05
    assert rank >= 0.9


@pytest.mark.slow
def test_a_null_is_a_null(tmp_path: Path) -> None:
    areas, errors = [], []
    for seed in range(10):
        spec = {"patients": 60, "slices": 12, "seed": seed, "side": 32}
        found = made(tmp_path / str(seed), signal_image=0, signal_clinical=0, **spec)
        areas.append(area(features(found.patients), found.labels))
        positive = int(found.labels.sum())
        negative = len(found.labels) - positive
        errors.append((len(found.labels) + 1) / (12 * positive * negative))
    error = float(np.sqrt(np.sum(errors)) / len(areas))
    sys.stdout.write(f"\nnull: mean AUROC {np.mean(areas):.3f}, standard error {error:.3f}")
    assert abs(np.mean(areas) - 0.5) < 3 * error


TRAPPED = {"patients": 60, "slices": 16, "seed": 6, "side": 64, "signal_image": 1.5}


@pytest.fixture(scope="module")
def plain_area(tmp_path_factory: pytest.TempPathFactory) -> float:
    plain = made(tmp_path_factory.mktemp("plain"), **TRAPPED)
    return area(features(plain.patients), plain.labels)


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "left_out"), [("hu-trap", "rescale"), ("order-trap", "sort")])
def test_a_trap_scores_as_the_plain_cohort_unless_the_loader_is_careless(
    variant: Variant, left_out: str, tmp_path: Path, plain_area: float
) -> None:
    trap = made(tmp_path / "trap", variant, **TRAPPED)
    ours = area(features(trap.patients), trap.labels)
    assert ours == plain_area
    careful = careless_hu(trap, rescale=True, sort=True)
    careless = careless_hu(trap, rescale=left_out != "rescale", sort=left_out != "sort")
    solid = trap.truth["solidity"]
    follows = spearmanr(solid, careful).statistic
    lost = spearmanr(solid, careless).statistic
    only = [area(hu[:, None], trap.labels) for hu in (careful, careless)]
    sys.stdout.write(
        f"\n{variant}: ingestion {ours:.3f} as plain; HU alone {only[0]:.3f}, without {left_out} "
        f"{only[1]:.3f}; rank with solidity {follows:.3f}, without {lost:.3f}"
    )
    assert follows > 0.8
    assert lost < follows - 0.3
    assert only[1] < only[0] - 0.05
