"""The test set: a trial's networks on the patients that search and confirmation never saw.

Every look is counted and logged before its numbers are shown: a test set looked at often is a
validation set.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mmcaf.files.look_notes import note_look
from mmcaf.stats.areas import auroc_interval
from mmcaf.stats.metrics import rates
from mmstudy.errors import UsageError
from mmstudy.followup.predict import predict_test
from mmstudy.provenance import code_version
from mmstudy.storage.lock import driver_lock
from mmstudy.storage.schema import EVALUATIONS, PREDICTIONS
from mmstudy.study import Study

__all__ = ["evaluate"]


def evaluate(
    study: Study,
    number: int,
    cohort: str | Path | None = None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
    *,
    weights: str | Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Metrics of trial `number` on the test patients, as the row that is logged.

    They are of the ensemble: each patient's score is the mean over the networks of all folds, raw,
    and is called at 0.5. `mmstudy.comparison.judged.judged_look` has counts and intervals of every
    rate, the threshold that the folds give, and calibration.

    Args:
        study: where the trial is.
        number: a complete trial.
        cohort: the study's own, if it was moved.
        progress: told of every step.
        weights: folder of SAM's weights, for a trial that needs them.
        say: told where the look could not be noted beside the cohort.

    Raises:
        UsageError: the protocol sets no test patients aside, or a driver runs the study.
        MMStudyError: the trial is not complete, it needs weights, or the cohort is another.
    """
    if not study.about.split.test:
        raise UsageError(
            f"{study.name} set no patients aside for testing (protocol.test), and the others were "
            "used to choose. Begin a study with protocol.test, or use `mmstudy predict` on "
            "another cohort."
        )
    asked, folder, own = study, study.folder.working(), study.cohort(cohort)
    with driver_lock(folder):
        folder.refresh(at_once=True)
        study = Study(folder, study.about)
        found = predict_test(study, number, own, progress, weights)
        labels, scores = found["label"].to_numpy(), found["probability"].to_numpy()
        low, high = auroc_interval(labels, scores)
        now = datetime.now(UTC)
        look, epoch = study.evaluations().height + 1, study.trial(number)["best_epoch"]
        row = {
            "look": look,
            "number": number,
            "n": found.height,
            "n_positive": int(labels.sum()),
            **rates(labels, scores),
            "auroc_low": low,
            "auroc_high": high,
            "code_version": code_version(),
            "written": now,
        }
        of = {"number": number, "fold": -1, "epoch": epoch}  # the mean over all folds' networks
        cases = [{**of, **case} for case in found.to_dicts()]
        folder.add_rows(folder.evaluations, EVALUATIONS, [row])  # first: no look goes uncounted
        if fault := note_look(own.folder, study.look(number, now)):
            say(f"Counted among the studies of this root, but not beside the cohort: {fault}.")
        folder.put_rows(folder.test_predictions(look), PREDICTIONS, cases)
    asked.refresh()
    return row
