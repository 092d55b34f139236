"""Which searched settings the value depends on, and whether the trials can say so at all.

Two evaluators ask two things. fANOVA (Hutter et al. 2014) fits a forest to the values and shares
out how they vary over the whole space: a main effect's part of all main effects. PED-ANOVA
(Watanabe et al. 2023) asks which setting tells the best tenth of the trials from the rest.

Either shares out something, also where nothing depends on anything. So each share has an interval
over trials (bootstrap), stands beside what it is by chance, and a dependence is claimed by a test
of its own (`mmcaf.stats.dependence`). Trials that a sampler placed are not exchangeable: what is
claimed must beat every deal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmcaf.stats.dependence import dependence
from mmstudy.errors import MMStudyError
from mmstudy.search.optuna_study import importances
from mmstudy.spec.space import Choice, Dimension
from mmstudy.spec.study_spec import StudySpec
from mmstudy.storage.ledger import FolderLedger
from mmstudy.storage.parquet import params_of
from mmstudy.storage.schema import LEAST_TRIALS, State, too_few
from mmstudy.study import Study

__all__ = ["importance", "keep_importance", "p_values", "weighed"]

_DEALS = 999  # of values to trials, in the test
_DRAWS, _FORESTS = 60, 20  # of trials, and of values to trials, in forests
_TREES = 16  # of a forest that is fitted again and again
_MOST_TRIALS = 100  # that such a forest is fitted to: fewer trials only widen what it says

_DEPENDS, _UNSHOWN = "the value depends on it", "no dependence shown"

Trial = tuple[Mapping[str, Any], float]  # params, value


def importance(study: Study) -> list[dict[str, Any]]:
    """One row per searched setting, the most important first; see `weighed` for its columns.

    A setting under a condition is judged among the trials that have it. Only complete trials are
    looked at. A pruned one has no value: its last reported one is of another epoch and of one fold,
    and taken for a value it makes a setting that acts early look like one that acts
    (`tests/benchmarks/bench_importance.py`).

    Raises:
        MMStudyError: too few complete trials to say anything, all have one value, or they have no
            setting in common.
    """
    spec = study.about.spec
    done = [
        (params_of(row.params, row.number), row.value)
        for row in FolderLedger(study.folder).trials()
        if row.state is State.COMPLETE and row.value is not None
    ]
    if len(done) < LEAST_TRIALS:
        raise MMStudyError(too_few(len(done)))
    if len({value for _, value in done}) < 2:
        raise MMStudyError(f"All {len(done)} complete trials of {study.name} have one value.")
    rows: dict[str, dict[str, Any]] = {}
    always = [path for path in spec.space if all(path in params for params, _ in done)]
    if not always:
        raise MMStudyError(f"{study.name} searches no setting that all its trials have.")
    for group in [always, *([*always, path] for path in spec.space if path not in always)]:
        having = [
            ({path: params[path] for path in group}, value)
            for params, value in done
            if all(path in params for path in group)
        ]
        if len(having) < LEAST_TRIALS or len({value for _, value in having}) < 2:
            shown = {"setting": group[-1], "n": len(having), "says": too_few(len(having))}
            found = {group[-1]: shown} if group is not always else {}
        else:
            found = weighed(spec, having)
        for path in group:
            if path in found:
                rows.setdefault(path, found[path])
    table = pl.DataFrame([*rows.values()], infer_schema_length=None)
    return table.sort("fanova", descending=True, nulls_last=True).to_dicts()


def weighed(spec: StudySpec, trials: Sequence[Trial], *, seed: int = 0) -> dict[str, Any]:
    """One row per setting that all `trials` have: path -> columns.

    `fanova` and `ped_anova` are shares that add up to 1, each with the ends of its 95 % interval
    over trials; `by_chance` is fANOVA's share under values dealt anew; `p` is of no dependence,
    adjusted for all settings; `says` claims one only where no deal was as extreme.

    Args:
        spec: whose space the params are of.
        trials: params and value; all have the same paths.
        seed: of forests, draws and deals.
    """
    random = np.random.default_rng(seed)
    shares = importances(spec, trials, seed=seed)
    few = trials
    if len(trials) > _MOST_TRIALS:
        few = [trials[i] for i in random.choice(len(trials), _MOST_TRIALS, replace=False)]
    p = p_values(spec, trials, seed=seed)
    drawn = [_again(spec, _drawn(few, random), seed) for _ in range(_DRAWS)]
    dealt = [_again(spec, _dealt(few, random), seed) for _ in range(_FORESTS)]
    rows: dict[str, Any] = {}
    for path in p:
        row: dict[str, Any] = {"setting": path}
        for name in shares:
            of = [one[name].get(path, 0.0) for one in drawn if one]
            low, high = map(float, np.quantile(of, [0.025, 0.975])) if of else (None, None)
            row |= {name: shares[name].get(path), f"{name}_low": low, f"{name}_high": high}
        row["by_chance"] = float(np.mean([one["fanova"].get(path, 0.0) for one in dealt if one]))
        told = p[path] <= 1 / (_DEALS + 1)
        row |= {"p": p[path], "n": len(trials), "says": _DEPENDS if told else _UNSHOWN}
        rows[path] = row
    return rows


def p_values(spec: StudySpec, trials: Sequence[Trial], *, seed: int = 0) -> dict[str, float]:
    """p of no dependence for each setting that all `trials` have, adjusted for all of them."""
    columns = {
        path: _columns(spec.space[path], [of[path] for of, _ in trials]) for path in trials[0][0]
    }
    return dependence(columns, np.array([value for _, value in trials]), deals=_DEALS, seed=seed)


def keep_importance(study: Study) -> None:
    """Write what `importance` says now, or why it says nothing, for those who only look.

    Only the driver, or who holds its lock, may call this.
    """
    counts = study.counts()
    said: dict[str, Any] = {"complete": counts[State.COMPLETE], "pruned": counts[State.PRUNED]}
    try:
        said["rows"] = importance(study)
    except MMStudyError as error:
        said["fault"] = str(error)
    study.folder.put_json(study.folder.importance, said)


def _columns(dimension: Dimension, values: Sequence[Any]) -> NDArray[np.float64]:
    """A setting in an additive model: each option by itself, a number and its square."""
    if isinstance(dimension, Choice):
        options = [*dimension.options][1:]
        return np.array([[float(value == option) for option in options] for value in values])
    numbers = np.array(values, dtype=float)
    scaled = np.log(numbers) if dimension.log else numbers
    scaled = (scaled - scaled.mean()) / max(float(scaled.std()), 1e-12)
    return np.stack([scaled, scaled**2], axis=1)


def _dealt(trials: Sequence[Trial], random: np.random.Generator) -> list[Trial]:
    """The same trials with their values in another order."""
    order = random.permutation(len(trials))
    return [(params, trials[i][1]) for (params, _), i in zip(trials, order, strict=True)]


def _drawn(trials: Sequence[Trial], random: np.random.Generator) -> list[Trial]:
    """As many of these trials, drawn with replacement."""
    return [trials[i] for i in random.integers(0, len(trials), len(trials))]


def _again(spec: StudySpec, trials: Sequence[Trial], seed: int) -> dict[str, dict[str, float]]:
    """Both shares by a small forest; nothing where all trials have one value."""
    if len({value for _, value in trials}) < 2:
        return {}
    return importances(spec, trials, seed=seed, trees=_TREES)
