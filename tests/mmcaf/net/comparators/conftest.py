"""Shapes in the signatures of every comparator are checked here."""

from __future__ import annotations

from jaxtyping import install_import_hook

_CHECKED = ("alone", "combining", "daft", "drfuse", "fusions", "medfuse", "mmtm", "pecon")
_HOOKED = [f"mmcaf.net.comparators.{name}" for name in (*_CHECKED, "pefusion", "sam_msca")]

with install_import_hook(_HOOKED, "beartype.beartype"):
    from support import all_networks  # noqa: F401  # imports them
