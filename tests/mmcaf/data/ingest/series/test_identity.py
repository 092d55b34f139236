"""Files that are one slice, by what they show and where."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import RLELossless

from mmcaf.data.ingest.index import scan
from mmcaf.data.ingest.series import identity
from mmcaf.data.synthetic.write import edit_slice


@pytest.fixture
def tree(dicom_folder: Path, tmp_path: Path) -> Path:
    """Four slices of one series."""
    folder = tmp_path / "tree"
    folder.mkdir()
    for at, path in enumerate(sorted(dicom_folder.rglob("*.dcm"))[:4]):
        shutil.copy(path, folder / f"{at}.dcm")
    return folder


def reasons(tree: Path) -> dict[str, str]:
    return {
        path: reason for path, reason in scan([tree]).select("path", "reason").iter_rows() if reason
    }


def beside(tree: Path, change: Callable[[Any], None], number: int = 2, name: str = "x") -> None:
    edit_slice(tree / f"{number}.dcm", change, tree / f"{name}.dcm")


def renamed(of: Any) -> None:
    of.SOPInstanceUID += ".9"


def other_encoding(of: Any) -> None:
    """The same Hounsfield units, as signed values."""
    hu = of.pixel_array.astype(np.int32) + int(of.RescaleIntercept)
    of.BitsStored, of.HighBit, of.PixelRepresentation, of.RescaleIntercept = 16, 15, 1, 0
    of.PixelData = hu.astype("<i2").tobytes()


def packed(of: Any) -> None:
    of.compress(RLELossless, generate_instance_uid=False)


def setting(**values: Any) -> Callable[[Any], None]:
    def change(of: Any) -> None:
        for name, value in values.items():
            setattr(of, name, value)

    return change


@pytest.mark.parametrize(
    "change",
    [
        setting(StudyDescription="cleaned"),
        setting(InstanceNumber=None, AcquisitionTime="101010", ConvolutionKernel=None),
        other_encoding,
        packed,
    ],
    ids=["tag", "labels", "signed", "compressed"],
)
def test_what_says_nothing_of_the_picture_makes_no_other_slice(
    tree: Path, change: Callable[[Any], None]
) -> None:
    beside(tree, change)
    assert list(reasons(tree).values()) == ["E_DUP_SOP"]


def flipped(of: Any) -> None:
    pixels = bytearray(of.PixelData)
    pixels[len(pixels) // 2] ^= 4
    of.PixelData = bytes(pixels)


def moved(of: Any, z: float = 1.0) -> None:
    of.ImagePositionPatient[2] += z


@pytest.mark.parametrize(
    "change",
    [
        flipped,
        moved,
        setting(RescaleIntercept=-1000),
        setting(RescaleSlope=1.1),
        setting(PixelSpacing=[0.7, 0.7]),
        setting(ImageOrientationPatient=[0.9998, 0.02, 0, -0.02, 0.9998, 0]),
        setting(SeriesInstanceUID="1.2.3"),
    ],
    ids=["pixels", "place", "intercept", "slope", "spacing", "orientation", "series"],
)
def test_what_changes_the_picture_or_its_place_is_a_conflict(
    tree: Path, change: Callable[[Any], None]
) -> None:
    beside(tree, change)
    assert reasons(tree) == {"2.dcm": "E_DUP_SOP_CONFLICT", "x.dcm": "E_DUP_SOP_CONFLICT"}


def test_of_three_copies_one_that_differs_spoils_all(tree: Path) -> None:
    beside(tree, setting(StudyDescription="cleaned"))
    beside(tree, flipped, name="y")
    assert set(reasons(tree).values()) == {"E_DUP_SOP_CONFLICT"}


def test_a_slice_exported_again_is_one(tree: Path) -> None:
    beside(tree, lambda of: (renamed(of), moved(of, 0.004)))
    assert list(reasons(tree).values()) == ["E_DUP_PIXELS"]


@pytest.mark.parametrize("change", [flipped, moved, setting(RescaleIntercept=-1000)])
def test_another_picture_or_place_under_another_uid_is_another_slice(
    tree: Path, change: Callable[[Any], None]
) -> None:
    beside(tree, lambda of: (renamed(of), change(of)))
    assert reasons(tree) == {}


def test_slices_of_one_grey_are_no_evidence(tree: Path) -> None:
    def empty(of: Any) -> None:
        of.PixelData = bytes(len(of.PixelData))

    edit_slice(tree / "2.dcm", empty)
    beside(tree, renamed)
    assert reasons(tree) == {}


def test_the_fuller_header_stays_whatever_files_are_called(tree: Path) -> None:
    for number in (1, 2):
        beside(tree, setting(AcquisitionTime="101010"), number, name=("a", "x")[number - 1])
    assert reasons(tree) == {"1.dcm": "E_DUP_SOP", "2.dcm": "E_DUP_SOP"}


def test_the_export_with_annotations_stays_throughout(tree: Path) -> None:
    """Though the other one has fuller headers; and only one of its slices is annotated."""
    for number in (1, 2):
        beside(
            tree,
            lambda of: (renamed(of), setting(AcquisitionTime="101010")(of)),
            number,
            f"x{number}",
        )
    assert reasons(tree) == {"1.dcm": "E_DUP_PIXELS", "2.dcm": "E_DUP_PIXELS"}
    (tree / f"{dcmread(tree / '2.dcm').SOPInstanceUID}.xml").write_text("<annotation/>")
    assert reasons(tree) == {"x1.dcm": "E_DUP_PIXELS", "x2.dcm": "E_DUP_PIXELS"}


def test_pixels_are_read_only_where_two_files_may_be_one(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    real = identity.read_hu

    def noted(path: Path, shape: tuple[int, int]) -> Any:
        seen.append(path.name)
        return real(path, shape)

    monkeypatch.setattr(identity, "read_hu", noted)
    beside(tree, lambda of: (renamed(of), flipped(of)))  # a phase: other bytes at one place
    scan([tree])
    assert seen == []
    beside(tree, lambda of: (renamed(of), renamed(of)), name="y")
    scan([tree])
    assert sorted(seen) == ["2.dcm", "y.dcm"]


def test_copies_that_cannot_be_decoded_are_told_by_their_bytes(tree: Path) -> None:
    edit_slice(tree / "2.dcm", packed)
    content = (tree / "2.dcm").read_bytes()
    (tree / "2.dcm").write_bytes(content[:-40] + bytes(20))
    shutil.copy(tree / "2.dcm", tree / "x.dcm")
    assert reasons(tree) == {"x.dcm": "E_DUP_SOP"}
