"""What may not leave is replaced; figures, versions and names of methods stay."""

from __future__ import annotations

import time

import pytest

from mmstudy.report.study.hide import hiding

HIDE = hiding(["4f2a9c0b11de", "case-1.a", "7", "x", "12345"], ["node7"])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("case 4f2a9c0b11de, fold 4f2a9c0b11de_0.npy", "case [patient], fold [patient]_0.npy"),
        ("of case-1.a.", "of [patient]."),
        ("on node7: out of memory", "on [machine]: out of memory"),
        ("A0001 and Lung_Dx-G0012 and a0002", "[patient] and [patient] and [patient]"),
        ("/data/x.npy", "[path]"),
        ("in ~/studies/x, ./y and ../z", "in [path], [path] and [path]"),
        ("File '/usr/lib/a.py', line 3", "File '[path]', line 3"),
        ("file:///home/me/x", "[address]"),
        ("s3://bucket/key?x=1 gone", "[address] gone"),
        ("so...http://node/x, -a/b/c.d, x=runs/a.py", "[address] [path], x=[path]"),
        (r"C:\Users\me\x and \\host\share", "[path] and [path]"),
        ("a/b/c and runs/spec.yaml", "[path] and [path]"),
        ("1.2.840.113619.2.55.3", "[UID]"),
        ("from 10.0.0.17", "from [UID]"),
        ("on 2026-01-31 and 2026-01-31T10:20:30.5", "on [date] and [date]"),
        ("StudyDate 20260131 at 10:20:30", "StudyDate [date] at [time]"),
        ("DT 20260131102030.5 and 202601311020", "DT [date].5 and [date]"),
        ("31.01.2026, 31-01-2026, 2026.01.31, 2026_01_31", "[date], [date], [date], [date]"),
        ("Jan 31, 2026 or 31 January 2026", "[date] or [date]"),
    ],
)
def test_it_is_hidden(text: str, shown: str) -> None:
    assert HIDE(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "0.786 [0.61, 0.90] 10/15",
        "version 2.5.1+cu121, 0.2.0.dev411, 2024.12.0, 2025.2",
        "seed 20261399, 202613011020",
        "PENet+E3D-MSCA, and/or, MMCAF-Net",
        "NVIDIA RTX A4000, trial 7 of 12345 at x",
        "cohort 5217a9a9939b2960, code bdd637f7e0de-dirty",
        "BMJ 385:e078378; Radiology 6(4):e240300",
        "1.5 to 3 mm; 20 / 48",
    ],
)
def test_it_stays(text: str) -> None:
    assert HIDE(text) == text


@pytest.mark.parametrize(
    "part", ["a.", "a-", "1.", "a/", "/a", " a", "a:", "2026", "Jan ", "\\\\a"]
)
def test_a_long_text_takes_no_longer_than_its_length(part: str) -> None:
    text = part * (100_000 // len(part))
    began = time.process_time()
    HIDE(text)
    assert time.process_time() - began < 5  # minutes, where a pattern begins again at every sign
