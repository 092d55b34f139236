"""A plot as a value: its picture in a notebook, and its files."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from mmcaf.files.atomic import StorageError
from mmstudy.errors import UsageError
from mmstudy.plots import Axis, Layer, Plot

PLOT = Plot(
    name="p",
    x="trial",
    y="AUROC",
    layers=(Layer(kind="dots", name="dots", x=[0, 1], y=[0.5, 0.7]),),
    alt='AUROC < 1 of "a" & <b>b</b>.',
    note="SYNTHETIC",
)


def texts(plot: Plot) -> list[str]:
    picture = ET.fromstring(plot._repr_html_())  # noqa: S314 - our own
    return ["".join(node.itertext()) for node in picture.iter() if node.tag.endswith("text")]


def test_in_a_notebook_a_plot_is_an_svg_with_its_sentence_as_title() -> None:
    text = PLOT._repr_html_()
    assert text.startswith('<svg role="img"')  # no XML head, which is no HTML
    assert "<b>b" not in text
    picture = ET.fromstring(text)  # noqa: S314 - our own
    assert (picture[0].tag.rpartition("}")[2], picture[0].text) == ("title", PLOT.alt)
    assert "SYNTHETIC" in texts(PLOT)


@pytest.mark.parametrize(
    ("name", "begins"),
    [("a.pdf", b"%PDF"), ("a.svg", b"<?xml"), ("a.png", b"\x89PNG"), ("A.PDF", b"%PDF")],
)
def test_the_ending_says_as_what_a_plot_is_saved(tmp_path: Path, name: str, begins: bytes) -> None:
    PLOT.save(tmp_path / "new" / name)
    assert (tmp_path / "new" / name).read_bytes().startswith(begins)
    PLOT.save(str(tmp_path / name))
    assert (tmp_path / name).read_bytes() == (tmp_path / "new" / name).read_bytes()


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.pdf.gz"])
def test_another_ending_is_refused_with_those_that_work(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=rf"\.pdf, \.svg, \.png; got '{name}'"):
        PLOT.save(tmp_path / name)
    assert not [*tmp_path.iterdir()]


def test_a_file_is_written_whole_or_left_as_it_was(tmp_path: Path) -> None:
    PLOT.save(tmp_path / "a.svg")
    before = (tmp_path / "a.svg").read_bytes()
    wrong = Layer(kind="dots", name="", x=[0], y=[1, 2])
    with pytest.raises(ValueError, match="size"):
        replace(PLOT, layers=(wrong,)).save(tmp_path / "a.svg")
    with pytest.raises(StorageError, match="Cannot write"):
        PLOT.save(tmp_path / "a.svg" / "b.svg")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.svg", before)]


def test_a_log_axis_has_numbers_and_no_formulae() -> None:
    layer = Layer(kind="dots", name="dots", x=[0.0004, 0.007], y=[0.5, 0.7])
    found = texts(replace(PLOT, x="rate", x_log=True, layers=(layer,)))
    assert {"0.0005", "0.001", "0.002", "0.005"} <= set(found)
    assert not [text for text in found if "$" in text or "math" in text]


def test_epochs_and_trials_are_whole_numbers() -> None:
    layer = Layer(kind="line", name="l", x=[1, 2], y=[0.5, 0.7])
    assert not [text for text in texts(replace(PLOT, y="", layers=(layer,))) if text[:2] == "1."]


def test_a_line_of_one_point_can_be_seen() -> None:
    one = Layer(kind="line", name="l", x=[1], y=[0.5], colour="#123456")
    two = replace(one, x=[1, 1], y=[0.5, 0.5])
    marks = [
        replace(PLOT, layers=(layer,))._repr_html_().count("fill: #123456") for layer in (one, two)
    ]
    assert marks[0] > marks[1]


def test_points_by_the_thousand_do_not_fill_a_notebook() -> None:
    places = [i / 10_000 for i in range(10_000)]
    layer = Layer(kind="dots", name="dots", x=places, y=places)
    text = replace(PLOT, layers=(layer,))._repr_html_()
    assert "<image" in text  # as points of colour; the words stay words
    assert len(text) < 200_000
    assert "AUROC" in texts(replace(PLOT, layers=(layer,)))


def test_axes_of_paths_say_where_they_begin_and_end() -> None:
    paths = Layer(kind="paths", name="", x=[0, 1], y=[1, 5.0], shade=[0.5, 0.5])
    axes = (Axis(name="attention", names=("linear", "softmax")), Axis(name="lr", low=2, high=8))
    found = texts(replace(PLOT, axes=axes, layers=(paths,)))
    assert {"attention", "linear", "softmax", "lr", "2", "8"} <= set(found)


def test_cells_say_how_many_trials_they_stand_for() -> None:
    cells = Layer(kind="cells", name="", x=[0, 1], y=[0, 1], shade=[0.5, 0.6], count=[17, 23])
    plot = replace(
        PLOT, layers=(cells,), columns=("a", "b"), rows=("c", "d"), shade="mean", x="x", y="y"
    )
    assert {"a", "b", "c", "d", "17", "23", "mean"} <= set(texts(plot))


def test_the_colours_of_one_value_still_have_a_range() -> None:
    layer = Layer(kind="cells", name="", x=[0], y=[0], shade=[0.5])
    assert layer.shades == (0.49, 0.51)
    assert replace(layer, shade=[]).shades == (0.0, 1.0)
