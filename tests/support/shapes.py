"""Shapes in the signatures of every network are checked under test, by an import hook.

Imported by the outermost conftest, before any test can import a network without it.
"""

from __future__ import annotations

from jaxtyping import install_import_hook

__all__ = ["CHECKED"]

_NET = ("bfpu", "conv", "e3d_msca", "mmcaf_net", "msca", "penet", "reference", "tabular")
_COMPARATORS = ("combining", "daft", "drfuse", "fusions", "medfuse", "mmtm", "pecon", "pefusion")
_COMPARATORS += ("sam_msca", "single_modality")
CHECKED = [f"mmcaf.net.{name}" for name in _NET]
CHECKED += [f"mmcaf.net.comparators.{name}" for name in _COMPARATORS]

with install_import_hook(CHECKED, "beartype.beartype"):
    from mmcaf.net import reference  # noqa: F401  # imports the others of its folder
    from support import all_networks  # noqa: F401  # imports the comparators
