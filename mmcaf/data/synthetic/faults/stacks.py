"""Faults of the geometry: gaps, copies, phases, order, and peculiarities that are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mmcaf.data.synthetic.faults.victim import Victim, fault, keeping, setting
from mmcaf.data.synthetic.write import edit_slice


@fault("W_Z_GAP")
def _a_slice_is_missing(of: Victim) -> None:
    marked = {path.stem: path for path in of.boxes}
    gone = of.slices[3]
    marked.get(_sop_uid(gone), gone).unlink()
    gone.unlink(missing_ok=True)


def _sop_uid(path: Path) -> str:
    found: list[str] = []
    edit_slice(path, lambda slice_: found.append(str(slice_.SOPInstanceUID)), path)
    return found[0]


@fault("E_DUP_POSITION")
def _a_slice_is_there_twice(of: Victim) -> None:
    def again(slice_: Any) -> None:
        slice_.SOPInstanceUID += ".1"
        slice_.InstanceNumber = 500
        slice_.RescaleIntercept += 20

    edit_slice(of.slices[3], again, of.slices[3].with_name("9-99.dcm"))


@fault("E_DUP_PIXELS")
def _a_series_is_exported_twice(of: Victim) -> None:
    for path in of.slices:

        def anew(slice_: Any) -> None:
            slice_.SOPInstanceUID += ".1"

        edit_slice(path, anew, path.with_name(f"{path.stem} (1).dcm"))


@fault("W_MULTI_PHASE")
def _three_acquisitions_share_a_series(of: Victim) -> None:
    for path in of.slices:
        for phase in (2, 3):

            def later(slice_: Any, phase: int = phase) -> None:
                slice_.SOPInstanceUID += f".{phase}"
                slice_.AcquisitionNumber = phase
                slice_.RescaleIntercept += 20 * phase

            edit_slice(path, later, path.with_name(f"{phase}{path.name[1:]}"))


@fault("W_MULTI_PHASE")
def _two_acquisitions_share_a_number(of: Victim) -> None:
    of.edit(setting(AcquisitionTime="100000"))
    for path in of.slices:

        def later(slice_: Any) -> None:
            slice_.SOPInstanceUID += ".2"
            slice_.AcquisitionTime = "100130"
            slice_.RescaleIntercept += 20

        edit_slice(path, later, path.with_name(f"2{path.name[1:]}"))


@fault("E_MIXED_PASSES")
def _two_acquisitions_that_nothing_tells_apart(of: Victim) -> None:
    for path in of.slices:

        def later(slice_: Any) -> None:
            slice_.SOPInstanceUID += ".2"
            slice_.RescaleIntercept += 20

        edit_slice(path, later, path.with_name(f"2{path.name[1:]}"))


@fault("E_REPEATED_POSITIONS")
def _bolus_tracking(of: Victim) -> None:
    brightness = iter(range(15))

    def later(slice_: Any) -> None:
        slice_.RescaleIntercept += next(brightness)

    of.add(later, "Smart Prep Series", "77", times=15)


@fault("W_SLICES_LEFT_OUT")
def _the_last_slice_is_of_another_spacing(of: Victim) -> None:
    of.edit(setting(PixelSpacing=[1.5, 1.5]), -1)


@fault("W_ORIGIN_SHIFT")
def _one_slice_has_another_field_of_view(of: Victim) -> None:
    def aside(slice_: Any) -> None:
        x, y, z = slice_.ImagePositionPatient
        slice_.ImagePositionPatient = [x + 20, y, z]

    of.edit(aside, 5)


@fault("E_FEW_SLICES")
def _a_tiny_series(of: Victim) -> None:
    of.add(keeping, "tiny", "78", times=1)


@fault("E_MIXED_SHAPE")
def _a_slice_of_another_spacing(of: Victim) -> None:
    spacing = setting(PixelSpacing=[1.5, 1.5])
    of.edit(spacing, 0)


@fault("W_INSTANCE_ORDER")
def _two_positions_are_swapped(of: Victim) -> None:
    first, second = of.slices[0], of.slices[1]
    places: list[Any] = []
    for path in (first, second):
        edit_slice(path, lambda slice_: places.append(slice_.ImagePositionPatient), path)
    for path, place in zip((first, second), reversed(places), strict=True):
        edit_slice(path, setting(ImagePositionPatient=place))


@fault("W_TILT")
def _a_sheared_stack(of: Victim) -> None:
    for number, path in enumerate(of.slices):

        def shear(slice_: Any, number: int = number) -> None:
            x, y, z = slice_.ImagePositionPatient
            slice_.ImagePositionPatient = [x, y + number, z]

        edit_slice(path, shear)


@fault(None)
def _names_are_shuffled(of: Victim) -> None:
    slices = of.slices
    order = np.random.default_rng(0).permutation(len(slices))
    for path, position in zip(slices, order, strict=True):
        path.rename(path.with_name(f"x{position:03d}"))


@fault(None)
def _feet_first_and_numbered_upwards(of: Victim) -> None:
    for number, path in enumerate(of.slices, 1):
        edit_slice(path, setting(PatientPosition="FFS", InstanceNumber=number))


@fault(None)
def _big_endian(of: Victim) -> None:
    def swap(slice_: Any) -> None:
        slice_.file_meta.TransferSyntaxUID = type(slice_.SOPInstanceUID)("1.2.840.10008.1.2.2")
        slice_.PixelData = np.frombuffer(slice_.PixelData, "<u2").astype(">u2").tobytes()

    of.edit(swap)


@fault(None)
def _padding_outside_the_field_of_view(of: Victim) -> None:
    def pad(slice_: Any) -> None:
        hu = slice_.pixel_array.astype(np.int32) + int(slice_.RescaleIntercept)
        hu[:3, :3] = -2000
        slice_.BitsStored, slice_.HighBit, slice_.PixelRepresentation = 16, 15, 1
        slice_.RescaleIntercept = 0
        slice_.PixelData = hu.astype("<i2").tobytes()

    of.edit(pad)
