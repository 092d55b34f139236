"""The ingestion report as one HTML page: what came in, what did not and why, and how it looks.

Self-contained: pictures are data URIs, charts are SVG, nothing is asked of any server (a content
policy in the page forbids it). It names patients by the collection's pseudonyms, as the cohort's
folder does; it stays with that folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmcaf.data.ingest.choose import Chosen
from mmcaf.data.ingest.rules import CODES
from mmcaf.data.ingest.series.cases import case, heading
from mmcaf.data.volumes import VolumeSpec
from mmcaf.files.untrusted import open_array

__all__ = ["render"]

_MOST_LISTED = 20
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
.wide { overflow-x: auto; } table { border-collapse: collapse; }
th, td { text-align: left; padding: .2rem 1rem .2rem 0;
  border-bottom: 1px solid var(--line); vertical-align: top; }
td.n { font-variant-numeric: tabular-nums; }
.figures { display: flex; flex-wrap: wrap; gap: 2rem; }
.figures b { font-size: 1.5rem; display: block; }
.case { display: grid; grid-template-columns: 354px 1fr; gap: 0 1.5rem; padding: 1rem 0;
  border-top: 1px solid var(--line); break-inside: avoid; }
.case h3 { font-size: 1rem; margin: 0; } .case p { margin: .2rem 0 .5rem; font-size: 13px; }
.case > div { min-width: 0; overflow-x: auto; font-size: 13px; }
.case .pictures { display: flex; gap: 10px; align-items: flex-start; }
.case img { display: block; border-radius: 4px; } .case tr:nth-child(2) { font-weight: 600; }
.case th, .case td { padding-right: .8rem; white-space: nowrap; }
td.n, th.n { text-align: right; } .lost { color: var(--warn); font-weight: 600; }
@media (max-width: 900px) { .case { grid-template-columns: minmax(0, 1fr); gap: .6rem 0; } }
figure { margin: 0; } figcaption { font-size: 12px; } svg { display: block; max-width: 100%; }
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
        report: as `report.compose` gives it, with `synthetic`, `digest` and `choices`.
        patients: the cohort's rows.
        chosen: patient -> stack and boxes.
        cohort: the cohort's folder, for the cached volumes.
        spec: which volumes to show.
    """
    voxels, cases = np.zeros(len(_HU_EDGES) - 1), []
    choices = {choice["patient_id"]: choice for choice in report["choices"]}
    for row in patients.iter_rows(named=True):  # one volume at a time is mapped
        path = cohort / "volumes" / spec.digest / f"{row['volume']}.npy"
        volume, of = open_array(path), chosen[row["patient_id"]]
        voxels += np.histogram(np.asarray(volume[::4, ::8, ::8]), _HU_EDGES)[0]
        cases.append(case(row, choices[row["patient_id"]], volume, of))
    body = "\n".join(
        [
            _head(report),
            _counts(report),
            *([] if patients.is_empty() else [_charts(patients, voxels)]),
            _excluded(report),
            _doubts(report),
            _clinical(report["clinical"]),
            *(heading(), *cases),
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
        "slices in the cohort": report["fingerprint"].get("slices", 0),
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
        (who["patient_id"], who["reason"], CODES[who["reason"]], who["files"], who["remedy"] or "")
        for who in report["excluded"]
    ]
    unknown = report["unknown_ids"]
    told = (
        f"<p>{unknown['files']} images, of {unknown['studies']} studies, have a PatientID that is "
        "none of the collection's and lie in no patient's folder.</p>"
        if unknown["files"]
        else ""
    )
    heads = ("patient", "code", "why", "files with it", "what to do")
    return f"<h2>Patients left out</h2>{_table(heads, rows)}{told}"


def _doubts(report: Mapping[str, Any]) -> str:
    rows = [(code, count, CODES[code]) for code, count in report["flags"].items()]
    download = report["download"]
    parts = [f"<h2>Doubts</h2>{_table(('code', 'patients', 'meaning'), rows)}"]
    if report["doubtful_slices"]:
        lines = [
            (each["patient_id"], each["reason"], f"{each['amount']:g}", _listed(each["slices"]))
            for each in report["doubtful_slices"]
        ]
        parts.append("<p>Slices that others of their stack contradict, from 0 at the feet:</p>")
        parts.append(_table(("patient", "code", "by", "slices"), lines))
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


def _listed(slices: Sequence[int]) -> str:
    """`3, 7-9`."""
    runs: list[list[int]] = []
    for z in slices:
        if runs and runs[-1][-1] == z - 1:
            runs[-1][1:] = [z]
        else:
            runs.append([z])
    return ", ".join("-".join(map(str, run)) for run in runs)


def _clinical(told: Mapping[str, Any]) -> str:
    """How the cells of the clinical sheets were read."""
    kinds = ("read", "empty", "unreadable", "unknown", "off_scale", "contradicting")
    rows = [
        (name, of["header"], *(of[kind] for kind in kinds)) for name, of in told["columns"].items()
    ]
    sheets = "; ".join(
        f"sheet {of['sheet']}, worksheet {of['worksheet']}: header in row {of['header_row']}, "
        f"{of['rows']} patients{''.join(f', {note}' for note in of['notes'])}"
        for of in told["sheets"]
    )
    strange = ", ".join(
        f"{of['row']} (sheet {of['sheet']}, worksheet {of['worksheet']})"
        for of in told["rows_without_patient"][:_MOST_LISTED]
    )
    more = f"{len(told['rows_without_patient'])} in all" if strange else "none"
    return (
        f"<h2>Cells of the clinical sheet</h2><p>{escape(sheets or 'No sheet.')}</p>"
        f"{_table(('column', 'header', *(kind.replace('_', ' ') for kind in kinds)), rows)}"
        f"<p>Edition of the TNM: {escape(told['edition'])}. Rows whose patient cannot be read: "
        f"{escape(f'{strange}; {more}' if strange else more)}.</p>"
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return "<p>None.</p>"
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _cell(value: Any) -> str:
    kind = ' class="n"' if isinstance(value, int) else ""
    return f"<td{kind}>{escape(str(value))}</td>"
