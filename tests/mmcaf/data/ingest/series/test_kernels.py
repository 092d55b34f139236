"""Vendors' names of kernels, in every spelling of headers, and what nobody explains."""

from __future__ import annotations

import pytest

from mmcaf.data.ingest.series.kernels import NAMES, plain_name, sharpness_of


@pytest.mark.parametrize(
    ("example", "sharpness"),
    [(one, names.sharpness) for names in NAMES for one in names.examples.split(", ")],
)
def test_the_examples_of_the_table_are_read_as_it_says(example: str, sharpness: str) -> None:
    assert sharpness_of(example) == sharpness


@pytest.mark.parametrize(
    ("soft", "sharp"),
    [
        ("STANDARD", "BONEPLUS"),
        ("soft", "Lung"),
        ("Br40d", "Bl64d"),
        ("Br40d", "Bl57"),
        ("B40s", "B80s"),
        ("Hr38", "Hr68"),
        ("Qr40d", "Ur77u"),
        ("B", "YC"),
        ("A", "L"),
        ("FC08", "FC52"),
        ("FC1", "FC86"),
        ("I31f", "I70f"),
        ("J30s", "J70h"),
        ("B_SOFT_B", "B_VSHARP_C"),
        ("Soft Tissue", "Body Sharp"),
    ],
)
def test_a_vendor_s_soft_name_and_its_sharp_one(soft: str, sharp: str) -> None:
    assert (sharpness_of(soft), sharpness_of(sharp)) == ("soft", "sharp")


@pytest.mark.parametrize("medium", ["DETAIL", "CHST", "B50f", "Br59d", "C"])
def test_some_lie_between(medium: str) -> None:
    assert sharpness_of(medium) == "medium"


@pytest.mark.parametrize(
    ("kernel", "sharpness"),
    [
        (r"Br40d\3", "soft"),
        ("['Br40d', '3']", "soft"),
        ("B31f/3", "soft"),
        (r"I70f\2", "sharp"),
        (r"B31f\B30f", "soft"),
        (r"B31f\B70f", "unknown"),
        (r"STANDARD\whatever", "soft"),
    ],
)
def test_of_several_values_the_names_count_and_must_agree(kernel: str, sharpness: str) -> None:
    assert sharpness_of(kernel) == sharpness


@pytest.mark.parametrize(
    ("kernel", "sharpness"),
    [
        ("boneplus", "sharp"),
        ("Bone+", "sharp"),
        ("BONE PLUS", "sharp"),
        (" B31f ", "soft"),
        ("b_sharp_c", "sharp"),
        ("FC18-H", "soft"),
        ("B31f medium smooth+", "soft"),
        ("LUNG HD", "sharp"),
        ("B45f medium sharp", "soft"),
        ("Body sharp plus", "sharp"),
        ("B lung", "sharp"),
        ("Body.Soft", "soft"),
    ],
)
def test_case_and_blanks_do_not_matter(kernel: str, sharpness: str) -> None:
    assert sharpness_of(kernel) == sharpness


@pytest.mark.parametrize(
    "kernel",
    [
        None,
        "",
        "  ",
        "\\",
        "7",
        "32",
        "F20",
        "FC99",
        "BLUNT",
        "SOFTWARE 3",
        "T20f",
        "ß",
        "Lung soft",
        "knowledge",
    ],
)
def test_what_nobody_explains_is_unknown(kernel: str | None) -> None:
    assert sharpness_of(kernel) == "unknown"


@pytest.mark.parametrize(
    ("kernel", "shown"),
    [
        ("B31f", "B31f"),
        (r"Br40d\3", "Br40d"),
        ("['Br40d', '3']", "Br40d"),
        ("KRN 7", "KRN 7"),
        ("19000101", None),
        ("1.2.840.10008.5.1.4.1.1.2", None),
        ("/home/me/kernel", None),
        ("a sentence that somebody wrote here", None),
        ("<b>", None),
        (None, None),
    ],
)
def test_only_what_looks_like_a_name_is_shown(kernel: str | None, shown: str | None) -> None:
    assert plain_name(kernel) == shown
