"""A distribution as an installer leaves it: modules, and their metadata with entry points."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from mmcaf.net.registry import GROUP

__all__ = ["TOY", "install", "install_toy"]

TOY = Path(__file__).parents[1] / "fixtures" / "toy_net"


def install(site: Path, distribution: str, points: Mapping[str, str], **modules: str) -> None:
    """Put `distribution`, version 1.0, with these entry points and modules into `site`."""
    metadata = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
    metadata.mkdir(parents=True)
    text = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n"
    (metadata / "METADATA").write_text(text)
    lines = [f"{name} = {value}" for name, value in points.items()]
    (metadata / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines]) + "\n")
    for name, source in modules.items():
        (site / f"{name}.py").write_text(source)


def install_toy(site: Path) -> None:
    """The toy network and its search space."""
    install(site, "toy-net", {"toy": "toy_net:NETWORK"})
    for file in TOY.iterdir():
        if file.is_file():
            shutil.copy(file, site)
