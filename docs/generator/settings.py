"""The page of a spec's fields, from its JSON schema."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from generator.text import code, field_remarks, page, table

__all__ = ["Schema", "settings", "spec"]

Schema = Mapping[str, Any]


def spec() -> str:
    """Every section of a spec, but `model` of networks other than MMCAF-Net."""
    from mmstudy.spec.reading import json_schema

    schema = json_schema()
    whole = {name: _unwrapped(value, schema) for name, value in schema["properties"].items()}
    flat = {
        name: of for name, of in schema["properties"].items() if "properties" not in whole[name]
    }
    parts = [f"## The top level\n\n{settings(flat, schema, _classes()['StudySpec'], schema)}"]
    for name, section in whole.items():
        if "properties" in section:
            parts += _sections(name, section, schema)
    dimensions = ("Floats", "Ints", "Choice")
    parts += [
        part for name in dimensions for part in _sections(name, schema["$defs"][name], schema)
    ]
    opening = (
        "A spec is one YAML file. `mmstudy spec schema` prints its JSON schema, for editors. "
        "A dotted path such as `train.lr` names a setting in `space`, in constraints and after "
        "`--set`. "
        "[Networks](networks.md) has the section `model` of every other network."
    )
    return page("Fields of a study spec", opening, *parts)


def _sections(name: str, section: Schema, schema: Schema) -> Iterator[str]:
    """A section and, below it, those it refers to."""
    titles = {"Floats": "A dimension of real numbers", "Ints": "A dimension of whole numbers"}
    titles |= {"Choice": "A dimension of options"}
    title = titles.get(name, code(name))
    owner = _classes().get(section.get("title", ""))
    about = inspect.cleandoc(section.get("description", "")).split("\n\nRaises:")[0]
    yield f"## {title}\n\n{about}\n\n{settings(section['properties'], schema, owner, section)}"
    for inner, value in section["properties"].items():
        below = _unwrapped(value.get("items", value), schema)
        if "properties" in below and name in schema["properties"]:
            yield from _sections(f"{name}.{inner}", below, schema)


def settings(
    fields: Schema, schema: Schema, owner: type | None, section: Schema | None = None
) -> str:
    """A table of settings: value, default, bounds, and what the code says of each.

    Args:
        fields: setting -> its schema.
        schema: the whole one, for what they refer to.
        owner: the class they are declared in, for the comments behind them.
        section: says which are required.
    """
    said = field_remarks(owner) if owner else {}
    required = (section or {}).get("required", ())
    rows = []
    for name, field in fields.items():
        default = "required" if name in required else code(json.dumps(_short(field.get("default"))))
        meaning = field.get("description") or said.get(name, "")
        rows.append((code(name), kind(field, schema), default, bounds(field, schema), meaning))
    return table(("setting", "value", "default", "bounds", "meaning"), rows)


def _short(value: Any) -> Any:
    """A default without the parts of it that are null."""
    if isinstance(value, list):
        return [_short(part) for part in value]
    if isinstance(value, dict):
        return {name: _short(part) for name, part in value.items() if part is not None}
    return value


def kind(field: Schema, schema: Schema) -> str:
    """What a value is, in words."""
    if "$ref" in field:
        return kind(_unwrapped(field, schema), schema)
    for word in ("anyOf", "oneOf"):
        if word in field:
            parts = [kind(part, schema) for part in field[word]]
            return " or ".join(dict.fromkeys(part for part in parts if part))
    if "enum" in field or "const" in field:
        return ", ".join(code(option) for option in field.get("enum", [field.get("const")]))
    words = {"integer": "whole number", "number": "number", "boolean": "true or false"}
    words |= {"string": "text", "null": "`null`", "object": "mapping", "array": "list"}
    word = words.get(field.get("type", ""), "any value")
    inner = field.get("items") or next(iter(field.get("prefixItems", ())), None)
    return f"list of: {kind(inner, schema)}" if inner else word


def bounds(field: Schema, schema: Schema) -> str:
    """What a value is held within; its length, where it is a list or text."""
    if "$ref" in field:
        return ""
    for word in ("anyOf", "oneOf"):
        if word in field:
            return "; ".join(dict.fromkeys(filter(None, (bounds(f, schema) for f in field[word]))))
    inner = field.get("items") or next(iter(field.get("prefixItems", ())), None)
    of_each = bounds(inner, schema) if inner else ""
    found = [_range(field), _length(field), f"each {of_each}" if of_each else ""]
    return ", ".join(filter(None, found))


def _range(field: Schema) -> str:
    low, high = field.get("minimum"), field.get("maximum")
    if low is not None and high is not None:
        found = [f"{low:g} to {high:g}"]
    else:
        signs = {"minimum": "≥", "exclusiveMinimum": ">"}
        signs |= {"maximum": "≤", "exclusiveMaximum": "<"}
        found = [f"{sign} {field[name]:g}" for name, sign in signs.items() if name in field]
    if "multipleOf" in field:
        found.append(f"a multiple of {field['multipleOf']:g}")
    return ", ".join(found)


def _length(field: Schema) -> str:
    low, high = field.get("minItems"), field.get("maxItems")
    if field.get("minLength"):
        return "not empty"
    if low is None or low == 0:
        return f"at most {high} values" if high else ""
    if high is None:
        return f"{low} or more values"
    return f"{low} values" if low == high else f"{low} to {high} values"


def _unwrapped(field: Schema, schema: Schema) -> Schema:
    """What a reference leads to; of several, the first that has settings of its own."""
    if "$ref" in field:
        found: Schema = schema["$defs"][field["$ref"].rsplit("/", 1)[-1]]
        return found
    for part in field.get("anyOf", ()):
        if "properties" in (below := _unwrapped(part, schema)):
            return below
    return field


@cache
def _classes() -> dict[str, type]:
    """Name -> class, of all that a spec's settings are declared in."""
    names = ("mmstudy.spec.study_spec", "mmstudy.spec.space", "mmcaf.config", "mmcaf.net.config")
    modules = [importlib.import_module(name) for name in names]
    return {name: of for one in modules for name, of in inspect.getmembers(one, inspect.isclass)}
