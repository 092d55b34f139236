"""Inputs from the field through the whole ingestion, each held against the true Hounsfield units.

One tree carries them all, each done to a patient of its own. What comes out is the true volume, or
part of one pass with a flag that says so, or the patient is left out by name: never a mixture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from pydicom import dcmread

from mmcaf.data.ingest.run import ingest
from mmcaf.data.synthetic.write import SyntheticSpec, edit_slice, write

SIDE, SLICES = 32, 24
SLICE_MM = 5.0


@dataclass(frozen=True)
class Body:
    """A patient with one series of one pass, to be changed."""

    slices: list[Path]  # foot to head

    def each(self, change: Callable[[Any, int], None], which: Any = slice(None)) -> None:
        """Alter slices in place; `change` gets the slice and its number from the foot."""
        for number in range(SLICES)[which]:
            edit_slice(self.slices[number], lambda of, n=number: change(of, n))

    def again(
        self, change: Callable[[Any, int], None], which: Any = slice(None), mark: str = "7"
    ) -> None:
        """Write slices another time, altered, with SOPInstanceUIDs of their own."""
        for number in range(SLICES)[which]:

            def altered(of: Any, n: int = number) -> None:
                of.SOPInstanceUID += f".{mark}"
                change(of, n)

            path = self.slices[number]
            edit_slice(path, altered, path.with_name(f"{mark}{path.name[1:]}"))

    def download(self, change: Callable[[Any, int], None], which: Any = slice(None)) -> None:
        """Write slices another time, with the same SOPInstanceUIDs, into a second folder."""
        for number in range(SLICES)[which]:
            path = self.slices[number]
            place = path.parents[1] / "second-download" / path.name
            edit_slice(path, lambda of, n=number: change(of, n), place)


@dataclass(frozen=True)
class Input:
    strike: Callable[[Body], None]
    flags: set[str]  # exactly these come out
    whole: bool  # the true volume; else part of one pass
    code: str | None  # of the patient's files, where the patient is left out


INPUTS: dict[str, Input] = {}


def given(
    *flags: str, whole: bool = True, left_out: str | None = None
) -> Callable[[Callable[[Body], None]], Callable[[Body], None]]:
    """Enter an input, with the flags it ends in, or the code with which the patient is left out."""

    def register(strike: Callable[[Body], None]) -> Callable[[Body], None]:
        INPUTS[strike.__name__] = Input(strike, set(flags), whole and not left_out, left_out)
        return strike

    return register


def setting(**values: Any) -> Callable[[Any, int], None]:
    """A change that sets attributes, some of them by the number of the slice."""

    def change(of: Any, number: int) -> None:
        for name, value in values.items():
            setattr(of, name, value(number) if callable(value) else value)

    return change


def moved(of: Any, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> None:
    place = of.ImagePositionPatient
    of.ImagePositionPatient = [float(place[0]) + x, float(place[1]) + y, float(place[2]) + z]


def brighter(of: Any, hu: float) -> None:
    of.RescaleIntercept = float(of.RescaleIntercept) + hu


# A label that counts, is missing or changes within one body parts nothing.


@given()
def acquisition_number_of_every_slice(body: Body) -> None:
    body.each(setting(AcquisitionNumber=lambda n: n + 1))


@given()
def acquisition_number_of_every_rotation_from_head_to_foot(body: Body) -> None:
    body.each(
        setting(
            AcquisitionNumber=lambda n: 6 - n // 4,
            AcquisitionTime=lambda n: f"1000{50 - n // 4 * 5}",
        )
    )


@given()
def acquisition_number_of_each_half(body: Body) -> None:
    body.each(setting(AcquisitionNumber=lambda n: 1 + n // 12))


@given()
def acquisition_number_of_every_slice_and_time_of_some(body: Body) -> None:
    body.each(setting(AcquisitionNumber=lambda n: 40 - n))
    body.each(setting(AcquisitionTime="101010"), slice(3, 9))


@given()
def acquisition_number_missing_on_every_fifth(body: Body) -> None:
    body.each(setting(AcquisitionNumber=None), slice(2, None, 5))


@given()
def acquisition_number_missing_on_every_second(body: Body) -> None:
    body.each(setting(AcquisitionNumber=None), slice(None, None, 2))


@given()
def acquisition_number_another_on_every_third(body: Body) -> None:
    body.each(setting(AcquisitionNumber=9), slice(None, None, 3))


@given()
def acquisition_number_and_time_missing_on_one_half(body: Body) -> None:
    body.each(setting(AcquisitionNumber=None, AcquisitionTime="100000"), slice(12))


# Two phases of one body, in every way they are told apart.


@given("W_MULTI_PHASE")
def two_phases_shifted_without_acquisition_number(body: Body) -> None:
    def later(of: Any, n: int) -> None:
        del of.AcquisitionNumber
        of.AcquisitionTime, of.InstanceNumber = "100130", of.InstanceNumber + 100
        moved(of, z=2)
        brighter(of, 60)

    body.again(later)
    body.each(setting(AcquisitionNumber=None, AcquisitionTime="100000"))


@given("W_MULTI_PHASE")
def three_phases_shifted_by_a_millimetre_each_with_times_only(body: Body) -> None:
    for phase in (1, 2):

        def later(of: Any, n: int, phase: int = phase) -> None:
            of.AcquisitionTime, of.AcquisitionNumber = f"1001{phase}0", None
            moved(of, z=phase)
            brighter(of, 60 * phase)

        body.again(later, mark=str(phase + 1))
    body.each(setting(AcquisitionNumber=None, AcquisitionTime="100000"))


@given("W_MULTI_PHASE")
def two_phases_half_a_spacing_apart_with_numbers_only(body: Body) -> None:
    def later(of: Any, n: int) -> None:
        of.InstanceNumber += SLICES
        moved(of, z=SLICE_MM / 2)
        brighter(of, 60)

    body.again(later)


@given("W_MULTI_PHASE")
def two_phases_half_a_spacing_apart_with_acquisition_numbers_only(body: Body) -> None:
    def later(of: Any, n: int) -> None:
        of.AcquisitionNumber, of.InstanceNumber = 2, None
        moved(of, z=SLICE_MM / 2)
        brighter(of, 60)

    body.again(later)
    body.each(setting(InstanceNumber=None))


@given("W_MULTI_PHASE")
def two_phases_half_a_spacing_apart_numbered_through_by_place(body: Body) -> None:
    def later(of: Any, n: int) -> None:
        of.AcquisitionTime, of.InstanceNumber = "100200", 2 * n + 1
        moved(of, z=SLICE_MM / 2)
        brighter(of, 60)

    body.again(later)
    body.each(setting(AcquisitionTime="100000", InstanceNumber=lambda n: 2 * n))


@given("W_MULTI_PHASE")
def two_phases_whose_numbers_restart_and_nothing_else_tells(body: Body) -> None:
    def later(of: Any, n: int) -> None:
        moved(of, z=SLICE_MM / 2)
        brighter(of, 60)

    body.again(later)


@given("W_MULTI_PHASE")
def two_phases_the_second_from_head_to_foot(body: Body) -> None:
    def later(of: Any, n: int) -> None:
        of.InstanceNumber = 2 * SLICES - n
        moved(of, z=SLICE_MM / 2)
        brighter(of, 60)

    body.again(later)
    body.each(setting(InstanceNumber=lambda n: n))


@given("W_MULTI_PHASE")
def two_phases_over_midnight(body: Body) -> None:
    def later(of: Any, n: int) -> None:
        of.AcquisitionTime, of.InstanceNumber = f"0000{n:02d}", n
        brighter(of, 60)

    body.again(later)
    body.each(setting(AcquisitionTime=lambda n: f"2359{n:02d}", InstanceNumber=lambda n: n))


@given("W_MULTI_PHASE")
def two_phases_at_equal_times_with_numbers_that_go_on(body: Body) -> None:
    def later(of: Any, n: int) -> None:
        of.AcquisitionTime, of.InstanceNumber = f"1000{n:02d}", SLICES + n
        moved(of, z=SLICE_MM / 2)
        brighter(of, 60)

    body.again(later)
    body.each(setting(AcquisitionTime=lambda n: f"1000{n:02d}", InstanceNumber=lambda n: n))


@given("W_MULTI_PHASE")
def two_phases_of_which_one_lacks_its_acquisition_number(body: Body) -> None:
    def later(of: Any, n: int) -> None:
        of.AcquisitionNumber = None
        brighter(of, 60)

    body.again(later)


@given(left_out="E_MIXED_PASSES")
def two_phases_that_nothing_tells_apart(body: Body) -> None:
    body.again(lambda of, n: brighter(of, 60))


# Numbers that differ by rounding are one.


@given("W_FIELD", "W_BODY_SIZE")  # a body of 50 mm
def spacing_on_the_border_of_rounding(body: Body) -> None:
    def noise(of: Any, n: int) -> None:
        of.PixelSpacing = ["0.7812499" if n % 3 == 0 else "0.7812501"] * 2

    body.each(noise)


@given("W_FIELD", "W_BODY_SIZE")  # a body of 50 mm
def spacing_with_three_and_with_nine_digits(body: Body) -> None:
    def noise(of: Any, n: int) -> None:
        of.PixelSpacing = ["0.781" if n % 2 else "0.781250000"] * 2

    body.each(noise)


@given()
def orientation_on_the_border_of_rounding(body: Body) -> None:
    def noise(of: Any, n: int) -> None:
        small = 0.0004999 if n % 2 else 0.0005001
        of.ImageOrientationPatient = [1, small, 0, -small, 1, 0]

    body.each(noise)


@given()
def orientation_noise_of_every_slice(body: Body) -> None:
    random = np.random.default_rng(0)

    def noise(of: Any, n: int) -> None:
        x, y = random.normal(0, 5e-4, 2)
        of.ImageOrientationPatient = [1, f"{x:.9f}", f"{y:.9f}", f"{-x:.9f}", 1, f"{y:.9f}"]

    body.each(noise)


@given()
def position_noise_of_a_hundredth_of_a_millimetre(body: Body) -> None:
    random = np.random.default_rng(0)

    def noise(of: Any, n: int) -> None:
        x, y, z = random.uniform(-0.01, 0.01, 3).round(5)
        moved(of, x, y, z)

    body.each(noise)


@given("W_MULTI_PHASE")
def position_noise_of_two_phases(body: Body) -> None:
    random = np.random.default_rng(0)

    def later(of: Any, n: int) -> None:
        of.InstanceNumber += SLICES
        moved(of, z=random.uniform(-0.01, 0.01).__round__(5))
        brighter(of, 60)

    body.again(later)


# One slice is what it shows and where, whatever it is called.


@given()
def series_exported_again(body: Body) -> None:
    body.again(lambda of, n: None)


@given()
def series_exported_again_with_new_numbers_and_times(body: Body) -> None:
    def anew(of: Any, n: int) -> None:
        of.InstanceNumber, of.AcquisitionNumber = 500 - n, 3
        of.ContentTime = f"2000{n:02d}"

    body.again(anew)


@given()
def third_of_a_series_exported_twice_with_fewer_digits(body: Body) -> None:
    def anew(of: Any, n: int) -> None:
        moved(of, x=0.004, z=-0.003)

    body.again(anew, slice(4, 12))
    body.again(anew, slice(6, 12), mark="8")


@given()
def two_downloads_that_differ_in_a_tag(body: Body) -> None:
    body.download(setting(StudyDescription="cleaned"))


@given()
def two_downloads_of_which_one_is_stripped_and_signed(body: Body) -> None:
    def other(of: Any, n: int) -> None:
        hu = of.pixel_array.astype(np.int32) + int(of.RescaleIntercept)
        of.BitsStored, of.HighBit, of.PixelRepresentation, of.RescaleIntercept = 16, 15, 1, 0
        of.PixelData = hu.astype("<i2").tobytes()
        del of.InstanceNumber, of.AcquisitionNumber

    body.download(other)


@given()
def two_downloads_of_which_one_lacks_slices(body: Body) -> None:
    body.download(setting(AccessionNumber="1", AcquisitionTime="100000"), slice(0, 17))


@given(left_out="E_DUP_SOP_CONFLICT")
def two_downloads_with_other_intercepts(body: Body) -> None:
    body.download(lambda of, n: brighter(of, 10))


@given("W_Z_GAP", "W_SLICES_LEFT_OUT", "W_BOX_LOST", whole=False)
def two_downloads_of_which_one_has_a_slice_elsewhere(body: Body) -> None:
    body.download(setting(StudyDescription="cleaned"))
    body.download(lambda of, n: moved(of, z=1), slice(9, 10))


# Part of the body scanned again.


@given("W_MULTI_PHASE", "W_SLICES_LEFT_OUT")
def part_scanned_again_with_times_of_its_own(body: Body) -> None:
    def again(of: Any, n: int) -> None:
        of.InstanceNumber, of.AcquisitionTime = 200 + n, "100200"
        brighter(of, 50)

    body.again(again, slice(8, 15))


@given("W_MULTI_PHASE", "W_SLICES_LEFT_OUT")
def part_scanned_again_two_millimetres_on(body: Body) -> None:
    def again(of: Any, n: int) -> None:
        of.InstanceNumber = 200 + n
        moved(of, z=2)
        brighter(of, 50)

    body.again(again, slice(8, 15))


@given("W_MULTI_PHASE", "W_SLICES_LEFT_OUT")
def two_parts_scanned_again_without_numbers(body: Body) -> None:
    def again(of: Any, n: int) -> None:
        of.AcquisitionNumber, of.InstanceNumber = 2 + n // 12, None
        brighter(of, 50)

    body.again(again, slice(3, 8))
    body.again(again, slice(15, 20))
    body.each(setting(InstanceNumber=None))


@given("W_MULTI_PHASE")
def half_scanned_again_with_numbers_that_go_on(body: Body) -> None:
    def again(of: Any, n: int) -> None:
        of.InstanceNumber = 200 + n
        brighter(of, 50)

    body.again(again, slice(8, 21))


@given("W_MULTI_PHASE", "W_SLICES_LEFT_OUT", whole=False)
def second_half_scanned_apart_with_an_overlap(body: Body) -> None:
    def lower(of: Any, n: int) -> None:
        of.InstanceNumber, of.AcquisitionNumber = n, 1

    def upper(of: Any, n: int) -> None:
        of.InstanceNumber, of.AcquisitionNumber = 50 + n, 2
        brighter(of, 50)

    body.again(upper, slice(10, None))
    body.each(lower)
    for path in body.slices[13:]:
        path.unlink()


# What is left out, and origins that jump.


@given("W_SLICES_LEFT_OUT", whole=False)
def last_slice_of_another_spacing(body: Body) -> None:
    body.each(setting(PixelSpacing=[1.5, 1.5]), slice(23, 24))


@given("W_SLICES_LEFT_OUT", whole=False)
def last_slice_cut_short(body: Body) -> None:
    content = body.slices[-1].read_bytes()
    body.slices[-1].write_bytes(content[:-300])


@given("W_SLICES_LEFT_OUT", whole=False)
def last_slice_unreadable(body: Body) -> None:
    body.slices[-1].write_bytes(body.slices[-1].read_bytes()[:200])


@given("W_SLICES_LEFT_OUT", "W_BOX_LOST", "W_Z_GAP", "W_MULTI_PHASE", whole=False)
def one_position_twice_and_nothing_tells_which(body: Body) -> None:
    body.again(lambda of, n: brighter(of, 50), slice(9, 10))


@given("W_SLICES_LEFT_OUT", whole=False)
def slices_missing_in_the_middle(body: Body) -> None:
    for path in body.slices[6:11]:
        path.unlink()


@given("W_ORIGIN_SHIFT")
def one_slice_shifted_in_its_plane(body: Body) -> None:
    body.each(lambda of, n: moved(of, x=20), slice(9, 10))


@given("W_ORIGIN_SHIFT")
def slices_shifted_from_one_on(body: Body) -> None:
    body.each(lambda of, n: moved(of, y=5), slice(9, None))


@given("W_TILT")
def slices_sheared_throughout(body: Body) -> None:
    body.each(lambda of, n: moved(of, y=n))


@dataclass(frozen=True)
class Found:
    rows: dict[str, dict[str, Any]]  # input -> the patient's row
    volumes: dict[str, NDArray[np.int16]]
    truths: dict[str, NDArray[np.int16]]
    codes: dict[str, set[str]]  # of the patient's files


def hounsfield(path: Path) -> NDArray[np.int16]:
    of = dcmread(path)
    hu = np.rint(of.pixel_array * float(of.RescaleSlope) + float(of.RescaleIntercept))
    return np.clip(hu, -1024, 3071).astype(np.int16)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    folder = tmp_path_factory.mktemp("true")
    tree, patients = folder / "tree", len(INPUTS) * 3 // 2 + 3
    write(tree, SyntheticSpec(patients=patients, size=SIDE, slices=SLICES, seed=7))
    folders = sorted(tree.glob("manifest-*/*/Lung_Dx-*"))
    single = [one for one in folders if len(list(one.glob("*/*"))) == 1]
    victims = dict(zip(INPUTS, single, strict=False))
    truths = {}
    for name, of_patient in victims.items():
        body = Body(sorted(of_patient.rglob("*.dcm"), reverse=True))
        truths[name] = np.stack([hounsfield(path) for path in body.slices])
        INPUTS[name].strike(body)
    cohort = ingest([tree], folder / "cohort", in_plane_px=SIDE, workers=1)
    files = pl.read_parquet(cohort.folder / "instances.parquet")
    rows = {row["patient_id"]: row for row in cohort.patients.to_dicts()}
    named = {name: one.name[-5:] for name, one in victims.items()}
    of_input = {name: rows[patient] for name, patient in named.items() if patient in rows}
    return Found(
        rows=of_input,
        volumes={
            name: np.load(next(cohort.folder.glob(f"volumes/*/{row['volume']}.npy")))
            for name, row in of_input.items()
        },
        truths=truths,
        codes={
            name: set(
                files.filter(pl.col("path").str.contains(patient))
                .select(pl.coalesce("verdict", "reason"))["verdict"]
                .drop_nulls()
            )
            for name, patient in named.items()
        },
    )


def of_one_pass(volume: NDArray[np.int16], truth: NDArray[np.int16]) -> bool:
    """Whether slices rise through the body, all as bright against it as the first."""
    brightness = set()
    places = []
    for plane in volume.astype(int):
        apart = plane - truth
        inside = (truth > -1000) & (plane > -1000)  # where nothing was clipped
        flat = [n for n in range(len(truth)) if np.ptp(apart[n][inside[n]]) == 0]
        assert len(flat) == 1
        places.append(flat[0])
        brightness.add(int(apart[flat[0]][inside[flat[0]]][0]))
    return len(brightness) == 1 and bool((np.diff(places) > 0).all())


@pytest.mark.parametrize("name", [name for name, one in INPUTS.items() if one.whole])
def test_the_volume_is_the_true_one(found: Found, name: str) -> None:
    assert np.array_equal(found.volumes[name], found.truths[name])


@pytest.mark.parametrize("name", [name for name, one in INPUTS.items() if not one.code])
def test_the_flags_say_what_there_was_to_tell(found: Found, name: str) -> None:
    assert set(found.rows[name]["qc_flags"]) - {"W_NO_BOX"} == INPUTS[name].flags


@pytest.mark.parametrize(
    "name", [name for name, one in INPUTS.items() if not one.whole and not one.code]
)
def test_part_of_a_body_is_of_one_pass(found: Found, name: str) -> None:
    assert of_one_pass(found.volumes[name], found.truths[name])


@pytest.mark.parametrize("name", [name for name, one in INPUTS.items() if one.code])
def test_whom_nothing_can_be_told_of_is_left_out_by_name(found: Found, name: str) -> None:
    assert name not in found.rows
    assert INPUTS[name].code in found.codes[name]


def test_every_other_patient_is_as_written(found: Found) -> None:
    assert len(found.rows) == len(INPUTS) - sum(1 for one in INPUTS.values() if one.code)
