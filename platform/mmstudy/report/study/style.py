"""How a report looks on a screen and on paper: a page per section, no ink wasted."""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root { color-scheme: light; --ink: #1b1f24; --soft: #59626e; --line: #d4d9e0; --warn: #8a4b00; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: #fff;
  max-width: 1020px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0 0 .4rem; } h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
h1, h2, h3, p, li, figcaption, td.long { overflow-wrap: anywhere; }
nav ul { columns: 2; padding: 0; list-style: none; } a { color: inherit; }
.remark, figcaption { color: var(--soft); } .remark { font-size: 14px; }
.warning { color: var(--warn); font-weight: 600; }
.table { overflow-x: auto; margin: .8rem 0 1.2rem; }
table { border-collapse: collapse; font-size: 13.5px; line-height: 1.35; min-width: 30rem; }
caption { text-align: left; padding: 0 0 .4rem; color: var(--soft); }
th, td { text-align: left; vertical-align: top; padding: .25rem .9rem .25rem 0;
  border-bottom: 1px solid var(--line); }
thead th { border-bottom: 1.5px solid var(--ink); vertical-align: bottom; }
th[scope=rowgroup] { padding-top: .8rem; }
td:first-child { min-width: 9.6rem; } code { font-size: .93em; }
td.n { font-variant-numeric: tabular-nums; white-space: nowrap; }
td.n span { display: block; } td.n span + span { color: var(--soft); font-size: 12px; }
ul { margin: .3rem 0 1rem; padding-left: 1.2rem; }
figure { margin: 1.2rem 0 1.6rem; } figcaption { font-size: 13.5px; max-width: 46rem; }
svg { display: block; max-width: 100%; height: auto; }
svg.flow { width: 720px; } svg.flow text { font: 13px system-ui, sans-serif; fill: var(--ink); }
svg.flow rect { fill: #fff; stroke: var(--ink); } svg.flow .way { fill: none; stroke: var(--ink); }
table.signed { width: 100%; } table.signed th { width: 6rem; }
table.signed td { height: 2.4rem; border-bottom: 1px solid var(--ink);
  border-left: 1.5rem solid #fff; }
@page { size: A4; margin: 16mm 14mm 18mm; @bottom-right { content: counter(page) " of "
  counter(pages); font: 9pt sans-serif; } }
@page wide { size: A4 landscape; }
@media print {
  body { font-size: 10pt; margin: 0; padding: 0; max-width: none; }
  section { break-before: page; } section#question { break-before: auto; }
  section.wide { page: wide; }
  h2 { margin-top: 0; } h2, h3, caption { break-after: avoid; }
  figure, tr, td, .short { break-inside: avoid; } thead { display: table-header-group; }
  table, .remark, figcaption { font-size: 8.5pt; } td.n span + span { font-size: 7.5pt; }
  section.wide th, section.wide td { padding-right: .45rem; }
  .table { overflow: visible; } a { text-decoration: none; }
  figure svg { max-height: 105mm; } svg.flow { max-height: 215mm; }
  section.wide figure svg { max-height: 160mm; }
}
"""
