"""Faults of what stored values mean: rescaling, bits, padding, and distances that disagree."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmcaf.data.synthetic.faults.victim import Victim, fault, setting

_MIDDLE = (5, 6)  # of 12 slices or more
_STORED_MAX = 4095  # of 12 bits


@fault("E_RESCALE")
def _slices_without_an_intercept(of: Victim) -> None:
    def strip(slice_: Any) -> None:
        del slice_.RescaleIntercept

    of.edit(strip, *_MIDDLE)


@fault("E_SLOPE")
def _a_slope_of_zero(of: Victim) -> None:
    of.edit(setting(RescaleSlope=0), *_MIDDLE)


@fault("E_RESCALE_TYPE")
def _a_map_of_iodine(of: Victim) -> None:
    of.edit(setting(RescaleType="MGML"), *_MIDDLE)


@fault("E_MODALITY_LUT")
def _a_table_instead_of_a_slope(of: Victim) -> None:
    def tabulate(slice_: Any) -> None:
        item = type(slice_)()
        item.LUTDescriptor, item.ModalityLUTType = [256, 0, 16], "HU"
        item.LUTData = list(range(256))
        item["LUTDescriptor"].VR = item["LUTData"].VR = "US"
        slice_.ModalityLUTSequence = [item]

    of.edit(tabulate, *_MIDDLE)


@fault("E_BITS")
def _bits_that_contradict_each_other(of: Victim) -> None:
    of.edit(setting(HighBit=7), *_MIDDLE)


@fault("E_SIGN")
def _values_without_a_sign(of: Victim) -> None:
    def strip(slice_: Any) -> None:
        del slice_.PixelRepresentation

    of.edit(strip, *_MIDDLE)


@fault("E_PHOTOMETRIC")
def _a_palette(of: Victim) -> None:
    of.edit(setting(PhotometricInterpretation="PALETTE COLOR"), *_MIDDLE)


@fault("E_PADDING")
def _a_limit_of_no_padding(of: Victim) -> None:
    of.edit(lambda slice_: slice_.add_new("PixelPaddingRangeLimit", "US", 9), *_MIDDLE)


@fault("W_RESCALE_VARIES")
def _another_intercept_on_one_slice(of: Victim) -> None:
    of.edit(setting(RescaleIntercept=-1023), 5)


@fault("W_RESCALE_UNUSUAL")
def _an_intercept_no_scanner_writes(of: Victim) -> None:
    of.edit(setting(RescaleIntercept=-1000))


@fault("W_BITS_VARY")
def _one_slice_shown_inverted(of: Victim) -> None:
    of.edit(setting(PhotometricInterpretation="MONOCHROME1"), 5)


@fault("W_PADDING_VARIES")
def _padding_on_one_slice(of: Victim) -> None:
    of.edit(lambda slice_: slice_.add_new("PixelPaddingValue", "US", 0), 5)


@fault("W_PADDING_HU")
def _padding_that_is_soft_tissue(of: Victim) -> None:
    of.edit(lambda slice_: slice_.add_new("PixelPaddingValue", "US", 1064))


@fault("W_UNUSED_BITS")
def _marks_in_bits_that_are_not_stored(of: Victim) -> None:
    def mark(slice_: Any) -> None:
        raw = np.frombuffer(slice_.PixelData, "<u2").reshape(slice_.Rows, slice_.Columns).copy()
        raw = np.clip(raw, 0, _STORED_MAX)
        raw[5, :4] |= 0x4000
        slice_.PixelData, slice_.BitsStored, slice_.HighBit = raw.tobytes(), 12, 11
        slice_.PixelRepresentation = 0

    of.edit(mark)


@fault("W_LOSSY")
def _compressed_with_loss_once(of: Victim) -> None:
    of.edit(setting(LossyImageCompression="01"))


@fault("W_SPACING")
def _thinner_slices_than_positions_are_apart(of: Victim) -> None:
    of.edit(setting(SliceThickness=2.5))


@fault("W_FIELD")
def _a_diameter_of_another_spacing(of: Victim) -> None:
    of.edit(setting(ReconstructionDiameter=500))
