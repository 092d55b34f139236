"""Which of two series `ingest` takes, on trees of real files: fragments, kernels, ties, boxes.

The series that must not be taken always has the smaller UID, so no tie gives the right answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmcaf.data.ingest.run import ingest
from support.two_series import TwoSeries, two_series

PAIRS = {  # of each vendor a name for tissue and one for lung or bone
    "GE": ("STANDARD", "BONEPLUS"),
    "GE, small letters": ("soft", "Lung"),
    "GE, words apart": ("STANDARD", "BONE PLUS"),
    "Siemens": ("Br40d", "Bl57d"),
    "Siemens, iterative": ("I31f", "I70f"),
    "Siemens, two values": (["Br40d", "3"], ["Br64d", "3"]),
    "Philips": ("B", "YC"),
    "Philips, in words": ("Smooth", "Y-Sharp"),
    "Canon": ("FC08", "FC52"),
    "Toshiba": ("FC18-H", "FC86"),
    "United Imaging": ("B_SOFT_B", "B_SHARP_C"),
    "any": ("Soft Tissue", "Body Sharp"),
}


def taken(tree: Path, out: Path) -> dict[str, dict[str, Any]]:
    """Patient -> the row of the cohort, with what the report tells of the choice."""
    found = ingest([tree], out, in_plane_px=32, workers=1).patients
    told = json.loads((out / "ingest_report.json").read_text(encoding="utf-8"))
    choices = {choice["patient_id"]: choice for choice in told["choices"]}
    return {
        row["patient_id"]: row | {"choice": choices[row["patient_id"]]}
        for row in found.iter_rows(named=True)
    }


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("kernels")
    cases = two_series(folder / "tree", patients=3 * len(PAIRS), slices=12)
    names = {}
    for of, (vendor, (soft, sharp)) in zip(cases, PAIRS.items(), strict=True):
        names[of.patient] = vendor
        of.named(soft="9", sharp="1")
        of.edit(of.soft, ConvolutionKernel=soft)
        of.edit(of.sharp, ConvolutionKernel=sharp)
        of.unmark()
    found = taken(folder / "tree", folder / "out")
    return {names[who]: row for who, row in found.items() if who in names}


@pytest.mark.parametrize("vendor", PAIRS)
def test_a_soft_kernel_of_any_vendor_is_taken(
    vendor: str, kernels: dict[str, dict[str, Any]]
) -> None:
    row = kernels[vendor]
    assert row["series_uid"].endswith(".9")
    assert "W_KERNEL" not in row["qc_flags"]
    soft, sharp = row["choice"]["candidates"]
    assert (soft["decided_by"], sharp["decided_by"]) == (None, "kernel")
    assert (soft["kernel_class"], sharp["kernel_class"]) == ("soft", "sharp")


def _soft_fragment(of: TwoSeries) -> str:
    of.named(soft="1", sharp="9")
    of.cut(of.soft, slice(4, 16))
    of.unmark()
    return "9"


def _fine_fragment(of: TwoSeries) -> str:
    """One kernel, thin slices through a part of the chest."""
    of.named(soft="1", sharp="9")
    of.edit(of.sharp, ConvolutionKernel="B31f")
    of.move(of.soft, lambda z: 1.25 * z)
    of.unmark()
    return "9"


def _fragment_around_the_lesion(of: TwoSeries) -> str:
    """Both show every annotated slice: the boxes decide nothing."""
    of.named(soft="1", sharp="9")
    marked = {path.stem for path in (of.tree / "Annotation" / of.patient).glob("*.xml")}
    at = [z for z, path in enumerate(of.soft) if _uid(path) in marked]
    begin = max(0, min(min(at), len(of.soft) - 12))
    assert max(at) < begin + 12
    of.cut(of.soft, slice(begin, begin + 12))
    return "9"


def _nearly_one_spacing(of: TwoSeries) -> str:
    """4.998 mm is no finer than 5 mm; one of them has six slices less."""
    of.named(soft="1", sharp="9")
    of.edit(of.sharp, ConvolutionKernel="B31f")
    of.move(of.soft, lambda z: 4.998 * z)
    of.cut(of.soft, slice(0, 22))
    of.unmark()
    return "9"


def _nearly_one_spacing_of_a_sharper_one(of: TwoSeries) -> str:
    of.named(soft="9", sharp="1")
    of.edit(of.sharp, ConvolutionKernel="BONEPLUS")
    of.move(of.sharp, lambda z: 4.96 * z)
    of.unmark()
    return "9"


def _boxes_on_the_sharp_one(of: TwoSeries) -> str:
    of.named(soft="1", sharp="9")
    for path in of.soft:
        (of.tree / "Annotation" / of.patient / f"{_uid(path)}.xml").unlink(missing_ok=True)
    return "9"


def _uid(path: Path) -> str:
    from pydicom import dcmread

    return str(dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)


STACKS: dict[str, tuple[Callable[[TwoSeries], str], str]] = {
    "a soft fragment": (_soft_fragment, "coverage_mm"),
    "a fine fragment": (_fine_fragment, "coverage_mm"),
    "a soft fragment around the lesion": (_fragment_around_the_lesion, "coverage_mm"),
    "nearly one spacing, fewer slices": (_nearly_one_spacing, "slices"),
    "nearly one spacing, a sharp name": (_nearly_one_spacing_of_a_sharper_one, "kernel"),
    "boxes on the sharp one alone": (_boxes_on_the_sharp_one, "annotated_slices"),
}


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("stacks")
    cases = two_series(folder / "tree", patients=3 * len(STACKS), slices=24)
    right = {
        of.patient: (what, make(of))
        for of, (what, (make, _)) in zip(cases, STACKS.items(), strict=True)
    }
    found = taken(folder / "tree", folder / "out")
    return {what: (uid, found[who]) for who, (what, uid) in right.items()}


@pytest.mark.parametrize("what", STACKS)
def test_the_better_stack_is_taken_and_the_other_one_told(
    what: str, stacks: dict[str, tuple[str, dict[str, Any]]]
) -> None:
    uid, row = stacks[what]
    assert row["series_uid"].endswith(f".{uid}")
    assert "W_KERNEL" not in row["qc_flags"]
    other = row["choice"]["candidates"][1]
    assert (other["series"][-1], other["decided_by"]) == ("1", STACKS[what][1])


def _none_of_one(of: TwoSeries) -> None:
    of.named(soft="9", sharp="1")
    of.edit(of.sharp, ConvolutionKernel=None)
    of.move(of.sharp, lambda z: 4.0 * z)


def _empty_beside_a_sharp_one(of: TwoSeries) -> None:
    of.named(soft="9", sharp="1")
    of.edit(of.soft, ConvolutionKernel="")
    of.move(of.sharp, lambda z: 4.0 * z)


def _two_names_that_contradict_each_other(of: TwoSeries) -> None:
    of.named(soft="9", sharp="1")
    of.edit(of.sharp, ConvolutionKernel=["B31f", "B70f"])
    of.move(of.sharp, lambda z: 4.0 * z)


def _a_name_that_changes_within_the_series(of: TwoSeries) -> None:
    of.named(soft="9", sharp="1")
    of.edit(of.sharp[3:5], ConvolutionKernel="B31f")
    of.move(of.sharp, lambda z: 4.0 * z)


DOUBTFUL = {
    "missing": _none_of_one,
    "empty": _empty_beside_a_sharp_one,
    "two names": _two_names_that_contradict_each_other,
    "changing": _a_name_that_changes_within_the_series,
}


@pytest.fixture(scope="module")
def doubtful(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("doubtful")
    cases = two_series(folder / "tree", patients=3 * len(DOUBTFUL), slices=16)
    names = {}
    for of, (what, make) in zip(cases, DOUBTFUL.items(), strict=True):
        names[of.patient] = what
        make(of)
        of.unmark()
    found = taken(folder / "tree", folder / "out")
    return {names[who]: row for who, row in found.items() if who in names}


@pytest.mark.parametrize("what", DOUBTFUL)
def test_a_choice_that_rests_on_an_unknown_kernel_is_told(
    what: str, doubtful: dict[str, dict[str, Any]]
) -> None:
    row = doubtful[what]
    assert row["series_uid"].endswith(".9")
    assert "W_KERNEL" in row["qc_flags"]
    assert "unknown" in {of["kernel_class"] for of in row["choice"]["candidates"]}


def test_slices_left_out_of_the_taken_series_are_told(tmp_path: Path) -> None:
    of = two_series(tmp_path / "tree", slices=16)[0]
    of.named(soft="9", sharp="1")
    of.edit(of.soft[:2], Rows=8, Columns=8)
    of.edit(of.sharp[:1], ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    left_out = taken(tmp_path / "tree", tmp_path / "out")[of.patient]["choice"]["left_out"]
    assert [one["codes"] for one in left_out] == [{"E_SIZE": 2}, {"E_LOCALIZER": 1}]
    assert left_out[0]["series"].endswith("9")


@pytest.mark.parametrize("seed", [1, 2])
def test_a_clean_tree_is_told_without_doubt(tmp_path: Path, seed: int) -> None:
    cases = two_series(tmp_path / "tree", seed=seed, slices=12)
    found = taken(tmp_path / "tree", tmp_path / "out")
    for of in cases:
        candidates = found[of.patient]["choice"]["candidates"]
        assert [one["kernel"] for one in candidates] == ["B31f", "B70f"]
        assert [one["decided_by"] for one in candidates] == [None, "kernel"]
    assert not any("W_KERNEL" in row["qc_flags"] for row in found.values())
    assert all(row["choice"]["left_out"] == [] for row in found.values())
