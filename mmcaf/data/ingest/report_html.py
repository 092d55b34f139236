"""The ingestion report as one HTML page: what came in, what did not and why, and how it looks.

Self-contained: pictures are data URIs, charts are SVG, nothing is asked of any server (a content
policy in the page forbids it). It names patients by the collection's pseudonyms, as the cohort's
folder does; it stays with that folder.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmcaf.data.ingest.choose import Chosen
from mmcaf.data.ingest.rules import CODES
from mmcaf.data.volumes import VolumeSpec
from mmcaf.files.untrusted import open_array

__all__ = ["render"]

_SHOWN_HU = (-1000.0, 400.0)
_THUMBNAIL_PX = 144
_HU_EDGES = np.arange(-1050, 1060, 50)
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #667; --line: #d8dce2; --fill: #3b6ea5;
  --paper: #fff; --warn: #8a4b00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #9aa3ad; --line: #343a42;
  --fill: #7fb0e0; --paper: #14171b; --warn: #ffb454; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
p, figcaption { color: var(--soft); } .warn { color: var(--warn); font-weight: 600; }
table { border-collapse: collapse; } th, td { text-align: left; padding: .2rem 1rem .2rem 0;
  border-bottom: 1px solid var(--line); vertical-align: top; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
.figures { display: flex; flex-wrap: wrap; gap: 2rem; }
.figures b { font-size: 1.5rem; display: block; }
.cases { display: grid; grid-template-columns: repeat(auto-fill, 144px); gap: 14px; }
figure { margin: 0; }
.cases img { width: 144px; height: 144px; display: block; border-radius: 4px; }
figcaption { font-size: 12px; } svg { display: block; }
svg text { fill: var(--soft); font-size: 11px; }
svg rect { fill: var(--fill); } code { font-size: .92em; }
"""


def render(
    report: Mapping[str, Any],
    patients: pl.DataFrame,
    chosen: Mapping[str, Chosen],
    cohort: Path,
    spec: VolumeSpec,
) -> str:
    """The page.

    Args:
        report: as `report.compose` gives it, with `synthetic` and `digest`.
        patients: the cohort's rows.
        chosen: patient -> stack and boxes.
        cohort: the cohort's folder, for the cached volumes.
        spec: which volumes to show.
    """
    voxels, figures = np.zeros(len(_HU_EDGES) - 1), []
    for row in patients.iter_rows(named=True):  # one volume at a time is mapped
        path = cohort / "volumes" / spec.digest / f"{row['volume']}.npy"
        volume = open_array(path)
        voxels += np.histogram(np.asarray(volume[::4, ::8, ::8]), _HU_EDGES)[0]
        figures.append(_case(row, _thumbnail(volume, chosen[row["patient_id"]])))
    body = "\n".join(
        [
            _head(report),
            _counts(report),
            _charts(patients, voxels),
            _excluded(report),
            _doubts(report),
            _cases(figures),
        ]
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>Ingestion report</title><style>{_STYLE}</style></head>\n"
        f"<body>{body}</body></html>\n"
    )


def _head(report: Mapping[str, Any]) -> str:
    origin = (
        '<p class="warn">SYNTHETIC DATA: nothing here says anything about patients.</p>'
        if report["synthetic"]
        else ""
    )
    figures = {
        "patients": report["patients"],
        "squamous": report["squamous"],
        "slices in the cohort": report["fingerprint"]["slices"],
        "files read": report["n_files"],
        "annotation files matched": (
            f"{report['annotations']['matched']} of {report['annotations']['files']}"
        ),
    }
    shown = "".join(f"<div><b>{value}</b>{escape(name)}</div>" for name, value in figures.items())
    return (
        f"<h1>Ingestion report</h1><p>Cohort <code>{escape(report['digest'])}</code></p>"
        f'{origin}<div class="figures">{shown}</div>'
    )


def _counts(report: Mapping[str, Any]) -> str:
    rows = [
        (end, count, CODES.get(end, _MEANINGS.get(end, "")))
        for end, count in report["files"].items()
    ]
    return (
        f"<h2>Where every file ended</h2><p>{report['n_files']} files in all.</p>"
        f"{_table(('', 'files', 'meaning'), rows)}"
    )


_MEANINGS = {
    "chosen": "slice of a patient's chosen stack",
    "alternative": "slice of another usable stack of a patient",
    "annotation": "annotation on a usable CT slice",
    "sheet": "clinical sheet",
    "download_list": "the download's own list of series",
}


def _charts(patients: pl.DataFrame, voxels: NDArray[np.float64]) -> str:
    spacing = patients["spacing_z_mm"].to_numpy()
    edges = np.arange(0, max(10.5, float(spacing.max()) + 0.5), 0.5)
    return (
        '<h2>Spacing and intensities</h2><div class="figures">'
        f"{_bars(np.histogram(spacing, edges)[0], edges, 'slice spacing, mm', 'patients')}"
        f"{_bars(100 * voxels / voxels.sum(), _HU_EDGES, 'Hounsfield units', '% of voxels')}</div>"
    )


def _bars(counts: NDArray[Any], edges: NDArray[Any], label: str, unit: str) -> str:
    """A histogram as SVG."""
    width, height, left, bottom, right = 480, 170, 40, 34, 20
    step = (width - left - right) / len(counts)
    top = max(float(counts.max()), 1e-9)
    bars = "".join(
        f'<rect x="{left + i * step:.1f}" y="{(1 - n / top) * (height - bottom) + 12:.1f}" '
        f'width="{step - 1:.1f}" height="{n / top * (height - bottom):.1f}">'
        f"<title>{edges[i]:g} to {edges[i + 1]:g}: {n:.4g} {escape(unit)}</title></rect>"
        for i, n in enumerate(counts)
    )
    ticks = "".join(
        f'<text x="{left + (at - edges[0]) / (edges[1] - edges[0]) * step:.1f}" y="{height - 6}" '
        f'text-anchor="middle">{at:g}</text>'
        for at in edges[:: max(1, len(counts) // 7)]
    )
    return (
        f'<figure><svg width="{width}" height="{height}" role="img" aria-label="{escape(label)}">'
        f'{bars}{ticks}<text x="0" y="20">{top:.3g}</text></svg>'
        f"<figcaption>{escape(label)} ({escape(unit)})</figcaption></figure>"
    )


def _excluded(report: Mapping[str, Any]) -> str:
    rows = [
        (each["patient_id"], each["reason"], CODES[each["reason"]]) for each in report["excluded"]
    ]
    return f"<h2>Patients left out</h2>{_table(('patient', 'code', 'why'), rows)}"


def _doubts(report: Mapping[str, Any]) -> str:
    rows = [(code, count, CODES[code]) for code, count in report["flags"].items()]
    download = report["download"]
    parts = [f"<h2>Doubts</h2>{_table(('code', 'patients', 'meaning'), rows)}"]
    if download["listed_series"]:
        parts.append(
            f"<p>The download's own list names {download['listed_series']} series; "
            f"{download['absent_series']} are not here, {len(download['incomplete'])} are "
            "incomplete:</p>"
        )
        parts.append(
            _table(
                ("patient", "series", "images", "listed"),
                [
                    (each["patient_id"], each["series"], each["images"], each["listed"])
                    for each in download["incomplete"]
                ],
            )
        )
    probe = report["confound_probe"]
    if probe:
        verdict = (
            "suspect: a network could learn the scanner" if probe["suspect"] else "no shortcut"
        )
        parts.append(
            f"<p>Scanner and protocol alone, cross-validated AUROC {probe['auroc']:.3f} "
            f"(0.5 ± {probe['null_standard_error']:.3f} where they say nothing): {verdict}.</p>"
        )
    return "".join(parts)


def _cases(figures: Sequence[str]) -> str:
    return (
        "<h2>Every patient: the slice with the largest box</h2>"
        f"<p>Window {_SHOWN_HU[0]:g} to {_SHOWN_HU[1]:g} HU, the annotated box drawn in.</p>"
        f'<div class="cases">{"".join(figures)}</div>'
    )


def _case(row: Mapping[str, Any], picture: str) -> str:
    size = f"{row['max_diam_mm']:.0f} mm" if row["max_diam_mm"] else "no box"
    what = f"{row['patient_id']} · {'squamous' if row['label'] else 'adeno'} · {size}"
    detail = f"{row['n_slices']} × {row['spacing_z_mm']:g} mm {' '.join(row['qc_flags'])}"
    return (
        f'<figure><img alt="{escape(what)}" src="data:image/jpeg;base64,{picture}">'
        f"<figcaption>{escape(what)}<br>{escape(detail)}</figcaption></figure>"
    )


def _thumbnail(volume: NDArray[np.int16], of: Chosen) -> str:
    """JPEG in base64."""
    first = of.stack.slices.row(0, named=True)
    areas = (of.boxes["x_max"] - of.boxes["x_min"]) * (of.boxes["y_max"] - of.boxes["y_min"])
    largest = areas.arg_max()
    z = len(volume) // 2 if largest is None else int(of.boxes["z"][largest])
    low, high = _SHOWN_HU
    grey = np.clip((volume[z].astype(np.float32) - low) / (high - low), 0, 1)
    small = cv2.resize((grey * 255).astype(np.uint8), (_THUMBNAIL_PX, _THUMBNAIL_PX))
    picture = cv2.cvtColor(small, cv2.COLOR_GRAY2BGR)
    for box in _on(of.boxes, z):
        x0, y0, x1, y1 = box * _THUMBNAIL_PX / np.tile((first["columns"], first["rows"]), 2)
        start, end = (round(float(x0)), round(float(y0))), (round(float(x1)), round(float(y1)))
        cv2.rectangle(picture, start, end, color=(60, 200, 255), thickness=1)
    done, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])
    if not done:
        raise ValueError("OpenCV could not write a JPEG.")
    return base64.b64encode(encoded.tobytes()).decode("ascii")


def _on(boxes: pl.DataFrame, z: int) -> Iterator[NDArray[np.float64]]:
    for row in boxes.filter(pl.col("z") == z).select("x_min", "y_min", "x_max", "y_max").rows():
        yield np.array(row)


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return "<p>None.</p>"
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _cell(value: Any) -> str:
    kind = ' class="n"' if isinstance(value, int) else ""
    return f"<td{kind}>{escape(str(value))}</td>"
