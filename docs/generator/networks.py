"""The page of networks, from their registry and the rows of the benchmark."""

from __future__ import annotations

import inspect
from typing import Any

from generator.settings import Schema, settings
from generator.text import code, page, table

__all__ = ["networks", "stages_of"]


def networks() -> str:
    """Every network a spec can name, with its settings and the rows it is published in."""
    from mmcaf.net.registry import NETWORKS
    from mmstudy.spec.reading import json_schema

    schema = json_schema()
    sections = schema["properties"]["model"]["anyOf"]
    named = {part["properties"]["name"]["const"]: part for part in sections}
    parts = [_rows(), *(_network(name, named[name], schema) for name in NETWORKS)]
    opening = (
        "`model.name` in a spec chooses one of these; without it, the network is MMCAF-Net. "
        "All that read images share one trunk per fold and width. "
        "A network reads the image at one place, and that decides the stages it is trained by."
    )
    return page("Networks", opening, *parts)


def _rows() -> str:
    from mmstudy.benchmark.rows import ROWS

    rows = [
        (code(row.key), row.title, row.table, row.published or "", row.needs or "")
        for row in ROWS.values()
    ]
    heads = ("row", "what it is", "table of the paper", "name there", "needs")
    return (
        "## Rows of the benchmark\n\n"
        "`mmstudy benchmark --models ROW,ROW` trains them. "
        "The search space of each lies in `search_spaces/models/`.\n\n" + table(heads, rows)
    )


def _network(name: str, section: Schema, schema: Schema) -> str:
    from mmcaf.net.registry import NETWORKS

    owner = NETWORKS[name].config
    about = inspect.cleandoc(section.get("description", "")).split("\n\nRaises:")[0]
    stages = "; ".join(", ".join(parts) for parts in stages_of(name))
    return (
        f"## {code(name)}\n\n{about}\n\nStages: {stages}.\n\n"
        f"{settings(section['properties'], schema, owner)}"
    )


def stages_of(name: str) -> list[tuple[str, ...]]:
    """The stages a network with default settings can be trained by."""
    from mmcaf.config import TrainConfig
    from mmcaf.net.registry import NETWORKS
    from mmcaf.net.stage_rules import stage_faults

    config = NETWORKS[name].config(name=name)
    known: list[tuple[str, ...]] = [
        ("end_to_end",),
        ("trunk", "end_to_end"),
        ("trunk", "fusion"),
        ("trunk", "image", "end_to_end"),
        ("trunk", "image", "fusion"),
    ]

    def fits(parts: tuple[str, ...]) -> bool:
        earlier = [{"part": part, "epochs": 1, "lr": 1e-4} for part in parts[:-1]]
        train = _built(TrainConfig, stages=[*earlier, {"part": parts[-1]}])
        return not any(fault.startswith("Need stages") for fault in stage_faults(config, train))

    return [parts for parts in known if fits(parts)]


def _built(kind: type[Any], **values: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind).validate_python(values)
