"""The download's own list against what is here; expectations of the whole collection."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from mmcaf.data.cohort import Cohort
from mmcaf.data.ingest.clinical import read_sheets
from mmcaf.data.ingest.index import INSTANCES
from mmcaf.data.ingest.patients.whereabouts import Whereabouts
from mmcaf.data.ingest.report import compose, incomplete_series

HEAD = "Series UID,Subject ID,Number of Images\n"


def files(**slices: int) -> pl.DataFrame:
    """So many distinct slices of each series."""
    rows = [
        {"series_uid": f"1.2.{series[1:]}", "sop_uid": f"1.2.{series[1:]}.{n}", "kind": "image"}
        for series, count in slices.items()
        for n in range(count)
    ]
    return pl.DataFrame(rows, schema=INSTANCES)


def test_a_series_with_fewer_images_than_listed_is_named(tmp_path: Path) -> None:
    path = tmp_path / "metadata.csv"
    path.write_text(
        HEAD + "1.2.10,Lung_Dx-A0001,5\n1.2.20,Lung_Dx-A0002,3\n1.2.30,Lung_Dx-A0003,9\n"
    )
    found = incomplete_series(files(s10=5, s20=2), [path])
    assert (found["listed_series"], found["absent_series"]) == (3, 1)
    (short,) = found["incomplete"]
    assert (short["patient_id"], short["images"], short["listed"]) == ("A0002", 2, 3)


@pytest.mark.parametrize(
    "content",
    ["", "no,header\n1,2\n", HEAD + "1.2.10,Lung_Dx-A0001,many\n", HEAD + '"' + "x" * 200_000],
)
def test_a_damaged_list_says_nothing(tmp_path: Path, content: str) -> None:
    path = tmp_path / "metadata.csv"
    path.write_text(content)
    assert incomplete_series(files(s10=5), [path])["incomplete"] == []


@pytest.mark.parametrize(("annotated", "differs"), [(31_562, False), (20_000, True)])
def test_the_whole_collection_is_held_against_published_counts(
    annotated: int, differs: bool
) -> None:
    ends = {"W_ON_UNUSABLE": 10_400, "W_NO_SLICE": 677, "E_XML_PARSE": 1}
    codes = [code for code, count in ends.items() for _ in range(count)]
    codes += [None] * (annotated - len(codes))  # type: ignore[list-item]
    patients = [f"A{n:04d}" for n in range(310)]
    table = pl.DataFrame(
        {
            "kind": ["annotation"] * annotated + ["image"] * 310,
            "patient_id": [None] * annotated + patients,
            "reason": pl.Series([None] * (annotated + 310), dtype=pl.String),
            "verdict": codes + [None] * 310,
            "use": pl.Series([None] * (annotated + 310), dtype=pl.String),
        }
    )
    empty = pl.DataFrame()
    found = compose(
        files=table,
        boxes=empty,
        sheet=read_sheets([]),
        where=Whereabouts(empty, frozenset(), frozenset(), 0, 0),
        patients=empty,
        incomplete={},
    )
    told = [each["what"] for each in found["against_published_counts"]]
    assert told == (["annotation files", "on CT slices"] if differs else [])


def test_sizes_in_the_fingerprint_are_sides_and_diagonals(cohort: Cohort) -> None:
    told = json.loads((cohort.folder / "ingest_report.json").read_text(encoding="utf-8"))
    found = told["fingerprint"]
    for name in ("long_side_mm", "diagonal_mm"):
        assert found[name]["max"] == cohort.patients[name].max()
    assert found["diagonal_mm"]["median"] > found["long_side_mm"]["median"]
    assert "max_diam_mm" not in found
