"""Remedies: for codes that there are, and true of what was found."""

from __future__ import annotations

import pytest

from mmcaf.data.ingest.patients.remedies import REMEDIES, remedy
from mmcaf.data.ingest.rules import CODES


def test_every_remedy_is_of_a_code_that_excludes() -> None:
    assert REMEDIES.keys() <= {code for code in CODES if code.startswith("E_")}
    assert all(text.endswith(".") for text in REMEDIES.values())


@pytest.mark.parametrize(
    ("syntaxes", "told"),
    [
        (
            {"1.2.840.10008.1.2.4.80": 1},
            "1 file is JPEG-LS: `pip install mmcaf-study[codecs]` reads",
        ),
        ({"1.2.840.10008.1.2.4.50": 2}, "2 files are JPEG Baseline: export them uncompressed;"),
        ({"": 3}, "3 files are compressed in another way: export them uncompressed;"),
        (
            {"1.2.840.10008.1.2.4.57": 2, "1.2.840.10008.1.2.4.70": 3, "1.2.840.10008.1.2.1.99": 1},
            "5 files are JPEG Lossless: `pip install mmcaf-study[codecs]` reads them. "
            "1 file is deflated: export",
        ),
        ({}, "4 files are compressed: export them uncompressed;"),
    ],
)
def test_a_transfer_syntax_is_told_by_its_name(syntaxes: dict[str, int], told: str) -> None:
    text = remedy("E_TS_UNSUPPORTED", 4, syntaxes)
    assert text is not None
    assert text.startswith(told)


def test_where_nothing_can_be_done_nothing_is_told() -> None:
    assert remedy("E_OTHER_CLASS", 4, {}) is None
