"""Every `>>>` line in a docstring shows what the code gives."""

from __future__ import annotations

import doctest
import sys
from importlib import import_module

import pytest

from support.house import ROOT, modules

SHOWN = {name: file for name, file in modules().items() if ">>>" in file.read_text("utf-8")}


@pytest.mark.parametrize("name", SHOWN)
def test_examples_in_docstrings_hold(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name.startswith("dashboards."):
        monkeypatch.syspath_prepend(ROOT / "dashboards")
        name = name.removeprefix("dashboards.")
    module = sys.modules.get(name) or import_module(name)
    found = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted > 0
    assert found.failed == 0
