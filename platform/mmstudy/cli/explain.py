"""Why a trial's networks say what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmstudy.cli.shared import (
    ROOT,
    CohortOption,
    FormatOption,
    RootOption,
    StudyArgument,
    TrialArgument,
    WeightsOption,
    app,
    opened_study,
    print_rows,
    say,
    trial_number,
)

if TYPE_CHECKING:
    from mmstudy.storage.explanations import ExplainedCase

__all__ = ["explain"]


@app.command()
def explain(
    study: StudyArgument,
    trial: TrialArgument,
    root: RootOption = ROOT,
    cohort: CohortOption = None,
    cases: Annotated[
        list[str] | None, typer.Option("--case", help="A case to explain; may be repeated.")
    ] = None,
    per_class: Annotated[
        int, typer.Option(min=1, help="Of either class so many it got most wrong, and most sure.")
    ] = 2,
    weights: WeightsOption = None,
    how: FormatOption = "table",
) -> None:
    """Grad-CAM over the slices, SHAP values, KAN curves, and whether they depend on the weights."""
    from mmstudy.cli.progress import Reporter
    from mmstudy.followup.explain import explain as explain_trial

    opened = opened_study(study, root)
    number = trial_number(opened, trial)
    found = explain_trial(
        opened,
        number,
        cohort,
        cases=cases or (),
        per_class=per_class,
        weights=weights,
        progress=Reporter().steps,
        say=say,
    )
    print_rows([_row(case) for case in found.cases], how, opened.origin)
    where = opened.folder.working().explanations(number)
    say(f"In {where}; the pictures are of patients, keep them as such.")
    for name, of, n in (
        ("Grad-CAM", found.sanity[-1].cam, found.sanity[-1].n_cam),
        ("SHAP values", found.sanity[-1].shap, found.sanity[-1].n_shap),
    ):
        rank = "undefined" if of is None else f"{of:.2f}"
        say(f"{name} with all weights random: median rank correlation {rank} (n = {n} cases).")


def _row(case: ExplainedCase) -> dict[str, Any]:
    cam, shap, last = case.cam, case.shap, case.sanity[-1]
    most = max(shap.attributes, key=lambda one: abs(one.shap)) if shap else None
    return {
        "case": case.case,
        "chosen": case.chosen,
        "fold": case.fold,
        "label": case.label,
        "says": case.says,
        "probability": case.probability,
        "stored": case.stored_probability,
        "cam_in_lesion": cam.inside if cam else None,
        "by_chance": cam.by_chance if cam else None,
        "strongest": f"{most.name} ({most.value})" if most else None,
        "shap": most.shap if most else None,
        "random_cam": last.cam,
        "random_shap": last.shap,
    }
