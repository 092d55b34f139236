"""Which searched settings the value depends on, with the number of trials that say so."""

from __future__ import annotations

from typing import Any

import polars as pl

from mmstudy.errors import MMStudyError
from mmstudy.search.optuna_study import importances
from mmstudy.storage.ledger import FolderLedger
from mmstudy.storage.parquet import params_of
from mmstudy.storage.schema import State
from mmstudy.study import Study

__all__ = ["importance", "keep_importance"]

_LEAST_TRIALS = 4


def importance(study: Study) -> list[dict[str, Any]]:
    """One row per searched setting, the most important first: fANOVA, PED-ANOVA, and n.

    fANOVA shares out how the value varies over the whole space; PED-ANOVA asks what tells the best
    tenth of the trials from the rest. A setting under a condition is judged among the trials that
    have it. Only complete trials are looked at: a pruned one has no value.

    Raises:
        MMStudyError: too few complete trials, or all have one value.
    """
    spec = study.about.spec
    done = [
        (params_of(row.params, row.number), row.value)
        for row in FolderLedger(study.folder).trials()
        if row.state is State.COMPLETE and row.value is not None
    ]
    if len(done) < _LEAST_TRIALS or len({value for _, value in done}) < 2:
        raise MMStudyError(
            f"{study.name} has {len(done)} complete trials with {len({v for _, v in done})} "
            f"different values; importance needs at least {_LEAST_TRIALS} and 2."
        )
    rows: dict[str, dict[str, Any]] = {}
    always = [path for path in spec.space if all(path in params for params, _ in done)]
    groups = [always, *([*always, path] for path in spec.space if path not in always)]
    for group in groups:
        having = [
            ({path: params[path] for path in group}, value)
            for params, value in done
            if all(path in params for path in group)
        ]
        if len(having) < _LEAST_TRIALS or len({value for _, value in having}) < 2:
            continue
        found = importances(spec, having)
        for path in group:
            shares = {name: share.get(path) for name, share in found.items()}
            rows.setdefault(path, {"setting": path, **shares, "n": len(having)})
    if not rows:
        raise MMStudyError(
            f"{study.name} searches no setting that enough trials share; there is nothing to weigh."
        )
    table = pl.DataFrame([*rows.values()])
    return table.sort("fanova", descending=True, nulls_last=True).to_dicts()


def keep_importance(study: Study) -> None:
    """Write what `importance` says now, or why it says nothing, for those who only look.

    Only the driver, or who holds its lock, may call this.
    """
    said: dict[str, Any] = {"complete": study.counts()[State.COMPLETE]}
    try:
        said["rows"] = importance(study)
    except MMStudyError as error:
        said["fault"] = str(error)
    study.folder.put_json(study.folder.importance, said)
