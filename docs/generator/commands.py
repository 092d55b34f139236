"""The page of commands, from the command line's own parser."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, get_args

from generator.text import code, page, table

__all__ = ["commands", "subcommands"]

_OF_EVERY_PROGRAM = ("help", "install_completion", "show_completion")


def commands() -> str:
    """Every command with its arguments and options."""
    from typer.main import get_command

    from mmstudy.cli.main import app

    top = get_command(app)
    parts = [
        section for words, command in subcommands(top, "mmstudy") for section in _of(words, command)
    ]
    own = [_parameter(one) for one in top.params if one.name not in _OF_EVERY_PROGRAM]
    opening = (
        "Every command ends with one of these [exit codes](exit-codes.md). "
        "Data goes to stdout, everything else to stderr. "
        "`--help` after any command prints what stands here; `--debug` shows the whole trace of an "
        "error. Whatever a command makes is for you alone (folders 700, files 600). "
        "With `--shared`, or `MMCAF_SHARED=1` in the environment, your umask decides."
    )
    if own:
        heads = ("option", "value", "default", "meaning")
        parts.insert(0, f"## mmstudy\n\n{table(heads, own)}")
    return page("Commands", opening, *parts)


def subcommands(command: Any, words: str) -> Iterator[tuple[str, Any]]:
    """Each command that does something, with the words it is called by, in order of these."""
    below = getattr(command, "commands", None)
    if below is None:
        yield words, command
    for name in sorted(below or ()):
        yield from subcommands(below[name], f"{words} {name}")


def _of(words: str, command: Any) -> Iterator[str]:
    arguments = [one.name.upper() for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option"]
    usage = " ".join([words, *arguments, *(["[OPTIONS]"] if options else [])])
    yield f"## {words}\n\n{inspect.cleandoc(command.help or '')}\n\n    {usage}\n"
    if command.params:
        heads = ("argument or option", "value", "default", "meaning")
        yield table(heads, [_parameter(one) for one in command.params])


def _parameter(one: Any) -> tuple[str, str, str, str]:
    names = [name.upper() if one.param_type_name == "argument" else name for name in one.opts]
    default = "" if one.default is None or one.default is False else code(one.default)
    default = "required" if one.required else default
    envvar = f" Else the environment's `{one.envvar}`." if one.envvar else ""
    return ", ".join(map(code, names)), _value(one), default, (one.help or "") + envvar


def _value(one: Any) -> str:
    if getattr(one, "is_flag", False):
        return "flag"
    annotation = one.type_descriptor.annotation
    inner = next(iter(get_args(annotation)), annotation)
    options = [part for part in get_args(annotation) if isinstance(part, str)]
    if options:
        return ", ".join(map(code, options))
    words = {"int": "whole number", "float": "number", "str": "text", "Path": "path"}
    word = words[getattr(inner, "__name__", "str")]
    low, high = one.min, one.max
    bound = f", {low} to {high}" if high is not None else f", {low} or more"
    repeated = ", may be repeated" if one.multiple or one.nargs == -1 or inner != annotation else ""
    return word + (bound if low is not None else "") + repeated
