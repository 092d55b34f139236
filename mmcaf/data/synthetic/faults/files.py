"""Faults of single files: what is no CT slice, or none to be trusted."""

from __future__ import annotations

import os
import shutil
from typing import Any

from mmcaf.data.synthetic.faults.victim import Victim, fault, keeping, setting
from mmcaf.data.synthetic.write import edit_slice

_CAPTURE, _PET = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.128"
_DEFLATED, _RLE = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5"


@fault("E_SOP_CLASS")
def _a_colour_capture_named_mpr_range(of: Victim) -> None:
    _capture(of, "MPR Range", 32)


@fault("W_ON_UNUSABLE")
def _a_box_on_an_odd_sized_capture(of: Victim) -> None:
    uid = _capture(of, "Range-CT WB  1.0  B30f-Tra-ALPHA Range", 484)
    shutil.copy(of.boxes[0], of.boxes[0].with_name(f"{uid}.xml"))


def _capture(of: Victim, name: str, side: int) -> str:
    uids: list[str] = []

    def capture(slice_: Any) -> None:
        uids.append(str(slice_.SOPInstanceUID))
        slice_.SOPClassUID, slice_.SeriesDescription = _CAPTURE, name
        slice_.Rows = slice_.Columns = side
        slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 3, "RGB"
        slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit = 8, 8, 7
        slice_.PlanarConfiguration = 0
        slice_.PixelData = bytes(3 * side * side)
        del slice_.ImagePositionPatient, slice_.ImageOrientationPatient

    of.add(capture, name, "79")
    return uids[0]


@fault("E_SOP_CLASS")
def _a_pet_sibling(of: Victim) -> None:
    of.add(setting(SOPClassUID=_PET, Modality="PT"), "PET WB Corrected", "80")


@fault("E_RGB")
def _a_ct_image_of_several_frames(of: Victim) -> None:
    of.add(setting(NumberOfFrames=2), "frames", "81")


@fault("E_LOCALIZER")
def _a_scout(of: Victim) -> None:
    of.add(setting(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "scout", "82")


@fault("E_NON_AXIAL")
def _a_coronal_slice(of: Victim) -> None:
    of.add(setting(ImageOrientationPatient=[1, 0, 0, 0, 0, -1]), "coronal", "83")


@fault("E_NO_IPP")
def _no_position(of: Victim) -> None:
    of.add(setting(ImagePositionPatient=None), "nowhere", "84")


@fault("E_SIZE")
def _a_tiny_slice(of: Victim) -> None:
    of.add(setting(Rows=3, Columns=3), "3x3", "85")


@fault("E_NO_UID")
def _a_path_for_a_uid(of: Victim) -> None:
    of.add(setting(SeriesInstanceUID="../../../etc"), "path", "86")


@fault("E_PATIENT_ID")
def _a_path_for_a_patient(of: Victim) -> None:
    of.add(setting(PatientID="../../x"), "stranger", "87")


@fault("E_PID_FOLDER_MISMATCH")
def _another_patients_slice(of: Victim) -> None:
    of.add(setting(PatientID="Lung_Dx-A0999"), "foreign", "88")


@fault("E_PIXEL_LEN")
def _a_truncated_file(of: Victim) -> None:
    of.add(keeping, "truncated", "89")
    path = next(of.slices[0].parents[1].glob("truncated/*"))
    path.write_bytes(path.read_bytes()[:-500])


@fault("E_UNREADABLE")
def _a_header_of_noise(of: Victim) -> None:
    of.add(keeping, "noise", "90")
    path = next(of.slices[0].parents[1].glob("noise/*"))
    content = path.read_bytes()
    path.write_bytes(content[:400] + b"\xff" * 3000)


@fault("E_TS_UNSUPPORTED")
def _a_deflated_file(of: Victim) -> None:
    of.add(keeping, "deflated", "91")
    path = next(of.slices[0].parents[1].glob("deflated/*"))
    content = path.read_bytes()
    known = next(
        u for u in (b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0") if u in content[:500]
    )
    size = len(known).to_bytes(2, "little")
    longer = (_DEFLATED.encode(), len(_DEFLATED).to_bytes(2, "little"))
    path.write_bytes(content.replace(size + known, longer[1] + longer[0], 1))


@fault("E_DECODE")
def _pixels_that_cannot_be_decoded(of: Victim) -> None:
    def garble(slice_: Any) -> None:
        slice_.file_meta.TransferSyntaxUID = type(slice_.SOPInstanceUID)(_RLE)
        # An empty offset table, then one fragment that claims fifteen segments.
        item = b"\xfe\xff\x00\xe0"
        slice_.PixelData = item + bytes(4) + item + b"\x40\0\0\0" + b"\x0f" * 64
        slice_.PixelData += b"\xfe\xff\xdd\xe0" + bytes(4)
        slice_["PixelData"].is_undefined_length = True

    of.edit(garble, 0)


@fault("E_DUP_SOP")
def _a_copied_file(of: Victim) -> None:
    shutil.copy(of.slices[2], of.slices[2].with_name("copy of 1.dcm"))


@fault("E_DUP_SOP_CONFLICT")
def _one_uid_with_other_pixels(of: Victim) -> None:
    def fill(slice_: Any) -> None:
        slice_.PixelData = bytes(len(slice_.PixelData))

    edit_slice(of.slices[0], fill, of.slices[0].with_name("9-98.dcm"))


@fault("E_HU")
def _an_intercept_that_is_lost(of: Victim) -> None:
    of.edit(setting(RescaleIntercept=0))


@fault("E_OTHER_CLASS")
def _a_small_cell_carcinoma(of: Victim) -> None:
    folder = of.slices[0].parents[2]
    of.edit(setting(PatientID="Lung_Dx-B0001"))
    folder.rename(folder.with_name("Lung_Dx-B0001"))


@fault("E_LOCALIZER")
def _only_scouts(of: Victim) -> None:
    of.edit(setting(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))


@fault("E_NOT_DICOM")
def _a_readme(of: Victim) -> None:
    of.slices[0].with_name("README.txt").write_text("Not an image.", encoding="utf-8")


@fault("E_COMPANION")
def _companions_of_a_mac(of: Victim) -> None:
    for path in (*of.slices, *of.boxes):
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7" + bytes(4092))


@fault(None)
def _a_name_in_another_encoding(of: Victim) -> None:
    name = os.fsencode(of.slices[3].parent) + b"/1-\xb2\xa1\xc0\xfd.dcm"
    of.slices[3].rename(os.fsdecode(name))


@fault(None)
def _an_id_in_lower_case_with_blanks(of: Victim) -> None:
    of.edit(setting(PatientID=f" lung_dx-{of.name.lower()} "))


@fault("E_PATIENT_ID")
def _a_patient_with_the_id_of_a_hospital(of: Victim) -> None:
    of.edit(setting(PatientID="0012345"))


@fault("E_EMPTY")
def _a_file_without_content(of: Victim) -> None:
    of.slices[0].with_name("9-94.dcm").touch()


@fault("E_SYMLINK")
def _a_link_out_of_the_tree(of: Victim) -> None:
    of.slices[0].with_name("link.dcm").symlink_to("/etc/passwd")


@fault("E_NOT_REGULAR")
def _a_pipe(of: Victim) -> None:
    os.mkfifo(of.slices[0].with_name("pipe.dcm"))


@fault("E_TOO_LARGE")
def _a_file_of_65_mib(of: Victim) -> None:
    with of.slices[0].with_name("large.dcm").open("wb") as file:
        file.truncate(65 * 2**20)  # sparse: no room is taken
