"""Shapes in the signatures of every network are checked under test, by an import hook.

Imported by the outermost conftest, before any test can import a network without it.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from jaxtyping import install_import_hook

from mmcaf.net import comparators

__all__ = ["CHECKED"]

_NET = ("bfpu", "conv", "e3d_msca", "mmcaf_net", "msca", "penet", "reference", "tabular")
_HOME = Path(comparators.__path__[0])
CHECKED = [f"mmcaf.net.{name}" for name in _NET]
CHECKED += ["mmcaf.net.comparators.inputs", "mmcaf.net.comparators.combining"]
CHECKED += [
    f"mmcaf.net.comparators.{file.parent.name}.network" for file in _HOME.glob("*/network.py")
]

with install_import_hook(CHECKED, "beartype.beartype"):
    from mmcaf.net import reference  # noqa: F401  # imports the others of its folder

    for name in CHECKED:
        import_module(name)
