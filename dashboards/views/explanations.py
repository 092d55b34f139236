"""Why a network says what it says of a patient: what `mmstudy explain` left in the artifacts."""

from __future__ import annotations

from collections.abc import Sequence

import frame
import polars as pl
import streamlit as st

from mmstudy import plots
from mmstudy.storage.explanations import ExplainedCase, Explanations, load
from mmstudy.storage.origin import Origin
from mmstudy.study import Study

__all__ = ["of_case", "of_trial"]

_RANDOM = (
    "Rank correlation of each explanation with itself after the weights of a part, and of all "
    "above it, were made random. What stays near 1 down to the last row does not depend on "
    "what the network has learnt, and explains nothing."
)


def of_trial(study: Study, number: int) -> None:
    """All that was explained of a trial."""
    st.subheader("Why")
    found = load(study.folder, number)
    if found is None:
        frame.tell("info", "Nothing was explained of this trial yet. This does it:")
        frame.command("explain", str(study.folder.root), str(number))
        return
    st.caption(_caveat(found))
    _curves(study, found)
    frame.table(_explained(found.cases), study, alt="Explained cases")
    st.caption("Their pictures are on the page of cases.")
    frame.table(_sanity(found), study, placeholder="–", alt="Explanations under random weights")
    st.caption(_RANDOM)


def of_case(study: Study, numbers: Sequence[int], case: str) -> None:
    """The explanation of a case by the best of `numbers` that has one."""
    for number in numbers:
        found = load(study.folder, number)
        if found and any(one.case == case for one in found.cases):
            _case(study, found, case)
            return
    frame.tell("info", "These trials have no explanation of this case. This makes one:")
    frame.command("explain", str(study.folder.root), str(numbers[0]), "--case", case)


def _case(study: Study, found: Explanations, case: str) -> None:
    one = next(one for one in found.cases if one.case == case)
    st.subheader(f"Why trial {found.number} says {one.says}")
    st.caption(
        f"Fold {one.fold + 1}, which did not train on this patient: probability of squamous "
        f"{one.probability:.3f}; it is {one.label}. {_caveat(found)}"
    )
    picture = found.picture(study.folder, case)
    if picture is not None:
        st.image(str(picture), width="stretch")
        st.caption(_seen(one))
    if one.shap is not None:
        frame.chart(plots.shap(study, case, found=found), study, key=f"{found.number}-{case}")
        st.caption(
            f"Exact SHAP values over {one.shap.n_background} training rows, with this patient's "
            "image; to the right they speak for squamous."
        )


def _seen(one: ExplainedCase) -> str:
    text = f"Below each slice its Grad-CAM, of what speaks for {one.says}."
    if one.cam is None or one.cam.inside is None or one.cam.by_chance is None:
        return text
    return (
        f"{text} {one.cam.inside:.1%} of the map lies within the annotated box, which is "
        f"{one.cam.by_chance:.1%} of what the network sees."
    )


def _caveat(found: Explanations) -> str:
    origin = Origin(found.synthetic, found.oracle)
    said = "An explanation shows what the network used, not why a tumour is what it is."
    return " ".join([*origin.warnings, said])


def _curves(study: Study, found: Explanations) -> None:
    names = list(dict.fromkeys(curve.attribute for curve in found.curves))
    if not names:
        return
    name = st.selectbox("Clinical attribute", names, key="attribute", bind="query-params")
    frame.chart(plots.attribute(study, name, found=found), study)


def _explained(cases: Sequence[ExplainedCase]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "case": one.case,
                "truth": one.label,
                "says": one.says,
                "probability": round(one.probability, 3),
                "chosen as": one.chosen,
            }
            for one in cases
        ]
    )


def _sanity(found: Explanations) -> pl.DataFrame:
    rows = [
        {
            "made random from": one.part,
            "Grad-CAM": None if one.cam is None else round(one.cam, 2),
            "maps": one.n_cam,
            "SHAP": None if one.shap is None else round(one.shap, 2),
            "rows": one.n_shap,
        }
        for one in found.sanity
    ]
    return pl.DataFrame(rows, schema_overrides={"Grad-CAM": pl.Float64, "SHAP": pl.Float64})
