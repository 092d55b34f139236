"""A config class: all wrong fields at once, in words made from their types."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, asdict, replace
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, TypeAdapter

from mmcaf.config import DataConfig, Stage, TrainConfig
from mmcaf.config.settings import Fault, Rule, Settings, WrongSettings, read, retyped, settings

Fin = Annotated[int, Field(ge=1, le=4)]


@settings
class Fish(Settings):
    kind: Literal["carp", "pike"]
    fins: tuple[Fin, Fin] = (2, 2)


@settings
class Pond(Settings):
    depth: Annotated[float, Field(ge=1, le=9)] = 3.0
    rows: Annotated[int, Rule("an odd number", lambda n: n % 2 == 1, "one is in the middle")] = 3
    fish: tuple[Fish, ...] = ()
    name: str | None = None

    def conflicts(self) -> Iterator[Fault]:
        if len(self.fish) > self.depth:
            yield Fault(("fish",), f"need {self.depth:g} at most", of=("depth",))


def lines(make: Any) -> list[str]:
    with pytest.raises(ValueError, match=":") as caught:
        make()
    assert isinstance(caught.value, WrongSettings)
    return str(caught.value).split("\n")


def test_every_wrong_field_is_one_line() -> None:
    assert lines(lambda: Pond(depth=0.5, rows=4, fish=3, name=7, nme="x")) == [  # type: ignore[call-arg,arg-type]
        "depth: need a number from 1 to 9, got 0.5",
        "rows: need an odd number, got 4: one is in the middle",
        "fish: need a list of mappings, got 3",
        "name: need a text, or null, got 7",
        "nme: no such setting. Did you mean 'name'?",
    ]


def test_a_field_with_several_wrong_parts_is_told_once_and_whole() -> None:
    assert lines(lambda: Fish(kind="carp", fins=(0, 9))) == [
        "fins: need a list of 2 whole numbers from 1 to 4, got (0, 9)"
    ]


def test_what_is_missing_says_what_it_may_be() -> None:
    assert lines(Fish) == ["kind: missing; need one of carp, pike"]


def test_a_part_within_a_list_has_its_place() -> None:
    written = {"fish": [{"kind": "carp"}, {"kind": "cod", "fins": [1]}]}
    assert lines(lambda: read(Pond, written)) == [
        "fish[1].kind: need one of carp, pike, got 'cod'",
        "fish[1].fins: need a list of 2 whole numbers from 1 to 4, got (1,)",
    ]


def test_fields_that_do_not_fit_each_other_are_told_with_other_wrong_fields() -> None:
    two = (Fish(kind="carp"), Fish(kind="pike"))
    assert lines(lambda: Pond(depth=1, fish=two, rows=2)) == [
        "rows: need an odd number, got 2: one is in the middle",
        "fish: need 1 at most",
    ]


def test_a_rule_between_fields_is_not_asked_where_one_of_them_is_wrong() -> None:
    four = (Fish(kind="carp"),) * 4  # too many for the default depth
    assert lines(lambda: Pond(depth=0, fish=four)) == ["depth: need a number from 1 to 9, got 0"]


def test_python_needs_the_right_type_and_a_record_may_have_numbers_as_text() -> None:
    assert lines(lambda: Pond(depth="4")) == ["depth: need a number from 1 to 9, got '4'"]  # type: ignore[arg-type]
    built = read(Pond, {"depth": "4e0"})
    assert built == Pond(depth=4)
    fields = Pond.__pydantic_fields__  # type: ignore[attr-defined]
    told = [str(fault) for fault in retyped(fields, {"depth": "4e0"}, built)]
    assert told == ["depth: need a number from 1 to 9, got '4e0'"]
    assert [*retyped(fields, {"depth": 4}, built)] == []
    assert lines(lambda: Pond(rows=True)) == [
        "rows: need an odd number, got True: one is in the middle"
    ]


def test_no_number_is_none_at_all() -> None:
    assert lines(lambda: Pond(depth=float("nan"))) == ["depth: need a number from 1 to 9, got nan"]


def test_a_config_is_a_frozen_value() -> None:
    one = Pond(fish=[Fish(kind="pike", fins=[1, 2])])  # type: ignore[arg-type]
    assert one == replace(Pond(), fish=one.fish)
    assert hash(one) == hash(pickle.loads(pickle.dumps(one)))  # noqa: S301
    assert asdict(one)["fish"] == ({"kind": "pike", "fins": (1, 2)},)
    assert not hasattr(one, "__dict__")
    with pytest.raises(FrozenInstanceError):
        one.rows = 5  # type: ignore[misc]


def test_the_faults_travel_between_processes() -> None:
    error = WrongSettings([Fault(("a", 1, "b"), "need c")])
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert str(again) == str(error) == "a[1].b: need c"


def bounds_and_defaults(kind: type) -> Iterator[tuple[str, dict[str, Any]]]:
    schema = TypeAdapter(kind).json_schema()
    for part in (schema, *schema.get("$defs", {}).values()):
        yield from part["properties"].items()


def numbers(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        if part.get("type") in ("number", "integer"):
            yield part
        for inner in part.values():
            yield from numbers(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from numbers(inner)


@pytest.mark.parametrize("kind", [DataConfig, TrainConfig, Stage])
def test_the_schema_has_the_bounds_and_the_default_of_every_field(kind: type) -> None:
    for name, part in bounds_and_defaults(kind):
        assert "default" in part or name == "part"
        if name not in ("hu", "window", "tile_stride"):  # of these the volume decides the most
            assert all(number.keys() >= {"minimum", "maximum"} for number in numbers(part)), name


def test_no_torch_is_loaded() -> None:
    code = "import sys, mmcaf.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
