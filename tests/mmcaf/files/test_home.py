"""`~` in what a user gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmcaf.files.home import from_home, home_path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("given", ["~/data", Path("~/data")])
def test_the_home_folder_is_written_out(home: Path, given: str | Path) -> None:
    assert home_path(given) == home / "data"
    assert home_path(home_path(given)) == home / "data"


@pytest.mark.parametrize("given", ["data/~/x", "/data/~", "s3://bucket/~x", "."])
def test_elsewhere_it_is_a_name(given: str) -> None:
    assert home_path(given) == Path(given)
    assert from_home(given) == given


def test_a_folder_of_that_name_is_given_with_a_dot(home: Path) -> None:
    found = home_path("./~/x")
    assert found == home / "~" / "x"
    assert home_path(found) == found


def test_an_unknown_user_is_no_home() -> None:
    assert home_path("~nobody-of-that-name/x").is_absolute()
    assert from_home("~nobody-of-that-name/x") == "~nobody-of-that-name/x"
