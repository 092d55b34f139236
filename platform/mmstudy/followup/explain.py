"""Explaining a trial: why its networks say what they say of cases they did not train on.

Each case is explained by the network of the fold that validates on it, at the trial's best epoch.
Test patients are never explained: looking at them is what `mmstudy evaluate` counts. A run that was
stopped goes on with the cases that are not done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import polars as pl
import torch

from mmcaf.data import volumes
from mmcaf.data.verification import check
from mmcaf.data.volumes import VolumeSpec
from mmcaf.net.registry import reads_image
from mmstudy.errors import MMStudyError, UsageError
from mmstudy.followup.predict import networks
from mmstudy.followup.rerun import task_of
from mmstudy.provenance import code_version
from mmstudy.storage.explanations import (
    FORMAT,
    Agreement,
    Chosen,
    Curve,
    ExplainedCase,
    Explanations,
    save_index,
)
from mmstudy.storage.schema import State
from mmstudy.study import Study
from mmstudy.trial.task import stored_config

__all__ = ["choose", "explain"]

_DRIFT = 0.01  # between a case's probability here and as the trial stored it

Progress = Callable[[str, int, int], None]


def explain(
    study: Study,
    number: int,
    cohort: Path | None = None,
    *,
    cases: Sequence[str] = (),
    per_class: int = 2,
    weights: str | Path | None = None,
    progress: Progress = lambda *_: None,
    say: Callable[[str], None] = lambda _: None,
) -> Explanations:
    """Explain some cases of trial `number` and write it into the trial's artifacts.

    Args:
        study: where the trial is.
        number: a complete trial.
        cohort: the study's own, if it was moved.
        cases: which to explain; none: see `choose`.
        per_class: how many of the most wrong, and of the most sure, of either class.
        weights: folder of SAM's weights, for a trial that needs them.
        progress: told of every step.
        say: told how long it will take where networks must be trained again.

    Raises:
        UsageError: a package is missing, or a case is not one that validates.
        MMStudyError: the trial is not complete, or the cohort is not the study's.
        CohortError: a volume is not what was ingested.
        ArithmeticError: SHAP values do not add up.
    """
    _need_packages()
    from mmstudy.followup.explain_fold import FoldExplainer  # captum and shap, which may be absent

    epoch, patients = _best_epoch(study, number), study.cohort(cohort)
    chosen = choose(study, number, cases, per_class)
    task = task_of(study, number, patients, weights=weights)
    if task.device.startswith("cuda") and not torch.cuda.is_available():
        task = replace(task, device="cpu")
    torch.set_num_threads(task.threads)
    config = stored_config(study.about.spec, task)
    sizes = (config.data.in_plane_px,) if reads_image(config.model) else ()
    for side in sizes:
        volumes.build(patients, VolumeSpec(side), progress)
    check(patients, sizes, progress)
    again = partial(_tell_time, study, number, epoch, say)
    paths, folder = networks(study, task, epoch, progress, again), study.folder.working()
    folder.refresh_files(folder.explanations(number))
    done: list[ExplainedCase] = []
    curves: list[Curve] = []
    for fold in sorted(set(chosen["fold"])):
        explainer = FoldExplainer(
            Study(folder, study.about), task, config, patients, fold, paths[fold]
        )
        before = len(done)
        for row in chosen.filter(fold=fold).to_dicts():
            what = f"explaining trial {number}, case {len(done) + 1} of {chosen.height}"
            done.append(explainer.explained(row, partial(progress, what)))
        curves += explainer.curves(done[before:])
    _tell_drift(done, say)
    by_case = {one.case: one for one in done}
    found = Explanations(
        schema_version=FORMAT,
        number=number,
        epoch=epoch,
        synthetic=study.synthetic,
        oracle=study.oracle,
        code_version=code_version() or "",
        cases=tuple(by_case[name] for name in chosen["case"]),
        curves=tuple(curves),
        sanity=_agreement(done),
    )
    save_index(folder, found)
    return found


def choose(
    study: Study, number: int, cases: Sequence[str] = (), per_class: int = 2
) -> pl.DataFrame:
    """Which cases to explain: case, fold, label, probability, chosen.

    Unless `cases` are named, of either class those the trial was most wrong about (least sure,
    where it was right) and those it was most sure of. With repeated folds, a case's first.

    Raises:
        UsageError: a named case does not validate in any fold of the trial; says what it is.
    """
    rows = study.at_best(number).sort("fold", "case")
    rows = rows.unique("case", keep="first", maintain_order=True)
    truth = (
        pl.when(pl.col("label") == 1)
        .then(pl.col("probability"))
        .otherwise(1 - pl.col("probability"))
    )
    rows = rows.select("case", "fold", "label", "probability", truth=truth)
    if cases:
        faults = [_fault(study, case) for case in cases if case not in set(rows["case"])]
        if faults:
            raise UsageError(*faults)
        picked = rows.filter(pl.col("case").is_in(list(cases)))
        return picked.with_columns(chosen=pl.lit("asked for")).drop("truth")
    parts = []
    for label in (1, 0):
        ranked = rows.filter(label=label).sort("truth", "case").to_dicts()
        wrong, sure = ranked[:per_class], ranked[per_class:][::-1][:per_class]
        # Of a class it got all right none is wrong, and of one it got all wrong none is sure.
        parts += [one | {"chosen": _why(one, "most wrong", "least sure")} for one in wrong]
        parts += [one | {"chosen": _why(one, "least wrong", "most sure")} for one in sure]
    return pl.DataFrame(parts).drop("truth")


def _why(case: dict[str, Any], if_wrong: Chosen, if_right: Chosen) -> Chosen:
    return if_wrong if case["truth"] < 0.5 else if_right


def _fault(study: Study, case: str) -> str:
    if case in study.about.split.test:
        return (
            f"Case {case} is set aside for testing and is not explained: what is learnt from it "
            "would find its way into the next search."
        )
    return f"{study.name} has no case {case!r} that validates; `mmstudy explain` chooses by itself."


def _best_epoch(study: Study, number: int) -> int:
    row = study.trial(number)
    if row["state"] != State.COMPLETE:
        raise MMStudyError(f"Trial {number} is {row['state']}; only a complete one is explained.")
    return int(row["best_epoch"])


def _need_packages() -> None:
    absent = [name for name in ("captum", "shap") if find_spec(name) is None]
    if absent:
        raise UsageError(
            f"Explanations need {' and '.join(absent)}, not installed here: "
            "pip install -c constraints.txt -e '.[explain]'."
        )


def _tell_time(study: Study, number: int, epoch: int, say: Callable[[str], None]) -> None:
    epochs = study.metrics(number).filter(pl.col("epoch") <= epoch)
    seconds = float(epochs["seconds"].sum() or 0)
    say(
        f"The networks of trial {number} are not kept. All {study.folds} folds are trained again "
        f"to epoch {epoch}, which took {seconds / 60:.1f} min where the trial ran, and kept then."
    )


def _tell_drift(done: Sequence[ExplainedCase], say: Callable[[str], None]) -> None:
    apart = max(abs(one.probability - one.stored_probability) for one in done)
    if apart > _DRIFT:
        say(
            f"The networks explained here say other probabilities than the trial had stored, by "
            f"up to {apart:.3f}: trained again elsewhere, or in bf16. `mmstudy rerun --check` says "
            "more."
        )


def _agreement(cases: Sequence[ExplainedCase]) -> tuple[Agreement, ...]:
    """Medians over the cases, step by step; all networks have the same parts."""
    found = []
    for steps in zip(*(case.sanity for case in cases), strict=True):
        cam = [step.cam for step in steps if step.cam is not None]
        shap = [step.shap for step in steps if step.shap is not None]
        found.append(
            Agreement(
                part=steps[0].part,
                cam=median(cam) if cam else None,
                n_cam=len(cam),
                shap=median(shap) if shap else None,
                n_shap=len(shap),
            )
        )
    return tuple(found)
