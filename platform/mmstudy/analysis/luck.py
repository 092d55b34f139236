"""What confirming takes out of a trial's value, and what it leaves: luck of the patients."""

from __future__ import annotations

from mmstudy.study import Study

__all__ = ["luck_sentences"]


def luck_sentences(study: Study) -> tuple[str, ...]:
    """What was taken out of the confirmed values and what was not, with the figures of the best
    trial, which is a confirmed one; none where no trial was confirmed."""
    best = study.best_trial()
    if best is None or not study.confirmed():
        return ()
    said = [
        "Confirming takes out luck of training and of how patients were dealt into folds: every "
        "run has new folds of the same patients and a new seed. It does not take out luck of "
        "patients: what these happen to favour was searched for on them, so the best confirmed "
        "value is still optimistic. Only patients who served in no search are free of that "
        "(`mmstudy evaluate`, `mmstudy predict`)."
    ]
    found = study.luck(number := int(best["number"]))
    if found is None:
        said.append(
            "How much is which cannot be told here: that needs two whole runs of k folds, made by "
            "a version that keeps their probabilities."
        )
    else:
        said.append(
            f"Trial {number}: standard error {found.training:.3f} from training and folds (over "
            f"{found.runs} runs; more runs lower it), {found.patients:.3f} from which "
            f"{found.cases} patients there are (no number of runs lowers it): {found.share:.0%} of "
            "the variance is of patients."
        )
    return tuple(said)
