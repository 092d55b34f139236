"""A study with a cohort beside it, written file by file, nothing trained: for reports."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mmcaf.files.atomic import write_json
from mmstudy.storage.parquet import write_rows
from mmstudy.storage.schema import TRIALS, State, TrialRow
from mmstudy.study import Study, open_study
from support.made_study import NOW, made_study

__all__ = ["HOST", "REASON", "UIDS", "add_failure", "cohort_of", "reported_study"]

UIDS = "1.3.6.1.4.1.14519.5.2.1.6655.2359"
HOST = "node17"
REASON = (
    f"error: <script>alert(1)</script> c003 of A0003, /data/secret/A0003/{UIDS}.7.dcm and "
    rf"C:\data\x.dcm and studies/of/mine, on {HOST}, 2026-01-31T10:20:30, StudyDate 20260131"
)
_DIGEST = "00112233aabbccdd"


def reported_study(
    root: Path, *, patients: int = 60, folds: int = 3, trials: int = 2, **changes: Any
) -> Study:
    """A third of the patients is squamous; the last tenth is set aside; a trial failed of `REASON`.

    Vendors: A for the even, none for the last five, B for others.
    """
    random = np.random.default_rng(0)
    searched = patients - patients // 10
    labels = (np.arange(patients) // folds % 3 == 0).astype(np.int64)  # both in each
    inside = labels[:searched]
    shift = np.arange(searched) % folds
    scores = [
        1 / (1 + np.exp(-(random.normal(size=searched) + skill * inside + shift)))
        for skill in np.linspace(1.0, 2.0, trials)
    ]
    study = made_study(root, inside, scores, folds=folds, **changes)
    names = [f"c{i:03d}" for i in range(patients)]
    cohort_of(root / "cohort", names, labels)
    path = study.folder.study
    about = json.loads(path.read_text())
    about["split"]["test"] = names[searched:]
    about |= {"n_cases": patients, "cohort": "../cohort", "cohort_digest": _DIGEST}
    write_json(path, about)
    add_failure(study, trials)
    return open_study(study.folder.root)


def add_failure(study: Study, number: int, reason: str = REASON) -> None:
    """As if trial `number` had failed of `reason`."""
    row = TrialRow(
        number=number,
        state=State.FAIL,
        params="{}",
        seed=7,
        attempts=1,
        started=NOW,
        reason=reason,
        host=HOST,
        hardware="NVIDIA RTX A4000",
        code_version="0123456789ab",
        versions='{"mmcaf-study": "0.2.0", "torch": "2.5.1"}',
    )
    write_rows(study.folder.trial(number), TRIALS, [row.as_dict()])


def cohort_of(folder: Path, names: list[str], labels: Any, **columns: Any) -> pl.DataFrame:
    """Write a cohort without volumes into `folder`; `columns` replace those made here."""
    n = len(names)
    at = np.arange(n)
    rows = pl.DataFrame(
        {
            "patient_id": [f"{'GA'[k % 2]}{i:04d}" for i, k in zip(at, labels, strict=True)],
            "group_id": [f"A{i:04d}" for i in at],
            "case": names,
            "volume": names,
            "class": ["AG"[k] for k in labels],
            "label": pl.Series(labels, dtype=pl.Int8),
            "series_uid": [f"{UIDS}.{i}" for i in at],
            "study_uid": [f"{UIDS}.9.{i}" for i in at],
            "synthetic": np.zeros(n, bool),
            "n_slices": 20 + at,
            "z_first_lesion": np.full(n, 3),
            "z_last_lesion": np.full(n, 5),
            "sex": pl.Series(at % 3 - 1, dtype=pl.Int8),
            "smoker": pl.Series(at % 2, dtype=pl.Int8),
            "miss_row": np.zeros(n, bool),
            "miss_age": at < 7,
            "miss_weight": np.zeros(n, bool),
            "spacing_x_mm": np.full(n, 0.7),
            "spacing_y_mm": np.full(n, 0.7),
            "spacing_z_mm": 1.0 + at % 3,
            "age_years": [None if i < 7 else 40.0 + i for i in at],
            "weight_kg": 50.0 + at,
            "t_ord": (at % 8).astype(float),
            "n_ord": (at % 4).astype(float),
            "m_ord": (at % 2).astype(float),
            "vendor": [None if i >= n - 5 else "AB"[i % 2] for i in at],
            "kernel": [f"K{i % 9}" for i in at],
            "max_diam_mm": 5.0 + at,
            "long_side_mm": 5.0 + at,
        }
        | columns
    )
    folder.mkdir(parents=True)
    rows.write_parquet(folder / "cohort.parquet")
    table = hashlib.sha256((folder / "cohort.parquet").read_bytes()).hexdigest()
    state = {"schema_version": 2, "digest": _DIGEST, "table_sha256": table, "in_plane_px": 64}
    write_json(folder / "cohort.json", state | {"synthetic": bool(rows["synthetic"].any())})
    excluded = [("B0001", "E_OTHER_CLASS"), ("E0002", "E_OTHER_CLASS"), ("A0999", "E_NO_IMAGES")]
    report = {
        "digest": _DIGEST,
        "patients": n,
        "excluded": [{"patient_id": who, "reason": why, "files": 1} for who, why in excluded],
        "unknown_ids": {"files": 4, "studies": 1},
        "codes": {"E_OTHER_CLASS": "neither adenocarcinoma nor squamous carcinoma"},
    }
    write_json(folder / "ingest_report.json", report)
    return rows
