"""Why a test of ours would not be valid, and how to read what is shown: the words of a comparison.

A test is as good as the cases it is made on. Those a trial was chosen on flatter it, synthetic ones
are no patients, windows centred on the annotated lesion were told where to look, and a test set
seen with several trials has become one of validation.
"""

from __future__ import annotations

from mmcaf.stats.metrics import Proportion
from mmcaf.stats.paired import smallest_gap
from mmstudy.analysis.looks import counted
from mmstudy.analysis.optimism import judged_on
from mmstudy.analysis.selection import Selection
from mmstudy.comparison.row import MethodRow
from mmstudy.study import Study

__all__ = ["GAP", "caution_of", "cross_fitted_because", "notes"]

_PAPER_N = 43
GAP = smallest_gap(_PAPER_N) or Proportion(_PAPER_N, _PAPER_N)
"""Of two accuracies on the paper's test patients, below which no difference can ever be shown."""
_OTHERS = "on different patients, from counts"
_SAME = (
    "on the paper's own test patients, but from counts, so that cases cannot be paired and small "
    "differences are missed"
)


def cross_fitted_because(study: Study) -> str:
    """By what a comparison on validation cases judges, where ours was chosen on them."""
    said = "Each patient is judged by what was best on the other folds, since ours was chosen here."
    return f"{said} {judged_on(study)}".rstrip()


def caution_of(study: Study, selection: Selection, tested: bool) -> str | None:
    """Why no test against other patients would be valid; None where one is."""
    if study.origin.caution:
        return study.origin.caution
    if not tested:
        chosen = selection.choice
        return chosen and f"{chosen}; `mmstudy evaluate` scores it on others"
    return selection.untested(selection.trial)


def notes(study: Study, ours: MethodRow, selection: Selection, *, tested: bool) -> tuple[str, ...]:
    """How to read a comparison that tests the row `ours`, of test or of validation patients."""
    own_43 = tested and study.about.protocol == "paper43"
    gap, majority, own = GAP, Proportion(28, _PAPER_N), ours.counts.majority
    return (
        "Intervals are 95 %: Wilson for proportions; AUROC logit-DeLong, with a further case "
        "of each class that is level with all; of published rows logit-Hanley-McNeil, since their "
        "scores are unknown; F1 percentile, AUPRC and Brier BCa "
        "bootstrap, 2000 draws within each class. PPV, NPV and accuracy hold for the share of "
        "squamous cases they were measured at.",
        f"Published rows: 15 squamous and 28 adenocarcinoma test patients, counts reconstructed "
        f"from the printed figures. On the same {_PAPER_N} patients two accuracies closer than "
        f"{gap.hits}/{gap.total} = {float(gap):.2f} can never differ significantly (exact McNemar, "
        "before any correction), and rows on different patients need more.",
        f"Always answering adenocarcinoma has an accuracy of {majority.hits}/{majority.total} = "
        f"{float(majority):.3f} on the paper's test set; always answering the more frequent class "
        f"{own.hits}/{own.total}{f' = {float(own):.3f}' if own.total else ''} on ours.",
        f"Tests against published rows are {_SAME if own_43 else _OTHERS}: Fisher's exact test of "
        "sensitivity and of specificity, z of the AUROCs' logits, all of them one Holm family, in "
        "which a row that repeats another counts once. "
        "Ours is taken at 0.5; the paper names no threshold. Accuracy is not tested: the two sets "
        "hold different shares of squamous cases.",
        "Tests against baselines are on the same validation cases: AUROC within folds by DeLong, "
        "accuracy by exact McNemar, one Holm family. Where ours was chosen on these patients, each "
        "one is judged by what was best on the other folds, and the test of AUROC makes that "
        "choice anew in every draw. The lesion box was drawn by a radiologist.",
        "AUROC decides for itself: who ranks patients better. Sensitivity and specificity decide "
        "jointly, at the thresholds used: one higher for the other lower may be another threshold "
        "alone. Differences are ours minus theirs, with a 95 % interval of that comparison alone: "
        "what lies outside is excluded, one-sided at 2.5 %, as in a test of non-inferiority whose "
        "margin was fixed before.",
        "P(ours higher): how probable it is that ours is truly higher, from these patients alone "
        "and uncorrected; 0.50 says nothing. Could show: the smallest true difference in our "
        "favour that the corrected test finds in at least 80 of 100 samples as large as this one "
        "(80 % power, at the level of Holm's first step).",
        "AUROC of validation rows is the mean over folds, as in the search: a pair of cases counts "
        "only where one network scored both, for networks of different folds have scales of their "
        "own. Intervals, tests and curves are stratified by fold likewise; they hold the networks "
        "as they are: how much another training run differs is what `mmstudy confirm` says.",
        ("Ours: test patients" if tested else "Ours: validation patients of every fold, each once")
        + f"; chosen among {counted(selection.trials, 'trial')}. {selection.looks.sentence}",
        *selection.notes,
    )
