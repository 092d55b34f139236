"""Every patient in the ingestion report: two pictures, doubts, and why this series was taken."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mmcaf.data.ingest.choose import Chosen
from mmcaf.data.ingest.rules import CODES
from mmcaf.data.ingest.series.explanation import Choice, LeftOut, Told
from mmcaf.data.ingest.series.preference import LAST_RESORT

__all__ = ["case", "heading"]

_SHOWN_HU = (-1000.0, 400.0)
_THUMBNAIL_PX = 144
_SAGITTAL_PX = (200, 256)  # at most: wide, high
_QUALITY = 70  # of JPEGs: 15 kB a patient
_LOST = {  # criterion -> what is said of a candidate that lost by it
    "annotated_slices": "fewer annotated slices",
    "coverage_mm": "covers less",
    "kernel": "less suited kernel",
    "spacing_mm": "coarser spacing",
    "slices": "fewer slices",
    "phase": "an earlier phase",
    LAST_RESORT: "as good: the order of UIDs decided",
}


def heading() -> str:
    """What stands above the patients."""
    return (
        "<h2>Every patient: how it looks, and which series was taken</h2>"
        f"<p>Left the slice with the largest box, the annotated boxes drawn in; right the middle "
        "sagittal plane, head up, chest to the left, in true proportions: stripes or steps in it "
        f"mean that slices of several scans are mixed. Window {_SHOWN_HU[0]:g} to "
        f"{_SHOWN_HU[1]:g} HU.</p><p>Candidates stand in the order of preference, the one that was "
        "taken first. Of each other the value that decided against it is marked. Sizes are the "
        "longest side and diagonal of any box.</p>"
    )


def case(row: Mapping[str, Any], choice: Choice, volume: NDArray[np.int16], of: Chosen) -> str:
    """One patient.

    Args:
        row: of the cohort.
        choice: as `explanation.explained` tells it.
        volume: what is cached, [slices, rows, columns], HU.
        of: the stack, and the boxes on it.
    """
    size = (
        f"longest side {row['long_side_mm']:.0f} mm, diagonal {row['diagonal_mm']:.0f} mm"
        if row["long_side_mm"]
        else "no box"
    )
    what = f"{row['patient_id']} · {'squamous' if row['label'] else 'adeno'} · {size}"
    shown = "".join(
        picture.html(f"{row['patient_id']}, {picture.plane}")
        for picture in (_axial(volume, of), _sagittal(volume, of))
    )
    return (
        f'<article class="case"><div><h3>{escape(what)}</h3><p>{_flagged(row["qc_flags"])}</p>'
        f'<div class="pictures">{shown}</div></div>'
        f"<div>{_candidates(choice['candidates'])}{_left_out(choice['left_out'])}</div></article>"
    )


def _flagged(codes: Sequence[str]) -> str:
    return " ".join(_code(code) for code in codes) or "no doubts"


def _code(code: str) -> str:
    return f'<code title="{escape(CODES.get(code, ""))}">{escape(code)}</code>'


_CANDIDATE_HEADS = {
    "series": "series",
    "decided_by": "",
    "annotated_slices": "annotated",
    "coverage_mm": "covers",
    "kernel": "kernel",
    "spacing_mm": "spacing",
    "slices": "slices",
    "phase": "phase",
}


def _candidates(candidates: Sequence[Told]) -> str:
    head = "".join(
        f"<th{_style(name, None)}>{escape(text)}</th>" for name, text in _CANDIDATE_HEADS.items()
    )
    rows = []
    for of in candidates:
        told = {
            **of,
            "coverage_mm": f"{of['coverage_mm']:.0f} mm",
            "kernel": f"{of['kernel'] or 'no name'} ({of['kernel_class']})",
            "spacing_mm": f"{of['spacing_mm']:.4g} mm",
            "decided_by": _LOST.get(of["decided_by"] or "", "taken"),
        }
        rows.append(
            "".join(
                f"<td{_style(name, of['decided_by'])}>{escape(str(told[name]))}</td>"
                for name in _CANDIDATE_HEADS
            )
        )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _style(name: str, decided_by: str | None) -> str:
    number = name not in ("series", "kernel", "decided_by")
    classes = [*(["n"] if number else []), *(["lost"] if name == decided_by else [])]
    return f' class="{" ".join(classes)}"' if classes else ""


def _left_out(series: Sequence[LeftOut]) -> str:
    parts = [
        f"{escape(of['series'])}: "
        + ", ".join(f"{count} {_code(code)}" for code, count in of["codes"].items())
        for of in series
    ]
    return f"<p>CT slices left out: {'; '.join(parts)}.</p>" if parts else ""


@dataclass(frozen=True, slots=True)
class _Picture:
    """A JPEG within the page."""

    plane: str
    width: int
    height: int
    base64: str

    def html(self, alt: str) -> str:
        return (
            f'<img alt="{escape(alt)}" width="{self.width}" height="{self.height}" '
            f'src="data:image/jpeg;base64,{self.base64}">'
        )


def _axial(volume: NDArray[np.int16], of: Chosen) -> _Picture:
    """The slice with the largest box, or the middle one."""
    first = of.stack.slices.row(0, named=True)
    boxes = of.boxes.select("z", "x_min", "y_min", "x_max", "y_max").rows()
    areas = [(x1 - x0) * (y1 - y0) for _, x0, y0, x1, y1 in boxes]
    z = boxes[areas.index(max(areas))][0] if boxes else len(volume) // 2
    small = cv2.resize(_grey(volume[z]), (_THUMBNAIL_PX, _THUMBNAIL_PX))
    picture = cv2.cvtColor(small, cv2.COLOR_GRAY2BGR)
    for _, *box in (box for box in boxes if box[0] == z):
        x0, y0, x1, y1 = (
            np.array(box) * _THUMBNAIL_PX / np.tile((first["columns"], first["rows"]), 2)
        )
        start, end = (round(float(x0)), round(float(y0))), (round(float(x1)), round(float(y1)))
        cv2.rectangle(picture, start, end, color=(60, 200, 255), thickness=1)
    return _picture("axial", picture)


def _sagittal(volume: NDArray[np.int16], of: Chosen) -> _Picture:
    """The middle column of all slices, head up, in true proportions."""
    first = of.stack.slices.row(0, named=True)
    deep = first["rows"] * first["spacing_y_mm"]
    long = float(of.stack.z_mm[-1] - of.stack.z_mm[0]) + of.stack.spacing_z_mm
    scale = min(_SAGITTAL_PX[0] / deep, _SAGITTAL_PX[1] / long)
    width, height = max(1, round(deep * scale)), max(1, round(long * scale))
    plane = _grey(volume[::-1, :, volume.shape[2] // 2])
    lines = cv2.resize(plane, (width, len(plane)), interpolation=cv2.INTER_AREA)
    return _picture("sagittal", lines[_shown_lines(len(plane), height)])


def _shown_lines(count: int, shown: int) -> NDArray[np.int64]:
    """Which of `count` slices the `shown` lines of a picture stand for.

    None is blended with others. Where there are fewer lines than slices they come in pairs of
    neighbours, so that slices which alternate between two scans are seen to.
    """
    line = np.arange(shown)
    if count <= shown:
        return np.asarray((line * count) // shown)
    return np.asarray(np.minimum((line // 2 * 2 * count) // shown + line % 2, count - 1))


def _grey(plane: NDArray[np.int16]) -> NDArray[np.uint8]:
    low, high = _SHOWN_HU
    grey = np.clip((plane.astype(np.float32) - low) / (high - low), 0, 1)
    return np.asarray(grey * 255, dtype=np.uint8)


def _picture(plane: str, pixels: NDArray[Any]) -> _Picture:
    done, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise ValueError("OpenCV could not write a JPEG.")
    height, width = pixels.shape[:2]
    return _Picture(plane, width, height, base64.b64encode(encoded.tobytes()).decode("ascii"))
