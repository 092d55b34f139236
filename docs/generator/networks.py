"""The page of networks, from their registry and the rows of the benchmark."""

from __future__ import annotations

import inspect
from itertools import permutations
from typing import Any, get_args

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
    own = [n for n, of in NETWORKS.items() if of.config.__module__.startswith("mmcaf.")]
    parts = [_rows(), *(_network(name, named[name], schema) for name in own)]
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
    from mmcaf.config import Part
    from mmcaf.net.registry import NETWORKS
    from mmcaf.net.stage_rules import stage_faults

    config, parts = NETWORKS[name].config(), get_args(Part)
    orders = [order for n in range(1, len(parts)) for order in permutations(parts, n)]
    trained = [(order, train) for order in orders if (train := _train(order))]
    return [
        order
        for order, train in trained
        if not any(fault.path == ("stages",) for fault in stage_faults(config, train))
    ]


def _train(order: tuple[str, ...]) -> Any:
    """The training of these parts, one after another; None where they cannot follow so."""
    from mmcaf.config import Stage, TrainConfig

    *earlier, last = order
    stages = [Stage(part=part, epochs=1, lr=1e-4) for part in earlier]  # type: ignore[arg-type]
    try:
        return TrainConfig(stages=(*stages, Stage(part=last)))  # type: ignore[arg-type]
    except ValueError:
        return None
