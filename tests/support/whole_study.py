"""A study of which every chart can be drawn: confirmed, explained and weighed; nothing trained."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mmcaf.files.atomic import write_json
from mmstudy.storage.explanations import (
    Attribute,
    Curve,
    ExplainedCase,
    Explanations,
    Shap,
    save_index,
)
from mmstudy.storage.schema import CONFIRMATIONS
from mmstudy.study import Study, open_study
from support.dashboard_studies import large_study

__all__ = ["EXPLAINED", "whole_study"]

EXPLAINED = "c003"  # the case that was explained, of the best trial


def whole_study(root: Path, name: str = "whole", trials: int = 12) -> Study:
    """Two folds, five epochs; the best trial is confirmed by two runs."""
    study = open_study(large_study(root, name, trials=trials, epochs=5, folds=2).root)
    best = int(study.trials()["number"][0])
    for run in range(2):
        study.folder.add_rows(study.folder.confirmation(best, run), CONFIRMATIONS, _run(best, run))
    save_index(study.folder, _explanations(best))
    rows = [
        {"setting": "train.lr", "fanova": 0.7, "ped_anova": 0.6, "n": 40},
        {"setting": "train.momentum", "fanova": 0.2, "ped_anova": None, "n": 40},
    ]
    write_json(study.folder.importance, {"complete": 40, "rows": rows})
    return study


def _run(number: int, run: int) -> list[dict[str, Any]]:
    fixed = {"number": number, "run": run, "epoch": 4, "seed": run, "n_train": 20, "n_val": 20}
    fixed |= {"seconds": 1.0, "written": datetime(2026, 1, 1, tzinfo=UTC)}
    return [fixed | {"fold": fold, "auroc": 0.6 + run / 10 + fold / 20} for fold in range(2)]


def _explanations(number: int) -> Explanations:
    values = (Attribute("age", "60 to 64", 0.4, (0.1, 0.3)), Attribute("sex", "M", -0.7, (0.2,)))
    case = ExplainedCase(
        case=EXPLAINED,
        chosen="most sure",
        fold=1,
        label="squamous",
        says="squamous",
        probability=0.8,
        stored_probability=0.8,
        cam=None,
        shap=Shap(base=0.1, logit=-0.2, error=0.0, n_background=20, attributes=values),
        sanity=(),
        cells=0,
        made_of="nothing",
    )
    curve = Curve(
        fold=0,
        attribute="Age",
        unit="years",
        x=(50.0, 70.0),
        outputs=(),
        size=(),
        logit=(-0.5, 0.5),
        n_cases=1,
        quantiles=(),
        n_train=20,
    )
    return Explanations(
        schema_version=1,
        number=number,
        epoch=4,
        synthetic=True,
        oracle=False,
        code_version="made",
        cases=(case,),
        curves=(curve,),
        sanity=(),
    )
