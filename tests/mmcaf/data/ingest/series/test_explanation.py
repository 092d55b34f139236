"""What the report tells of a choice: values of the candidates, and slices that are in no stack."""

from __future__ import annotations

from typing import Any

import polars as pl

from mmcaf.data.ingest.index import INSTANCES
from mmcaf.data.ingest.rules import CT_IMAGE, PET_IMAGE
from mmcaf.data.ingest.series.explanation import Told, explained
from mmcaf.data.ingest.series.preference import Candidate, Place, ranked

LONG = "1.2.840.113619.2.55.3."


def places(*kernels: str | None) -> list[Place]:
    return ranked(
        [
            Candidate(
                series_uid=f"{LONG}{11111 * number}",
                begin_mm=0.0,
                annotated_slices=3,
                coverage_mm=300.04,
                kernel=kernel,
                spacing_mm=1.250004,
                slices=240,
                phase=0,
            )
            for number, kernel in enumerate(kernels, 1)
        ]
    )


def files(*rows: dict[str, Any]) -> pl.DataFrame:
    usual = {"kind": "image", "patient_id": "A0001", "sop_class": CT_IMAGE}
    schema = {**INSTANCES, "verdict": pl.String, "use": pl.String}
    return pl.DataFrame([dict.fromkeys(schema) | usual | row for row in rows], schema=schema)


def test_a_candidate_is_told_by_its_values_without_its_uid() -> None:
    (choice,) = explained({"A0001": places("LUNG", "STANDARD")}, files())
    assert choice["patient_id"] == "A0001"
    assert choice["candidates"][0] == Told(
        series="…-22222",
        decided_by=None,
        annotated_slices=3,
        coverage_mm=300.0,
        kernel="STANDARD",
        kernel_class="soft",
        spacing_mm=1.25,
        slices=240,
        phase=0,
    )
    assert choice["candidates"][1]["decided_by"] == "kernel"
    assert LONG not in str(choice)


def test_text_that_is_no_name_of_a_kernel_is_not_told() -> None:
    (choice,) = explained({"A0001": places("19000101", "see /home/me, or ask")}, files())
    assert [one["kernel"] for one in choice["candidates"]] == [None, None]


def test_slices_left_out_are_counted_by_series_and_code_the_taken_one_first() -> None:
    of = places("LUNG", "STANDARD")
    taken, other = (place.candidate.series_uid for place in of)
    table = files(
        {"series_uid": taken, "use": "chosen"},
        {"series_uid": taken, "verdict": "E_DUP_POSITION"},
        {"series_uid": taken, "verdict": "E_DUP_POSITION"},
        {"series_uid": taken, "reason": "E_DECODE"},
        {"series_uid": other, "use": "alternative"},
        {"series_uid": other, "reason": "E_SIZE", "verdict": "E_HU"},
        {"series_uid": "9", "reason": "E_SOP_CLASS", "sop_class": PET_IMAGE},
        {"series_uid": taken, "reason": "E_NO_IPP", "patient_id": "A0002"},
        {"series_uid": None, "reason": "E_UNREADABLE", "patient_id": None, "sop_class": None},
    )
    (choice,) = explained({"A0001": of}, table)
    assert choice["left_out"] == [
        {"series": "…-22222", "codes": {"E_DECODE": 1, "E_DUP_POSITION": 2}},
        {"series": "…-11111", "codes": {"E_HU": 1}},
    ]
