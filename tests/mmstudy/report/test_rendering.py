"""The five formats: each holds every row, and nothing a user typed gets out of its cell."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt

from mmcaf.stats.metrics import Proportion
from mmstudy.comparison.comparison import Comparison, compare
from mmstudy.comparison.published import published
from mmstudy.comparison.row import Figure
from mmstudy.report.comparison import comparison_table, marked, measure, verdict_lines
from mmstudy.report.table import MACHINES, PEOPLE, Format, render
from support.made_study import add_look, made_study

EVIL = "=cmd|' /C calc'! & 50% $x_1$ {a}\\b ~^ <i>#1</i> [2] *c*"


def shown(found: Comparison, how: Format) -> str:
    return render(comparison_table(found), how)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return compare(made_study(tmp_path_factory.mktemp("made")))


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return compare(made_study(tmp_path_factory.mktemp("made"), name=EVIL.replace("/", "-")))


@pytest.mark.parametrize("how", [*PEOPLE, *MACHINES])
def test_every_row_and_its_counts_are_in_every_format(found: Comparison, how: Format) -> None:
    text = shown(found, how)
    assert text.endswith("\n")
    plain = text.replace("\\", "")
    for row in published():
        assert row.method in plain, row.method
    assert "10/15" in text or how in MACHINES


@pytest.mark.parametrize("how", PEOPLE)
def test_texts_say_no_difference_the_gap_the_majority_and_the_looks(
    found: Comparison, how: Format
) -> None:
    plain = shown(found, how).replace("\\", "")
    assert "No difference can be shown between made trial 0 and MMCAF-Net" in plain
    assert "specificity 24/28 against 24/28" in plain
    assert "6/43 = 0.14" in plain
    assert "28/43 = 0.651" in plain
    assert "has been looked at 0 times" in plain
    assert "BBC-CV" in plain
    assert "outperforms" not in plain


@pytest.mark.parametrize("how", [*PEOPLE, *MACHINES])
def test_the_command_prints_data_alone(
    tmp_path: Path, command: Callable[..., tuple[int, str, str]], how: Format
) -> None:
    study = made_study(tmp_path, synthetic=True)
    code, out, err = command("compare", "made", "--root", str(tmp_path), "-f", how)
    assert code == 0
    assert out == shown(compare(study), how)
    told = study.origin.sentence + "\n" if how in MACHINES else ""
    assert err == told  # a machine has it in every row, and whoever looks on hears it


def test_flagged_rows_carry_a_mark_and_their_reason(found: Comparison) -> None:
    text = shown(found, "table")
    for row in published():
        assert (f"{row.method} !" in text) == (row.flag is not None)
        assert row.flag is None or row.flag in text


def test_a_row_that_repeats_another_carries_a_mark_and_is_said_to_count_once(
    found: Comparison,
) -> None:
    text = shown(found, "table")
    for row in published():
        assert (f"{row.method} =" in text) == (row.same_as is not None)
    assert "MSCA_Fusion (=) repeats the row of MMCAF-Net; the two are one and count once." in text


def test_each_test_is_a_line_and_what_was_not_tested_is_none(found: Comparison) -> None:
    lines = verdict_lines(found.against_paper)
    ranked = [row for row in published() if not row.flag]
    assert [line["against"] for line in lines[::3]] == [marked(row) for row in ranked]
    assert [line["measure"] for line in lines[:3]] == ["sensitivity", "specificity", "AUROC"]
    assert {line["shown"] for line in lines} == {"undecided"}
    assert {line["patients"] for line in lines} == {"43 against 43"}
    first = found.against_paper[0].tests[0]
    assert lines[0]["P(ours higher)"] == f"{first.higher:.2f}"


def test_no_text_denies_a_row_that_shows_a_difference(tmp_path: Path) -> None:
    """Neither the summary nor a caption says so where a row shows one, and such rows are named."""
    study = made_study(tmp_path)
    labels = np.repeat([1, 0], 100)
    add_look(study, 0, labels, np.where(labels, 0.8, 0.2) + np.linspace(-0.1, 0.1, 200))
    found = compare(study)
    shows = [v for v in found.against_paper if any(test.significant for test in v.tests)]
    assert shows
    for how in PEOPLE:
        text = shown(found, how).replace("\\", "")
        assert f"No difference can be shown between {found.tested.method} and the" not in text
        for verdict in shows:
            denial = f"No difference can be shown between {verdict.ours} and {verdict.against}"
            assert f"{denial}." not in text
    table = verdict_lines(found.against_paper)
    clear = sum(test.significant for v in shows for test in v.tests)
    assert sum(line["shown"] == "ours higher" for line in table) == clear


def test_json_is_one_document_without_nan(found: Comparison) -> None:
    whole = json.loads(shown(found, "json"), parse_constant=pytest.fail)
    assert len([row for s in whole["sections"] for row in s["rows"]]) == len(found.rows)
    assert len(whole["against_paper"]) == len(published())


def test_csv_has_a_column_per_figure(found: Comparison) -> None:
    rows = list(csv.DictReader(io.StringIO(shown(found, "csv"))))
    assert len(rows) == len(found.rows)
    (row,) = (row for row in rows if row["method"] == "MMCAF-Net")
    assert (row["counts_tp"], row["counts_tn"], row["n"]) == ("10", "24", "43")
    assert float(row["sensitivity"]) == pytest.approx(2 / 3)
    assert float(row["sensitivity_low"]) == pytest.approx(Proportion(10, 15).wilson()[0])
    assert (row["sensitivity_hits"], row["sensitivity_total"]) == ("10", "15")
    assert float(row["auroc"]) == 0.786
    assert (row["brier"], row["flag"]) == ("", "")


def test_markdown_is_tables_with_one_cell_per_column(found: Comparison) -> None:
    html = MarkdownIt("commonmark").enable("table").render(shown(found, "markdown"))
    assert html.count("<table>") == len(found.sections)
    rows = re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)
    assert len(rows) == len(found.rows) + len(found.sections)
    assert {len(re.findall(r"<t[hd]", row)) for row in rows} == {11}


def checked_latex(text: str) -> list[str]:
    """Rows of the tabular; fails where braces, environments or columns do not add up."""
    bare = re.sub(r"\\[\\{}%&$#_]", "", re.sub(r"(?<!\\)%.*", "", text))
    depth = 0
    for sign in bare:
        depth += (sign == "{") - (sign == "}")
        assert depth >= 0
    assert depth == 0
    opened: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(.*?)\}", text):
        if kind == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert not opened
    (inner,) = re.findall(r"\\begin\{tabular\}\{(?:[lc]+)\}\n(.*)\\end\{tabular\}", text, re.DOTALL)
    (columns,) = re.findall(r"\\begin\{tabular\}\{([lc]+)\}", text)
    lines = [line for line in inner.splitlines() if line.endswith(r"\\")]
    for line in lines:
        cells = len(re.findall(r"(?<!\\)&", line)) + 1
        spanned = re.match(r"\\multicolumn\{(\d+)\}", line)
        assert (int(spanned[1]) if spanned else cells) == len(columns), line
    return lines


def test_latex_is_a_booktabs_table_that_adds_up(found: Comparison) -> None:
    text = shown(found, "latex")
    lines = checked_latex(text)
    ours = sum(row.kind != "published" for row in found.rows)
    assert len(lines) == 1 + len(found.sections) + 2 * len(found.rows) + ours
    rules = [text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")]
    assert rules == [1, len(found.sections), 1]
    assert "booktabs" in text.splitlines()[0]
    assert all(sign.isascii() for sign in text)


def test_latex_of_a_hostile_name_adds_up_too(evil: Comparison) -> None:
    text = shown(evil, "latex")
    checked_latex(text)
    assert "\\textbackslash{}b" in text
    assert "50\\% \\$x\\_1\\$ \\{a\\}" in text


def test_a_hostile_name_stays_in_its_markdown_cell(evil: Comparison) -> None:
    html = MarkdownIt("commonmark").enable("table").render(shown(evil, "markdown"))
    rows = re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)
    assert {len(re.findall(r"<t[hd]", row)) for row in rows} == {11}
    assert "<i>" not in html
    assert "<em>" not in html
    assert "[2] *c*" in html


def test_a_hostile_name_is_no_formula_in_csv(evil: Comparison) -> None:
    rows = list(csv.reader(io.StringIO(shown(evil, "csv"))))
    cells = {cell for row in rows for cell in row}
    assert any(cell.startswith("'=cmd") for cell in cells)
    assert not [c for c in cells if c[:1] in ("=", "+", "@") or re.match(r"-[^\d]", c)]


def test_undefined_is_a_dash() -> None:
    assert str(measure(Figure())) == str(measure(Proportion(0, 0))) == "-"
    assert str(measure(Figure(0.5))) == "0.500"
    assert str(measure(Proportion(0, 4))).startswith("0.000 [0.00, 0.49] 0/4")


def test_a_rate_nobody_defines_is_a_dash_in_every_text(tmp_path: Path) -> None:
    study = made_study(tmp_path)
    add_look(study, 0, np.array([0, 1]), np.array([0.1, 0.2]))  # nobody is called positive
    found = compare(study)
    line = next(x for x in shown(found, "table").splitlines() if re.search(r"look 1 +0\.5", x))
    assert re.search(r"0\.000 \[0\.00, 0\.79\] 0/1 .* 1/1 +- +", line)
    assert " & -- & " in shown(found, "latex")
    rows = list(csv.DictReader(io.StringIO(shown(found, "csv"))))
    assert [rows[0][f"ppv{of}"] for of in ("", "_low", "_high", "_total")] == ["", "", "", "0"]


def test_a_synthetic_study_says_so_in_every_text(tmp_path: Path) -> None:
    found = compare(made_study(tmp_path, synthetic=True))
    for how in PEOPLE:
        assert found.origin.sentence in shown(found, how)


def test_each_row_of_a_comparison_has_its_own_origin(tmp_path: Path) -> None:
    found = compare(made_study(tmp_path, synthetic=True, oracle=True))
    of_csv = list(csv.DictReader(io.StringIO(shown(found, "csv"))))
    of_json = [row for s in json.loads(shown(found, "json"))["sections"] for row in s["rows"]]
    for row in (*of_csv, *of_json):
        ours = row["kind"] == "ours"
        assert row["origin"] == ("SYNTHETIC ORACLE" if ours else "real")
