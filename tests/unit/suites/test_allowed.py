"""Allowed values and defaults of parameters, in the words of faults and as TOML."""

from __future__ import annotations

import tomllib
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, create_model
from small_suite import REGISTRY

from harness import Params
from harness.records.data import TaskName
from harness.suites.allowed import allowed_values, as_toml, default_value


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Inner(Params):
    size: int = 3


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (int, "a whole number"),
        (Annotated[int, Field(ge=1, le=64)], "a whole number, at least 1, at most 64"),
        (Annotated[float, Field(gt=0, lt=1)], "a number, more than 0, less than 1"),
        (Annotated[int, Field(multiple_of=4)], "a whole number, a multiple of 4"),
        (Annotated[int, Field(ge=1)] | None, "a whole number, at least 1"),
        (Annotated[int | None, Field(ge=1)], "a whole number, at least 1"),
        (Annotated[str, Field(min_length=1)], "text in quotes, at least 1 character"),
        (Annotated[str, Field(pattern="^a$")], "text in quotes, text that matches the pattern ^a$"),
        (bool, "true or false"),
        (Literal["keep"], "'keep'"),
        (Literal["keep", "zero", 3], "'keep', 'zero' or 3"),
        (Colour, "'red' or 'blue'"),
        (
            Literal["all"] | frozenset[Annotated[int, Field(ge=1)] | Literal["readout"]],
            "'all', or a list in brackets (each a whole number, at least 1, or 'readout')",
        ),
        (
            Annotated[list[float], Field(min_length=2)],
            "a list in brackets (each a number), at least 2 values",
        ),
        (tuple[int, ...], "a list in brackets (each a whole number)"),
        (tuple[int, int], "a list in brackets (2 values, each a whole number)"),
        (list[Any], "a list in brackets"),
        (dict[str, int], "a table in braces"),
        (Inner, "a table in braces"),
        (Any, ""),
        (
            TaskName,
            "text in quotes, the name of a task: small letters, digits and hyphens, as in 'step-2'",
        ),
    ],
)
def test_words_and_ranges_of_a_type_are_told(kind: Any, said: str) -> None:
    made = create_model("Made", __base__=Params, a=(kind, ...))
    assert allowed_values(made.model_fields["a"]) == said


def test_every_parameter_of_a_built_in_component_tells_its_values_and_default() -> None:
    for component in (c for c in REGISTRY.components() if c.kind != "claim"):
        for name, field in component.params.model_fields.items():
            assert allowed_values(field), (component.name, name)
            default = None if field.is_required() else default_value(field)
            if default is not None:
                value = tomllib.loads(f"a = {default}")["a"]
                assert as_toml(value) == default


@pytest.mark.parametrize(
    "value",
    [True, 0.0, 1e-05, 10**12, "é \"quoted\"", [1, [2]], {"a b": {"c": 1}}, [], {}, float("inf")],
)  # fmt: skip
def test_a_value_is_written_as_toml(value: Any) -> None:
    assert tomllib.loads(f"a = {as_toml(value)}")["a"] == value


def test_sets_tables_and_what_is_left_out_are_written_as_in_a_suite() -> None:
    assert as_toml(frozenset({"readout", 2, 1})) == '["readout", 1, 2]'
    assert as_toml(Inner()) == '{ "size" = 3 }'
    assert as_toml((Colour.RED,)) == '["red"]'
    made = create_model(
        "Made", __base__=Params, a=(int | None, None), b=(list[int], Field(default_factory=list))
    )
    assert default_value(made.model_fields["a"]) is None
    assert default_value(made.model_fields["b"]) == "[]"
