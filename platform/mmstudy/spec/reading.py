"""Where a spec comes from: a file in YAML 1.2, over it the environment, over that the command line.

`MMSTUDY_TRAIN__EPOCHS=3` is `train.epochs=3`: upper case, two underscores for a dot. A dimension
keeps its own dot: `MMSTUDY_SPACE__TRAIN__LR__LOG=false`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from mmcaf.files.home import home_path
from mmcaf.net.registry import usable_networks
from mmstudy.errors import UsageError
from mmstudy.spec import yaml12
from mmstudy.spec.sections import MMCAF_NET, SECTIONS, known_paths, nearest, section_class
from mmstudy.spec.study_spec import StudySpec, parse_spec

__all__ = ["find_spec", "json_schema", "load_spec", "ready_specs"]

_PREFIX = "MMSTUDY_"


def ready_specs() -> dict[str, Path]:
    """Name -> file of every ready search space."""
    folders = [
        Path(__file__).parents[3] / "search_spaces",  # a checkout
        Path(__file__).parents[1] / "_search_spaces",  # an installed wheel
    ]
    return {
        str(found.relative_to(folder).with_suffix("")): found
        for folder in folders
        for found in sorted(folder.rglob("*.yaml"))
    }


def find_spec(name: str) -> Path:
    """The file `name`, or the spec of that bare name in `search_spaces/`.

    Raises:
        UsageError: there is no such file; lists the ready spaces.
    """
    path = home_path(name)
    if path.is_file():
        return path
    ready = ready_specs()
    if name in ready:
        return ready[name]
    raise UsageError(
        f"No spec file {name!r}, and no ready search space of that name; "
        f"ready are: {', '.join(sorted(ready)) or 'none'}.{nearest(name, ready)}"
    )


def load_spec(
    spec: str | Path,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    change: Callable[[dict[str, Any]], None] = lambda _: None,
    *,
    begun: bool = False,
) -> StudySpec:
    """Read a spec, apply the environment, then `path=value` overrides, check everything.

    Args:
        spec: the file, or the name of a ready search space.
        overrides: as given with `--set`.
        environment: `os.environ` unless given.
        change: what a command makes of the file's content before all others.
        begun: whether it is for a study that has begun, as of `parse_spec`.

    Raises:
        UsageError: lists every fault.
    """
    path = find_spec(str(spec))
    raw = yaml12.read(path)
    if not isinstance(raw, dict):
        raise UsageError(f"The spec {path} must be a mapping, got {type(raw).__name__}.")
    change(raw)
    given = os.environ if environment is None else environment
    for name in sorted(name for name in given if name.startswith(_PREFIX)):
        dotted = name.removeprefix(_PREFIX).lower().replace("__", ".")
        _set(raw, dotted, given[name], source=name)
    for override in overrides:
        dotted, equals, text = override.partition("=")
        if not equals or not dotted:
            raise UsageError(f"--set needs path=value, got {override!r}.")
        _set(raw, dotted, text, source=f"--set {override!r}")
    return parse_spec(raw, source=path.name, begun=begun)


def _set(raw: dict[str, Any], dotted: str, text: str, *, source: str) -> None:
    keys = dotted.split(".")
    if keys[0] not in StudySpec.model_fields:
        hint = nearest(keys[0], StudySpec.model_fields)
        raise UsageError(f"{source}: a spec has no section {keys[0]!r}.{hint}")
    if keys[0] == "space" and len(keys) > 2:  # a dimension's name has a dot of its own
        keys = ["space", ".".join(keys[1:3]), *keys[3:]]
    if len(keys) > yaml12.MOST_DEPTH:
        raise UsageError(f"{source}: nested more than {yaml12.MOST_DEPTH} deep.")
    node = raw
    for key in keys[:-1]:
        node = node.setdefault(key, {})
        if not isinstance(node, dict):
            raise UsageError(f"{source}: {key} is a value, it has no parts.")
    node[keys[-1]] = yaml12.parse(text, source=source)


def json_schema() -> dict[str, Any]:
    """The JSON schema of a spec, for editors: settings of the config classes included.

    First line of a spec: `# yaml-language-server: $schema=study.schema.json`.
    """
    schema = StudySpec.model_json_schema(by_alias=True)
    known = [network.name for network in usable_networks()]
    for name in SECTIONS:
        networks = known if name == "model" else [MMCAF_NET]
        sections = [_section_schema(name, network, schema["$defs"]) for network in networks]
        schema["properties"][name] = {"anyOf": sections} if len(sections) > 1 else sections[0]
    paths = [path for network in known for path in known_paths(network)]
    schema["properties"]["space"]["propertyNames"] = {"enum": [*dict.fromkeys(paths)]}
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema


def _section_schema(name: str, network: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of a section where the network is `network`; adds to the definitions."""
    prefix = f"{name}_{network}"
    found = TypeAdapter(section_class(name, network)).json_schema(
        ref_template=f"#/$defs/{prefix}_{{model}}"
    )
    definitions |= {f"{prefix}_{key}": part for key, part in found.pop("$defs", {}).items()}
    if name == "model" and network != MMCAF_NET:
        found["required"] = ["name"]  # a section without one is MMCAF-Net's
    return found
