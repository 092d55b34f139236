"""Single random edits end in the true value, in a code, or in a name: a seeded sample.

SOAK=full does all of them, and goes on where it was stopped; SOAK_SEED chooses others.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import pytest

from mmcaf.data.ingest import dicom
from mmcaf.data.synthetic.write import SyntheticSpec
from mutations import annotations, cells, headers
from mutations.bench import Bench
from mutations.elements import Elements, Value
from mutations.endings import Ending, Endings
from mutations.judge import judged, worst
from mutations.limits import LIMITS, limit_of
from mutations.runs import RUNS, run

FULL = os.environ.get("SOAK") == "full"
SEED = int(os.environ.get("SOAK_SEED", "17"))
COUNTS = {"headers": (2_000, 120), "cells": (500, 60), "annotations": (500, 60)}
KEPT = Path(__file__).parents[4] / "test-results" / "mutations"


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_no_edit_ends_silently(name: str, tmp_path: Path) -> None:
    full, sample = COUNTS[name]
    kept = KEPT if FULL else None
    endings = run(RUNS[name](tmp_path, SEED), name, SEED, full if FULL else sample, kept)
    sys.stdout.write(f"\n{endings}\n")
    silent = sum(one.outcome == "SILENT" for one in endings.of.values())
    sys.stdout.write(f"{name}, seed {SEED}: {len(endings.of)} edits, {silent} silently wrong\n")
    assert len(endings.of) == (full if FULL else sample)
    assert not endings.faults


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    spec = SyntheticSpec(patients=4, size=64, slices=12, seed=7)
    return Bench(tmp_path_factory.mktemp("mutations") / "bench", spec)


def test_an_unharmed_tree_is_exact(bench: Bench) -> None:
    with bench.harmed({}) as found:
        endings = [judged(bench, found, name) for name in bench.patients]
    assert endings == [("exact", "")] * 4


def test_a_wrong_value_without_a_word_is_silent(bench: Bench) -> None:
    """The judge itself: the same wrong volume, once with a flag and once without."""
    name = bench.patients[0]
    with bench.harmed({}) as found:
        (path,) = found.outcome.folder.glob(
            f"volumes/*/{found.outcome.patients[name]['volume']}.npy"
        )
        content = bytearray(path.read_bytes())
        content[-5_000] ^= 1
        path.write_bytes(content)
        outcome, note = judged(bench, found, name)
        assert (outcome, note) == ("SILENT", f"{name}: 1 HU off, 1 voxels of 1 slices")
        found.outcome.patients[name]["qc_flags"] = ["W_TILT"]
        assert judged(bench, found, name) == ("flagged", "W_TILT")
        found.outcome.patients.pop(name)
        assert judged(bench, found, name) == ("SILENT", f"{name} is in no list")
        found.outcome.excluded[name] = "E_HU"
        assert judged(bench, found, name) == ("named", "E_HU")


@pytest.mark.parametrize("column", ["spacing_z_mm", "spacing_x_mm", "sex", "lesion_n_slices"])
def test_a_wrong_number_without_a_word_is_silent(bench: Bench, column: str) -> None:
    name = bench.patients[0]
    with bench.harmed({}) as found:
        found.outcome.patients[name][column] = found.outcome.patients[name][column] * 1.01 + 1
        outcome, note = judged(bench, found, name)
    assert outcome == "SILENT"
    assert column in note


def test_what_was_harmed_is_put_back(bench: Bench) -> None:
    path = bench.stacks[0].files[3]
    before, time = path.read_bytes(), path.stat().st_mtime_ns
    with bench.harmed({path: b"else", bench.tree / "new.xml": b""}):
        assert path.read_bytes() == b"else"
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (before, time)
    assert not (bench.tree / "new.xml").exists()


def test_elements_are_written_as_they_were_read(bench: Bench) -> None:
    for stack in bench.stacks:
        content = stack.files[0].read_bytes()
        elements = Elements.read(content)
        assert elements.value("Rows") == [64]
        assert Elements.read(elements.written()) == elements
        assert elements.written()[-8192:] == content[-8192:]


def test_every_attribute_the_reader_asks_for_is_edited() -> None:
    assert {*dicom._TAGS} <= {*headers.ATTRIBUTES}


@pytest.mark.parametrize("number", range(5))
def test_an_edit_is_drawn_from_seed_and_number_alone(bench: Bench, number: int) -> None:
    def drawn(seed: int) -> list[str]:
        def chance() -> random.Random:
            return random.Random(f"{seed} {number}")  # noqa: S311 - no secret

        header, cell = headers.draw([bench], chance()), cells.draw(bench, chance())
        return [str(header), cell.words, annotations.draw(bench, chance()).words]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    done: list[int] = []

    def do(number: int) -> Ending:
        done.append(number)
        return Ending(number, "Rows", "64 -> 32", "SILENT", "half a picture")

    kept = tmp_path / "kept.jsonl"
    Endings("x 1", kept).run(range(3), do)
    kept.write_text(kept.read_text() + '{"number": 3, "subj')
    again = Endings("x 1", kept)
    again.run(range(5), do)
    assert done == [0, 1, 2, 3, 4]
    assert len(again.faults) == 5
    assert "SILENT x 1 4: 64 -> 32; half a picture" in str(again)


FOUND: list[tuple[str, Value | None, slice]] = [
    # attribute, what was written, of which slices from foot to head; all were silent once
    ("BitsAllocated", [32], slice(0, 1)),
    ("BitsStored", [8], slice(None)),
    ("BitsStored", [10], slice(None)),
    ("BitsStored", [6], slice(7, 8)),
    ("Columns", [63], slice(0, 11)),
    ("ImageOrientationPatient", ["0", "1", "0", "-1", "0", "0"], slice(23, 24)),
    ("ImagePositionPatient", None, slice(0, 6)),
    ("PatientID", None, slice(20, 24)),
    ("PatientID", ["Lung_Dx-G9001"], slice(18, 24)),
    ("PhotometricInterpretation", [], slice(0, 1)),
    ("PixelPaddingValue", [24], slice(None)),
    ("PixelPaddingValue", [1064], slice(9, 10)),
    ("PixelRepresentation", [65535], slice(0, 9)),
    ("PixelSpacing", ["2.8125", "2.8125"], slice(None)),
    ("PixelSpacing", ["32768", "5.625"], slice(None)),
    ("PixelSpacing", ["2.8125", "2.8125"], slice(20, 24)),
    ("RescaleIntercept", ["-1000"], slice(11, 12)),
    ("RescaleIntercept", ["-1000"], slice(0, 10)),
    ("RescaleIntercept", ["-960"], slice(None)),
    ("RescaleIntercept", ["0"], slice(23, 24)),
    ("RescaleIntercept", ["-8192"], slice(3, 4)),
    ("RescaleIntercept", ["-99999999"], slice(0, 17)),
    ("RescaleIntercept", None, slice(5, 6)),
    ("RescaleSlope", ["0.5"], slice(None)),
    ("RescaleSlope", ["0.5"], slice(0, 1)),
    ("RescaleSlope", ["-1"], slice(4, 5)),
    ("Rows", [63], slice(None)),
    ("Rows", [128], slice(0, 5)),
    ("SOPInstanceUID", [], slice(0, 1)),
    ("SamplesPerPixel", [], slice(18, 24)),
    ("SeriesInstanceUID", [], slice(0, 1)),
    ("SeriesInstanceUID", ["UNKNOWN"], slice(0, 1)),
    ("TransferSyntaxUID", None, slice(23, 24)),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Of 24 slices, so that a patient stays who loses half of them; nothing else names patients."""
    spec = SyntheticSpec(patients=4, size=64, slices=24, seed=8)
    return Bench(tmp_path_factory.mktemp("mutations") / "whole", spec, flat=True)


@pytest.mark.parametrize(("attribute", "value", "places"), FOUND)
def test_an_edit_that_ended_silently_once_does_not(
    whole: Bench, attribute: str, value: Value | None, places: slice
) -> None:
    stack = next(one for one in whole.stacks if one.patient == "A9002")
    written = {}
    for path in stack.files[places]:
        elements = Elements.read(path.read_bytes())
        elements.set(attribute, value)
        written[path] = elements.written()
    with whole.harmed(written) as found:
        assert not found.stopped
        assert not found.crashed
        outcome, note = worst(judged(whole, found, name) for name in whole.patients)
    assert outcome != "SILENT", note


def edit(
    attribute: str, old: str, new: str, bench: Bench, scope: str = "all"
) -> headers.HeaderEdit:
    files = [*bench.stacks[0].files]
    before, after = ([[value]] * len(files) for value in (old, new))
    name = bench.stacks[0].patient
    return headers.HeaderEdit(bench, name, attribute, "x", scope, [*before], [*after], files)


def test_limits_are_narrow(bench: Bench) -> None:
    assert limit_of(edit("RescaleIntercept", "-1024", "-1000", bench)) is LIMITS[0]
    assert limit_of(edit("RescaleIntercept", "-1024", "-974", bench)) is None
    assert limit_of(edit("RescaleIntercept", "-1024", "-1000", bench, "some")) is None
    assert limit_of(edit("RescaleSlope", "1", "1.2", bench)) is None
    assert limit_of(edit("PixelSpacing", "0.7", "1.1", bench)) is None
    assert limit_of(edit("PixelSpacing", "0.7", "0.8", bench)) is LIMITS[2]
    assert all(limit.reason for limit in LIMITS)
