"""The words of a suite's faults: of every kind of error that a parameter model may report."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError, create_model, field_validator
from pydantic_core import PydanticCustomError
from pydantic_core._pydantic_core import list_all_errors

from harness import Params
from harness.records.data import TaskName
from harness.suites.faults import explain, words


class Inner(BaseModel):
    model_config = Params.model_config
    size: int
    """How large."""


class Other(BaseModel):
    model_config = Params.model_config
    kind: Literal["other"]
    weights: list[float]


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


KINDS: list[tuple[Any, Any, list[str]]] = [
    (int, "x", ['a = "x": a whole number']),
    (int, 1.5, ["a = 1.5: a whole number"]),
    (int, True, ["a = true: a whole number"]),
    (float, "x", ['a = "x": a number']),
    (float, float("inf"), ["a = Infinity: a finite number"]),
    (bool, 1, ["a = 1: true or false"]),
    (str, 1, ["a = 1: text in quotes"]),
    (Annotated[int, Field(ge=1)], 0, ["a = 0: at least 1"]),
    (Annotated[float, Field(gt=0.5)], 0.5, ["a = 0.5: more than 0.5"]),
    (Annotated[float, Field(le=2**20)], 2e6, ["a = 2000000.0: at most 1048576"]),
    (Annotated[float, Field(lt=1)], 1.0, ["a = 1.0: less than 1"]),
    (Annotated[int, Field(multiple_of=4)], 6, ["a = 6: a multiple of 4"]),
    (Annotated[str, Field(min_length=2)], "x", ['a = "x": at least 2 characters']),
    (Annotated[str, Field(max_length=1)], "xy", ['a = "xy": at most 1 character']),
    (Annotated[str, Field(pattern="^a+$")], "b", ['a = "b": text that matches the pattern ^a+$']),
    (TaskName, "Source",
     ["a = \"Source\": the name of a task: small letters, digits and hyphens, as in 'step-2'"]),
    (
        Annotated[str, Field(pattern="^a+$", description="One a,\n  or several.")],
        "b",
        ['a = "b": text of this form: One a, or several'],
    ),
    (list[int], 3, ["a = 3: a list in brackets"]),
    (list[int], [1, "x", 2.5], ['a.1 = "x": a whole number', "a.2 = 2.5: a whole number"]),
    (Annotated[list[int], Field(min_length=1)], [], ["a = []: at least 1 value"]),
    (Annotated[tuple[int, ...], Field(min_length=2)], ["x", "y"],
     ['a.0 = "x": a whole number', 'a.1 = "y": a whole number']),
    (Annotated[tuple[int, ...], Field(min_length=2)], ["x"],
     ["a = [\"x\"]: at least 2 values", 'a.0 = "x": a whole number']),
    (Annotated[frozenset[int], Field(min_length=2)], [1, 1], ["a = [1, 1]: at least 2 values"]),
    (Annotated[list[int], Field(max_length=2)], [1, 2, 3], ["a = [1, 2, 3]: at most 2 values"]),
    (tuple[int, int], [1], ["a.1: missing; give it a value"]),
    (tuple[int, int], [1, 2, 3], ["a = [1, 2, 3]: at most 2 values"]),
    (tuple[int, ...], "x", ['a = "x": a list in brackets']),
    (frozenset[int], 1, ["a = 1: a list in brackets"]),
    (dict[str, int], [1], ["a = [1]: a table in braces"]),
    (dict[str, int], {"int": "x"}, ['a.int = "x": a whole number']),
    (Inner, 3, ["a = 3: a table in braces"]),
    (Inner, {}, ["a.size: missing (How large.); give it a value"]),
    (
        Inner,
        {"sise": 3},
        ["a.sise: unknown parameter 'sise'; did you mean 'size'?; allowed are size"],
    ),
    (Literal["red", "blue"], "bleu", ["a = \"bleu\": 'red' or 'blue'; did you mean 'blue'?"]),
    (Literal["auto"], 1, ["a = 1: 'auto'"]),
    (Colour, "gold", ["a = \"gold\": 'red' or 'blue'"]),
    (int | None, "x", ['a = "x": a whole number']),
    (
        int | Literal["auto"],
        "auot",
        ["a = \"auot\": a whole number, or 'auto'; did you mean 'auto'?"],
    ),
    (int | list[int], "x", ['a = "x": a whole number, or a list in brackets']),
    (int | list[int], [1, "x"], ['a.1 = "x": a whole number']),
    (int | list[int] | None, [1, "x"], ['a.1 = "x": a whole number']),
    (list[int] | list[str], [1.5], ["a.0 = 1.5: a whole number"]),
    (Inner | Other, {"size": "x"}, ['a.size = "x": a whole number']),
    (list[int | Inner], [1, {"size": "x"}, 2.5],
     ['a.1.size = "x": a whole number', "a.2 = 2.5: a whole number, or a table in braces"]),
    (date, "today", ['a = "today": a date in quotes, as in "2025-01-31"']),
    (timedelta, "soon", ['a = "soon": a duration, as in "PT1H30M"']),
    (Decimal, "x", ['a = "x": a number']),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value", "lines"), KINDS, ids=map(str, range(len(KINDS))))
def test_a_value_that_is_not_allowed_is_told_in_the_words_of_toml(
    kind: Any, value: Any, lines: list[str]
) -> None:
    assert told(create_model("Made", __base__=Params, a=(kind, ...)), {"a": value}) == lines


def told(model: type[BaseModel], table: Mapping[str, Any]) -> list[str]:
    with pytest.raises(ValidationError) as raised:
        model.model_validate_json(json.dumps(table))
    return [fault.line("") for fault in explain(raised.value, table, model)]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("Two of them\n differ"), "a = 1: two of them differ"),
        (ValueError(), "a = 1: a value of another kind"),
        (AssertionError("must be odd"), "a = 1: must be odd"),
        (PydanticCustomError("int_type_of_mine", "Mine {n}", {"n": 3}), "a = 1: mine 3"),
    ],
)
def test_a_validator_speaks_for_itself(error: Exception, line: str) -> None:
    class Checked(Params):
        a: int

        @field_validator("a")
        @classmethod
        def _check(cls, value: int) -> int:
            raise error

    assert told(Checked, {"a": 1}) == [line]


def test_a_default_that_a_validator_refuses_is_told_at_its_place() -> None:
    class Checked(Params):
        label: str
        points: Annotated[int | None, Field(validate_default=True)] = None

        @field_validator("points")
        @classmethod
        def _check(cls, value: int | None) -> int | None:
            raise ValueError("at least 1, as there is a label")

    line = "points = null: at least 1, as there is a label"
    assert told(Checked, {"label": "y"}) == [line]
    around = create_model("Around", __base__=Params, a=(Checked | int, ...))
    assert told(around, {"a": {"label": "y"}}) == [f"a.{line}"]


def test_a_misspelt_parameter_is_not_missing_as_well() -> None:
    made = create_model("Made", __base__=Params, steps=(int, ...), width=(int, ...))
    assert told(made, {"stesp": 3}) == [
        "width: missing; give it a value",
        "stesp: unknown parameter 'stesp'; did you mean 'steps'?; allowed are steps, width",
    ]


@pytest.mark.parametrize("kind", [e["type"] for e in list_all_errors()])
def test_no_kind_of_error_is_told_in_the_words_of_the_library(kind: str) -> None:
    if kind in ("value_error", "assertion_error"):  # a component's own
        return
    (found,) = (e for e in list_all_errors() if e["type"] == kind)
    context: dict[str, Any] = dict(found.get("example_context") or {})
    said = words(
        kind,
        context | {"error": "of the library", "expected": "'red'"},
        found["message_template_python"],
    )
    assert said and "{" not in said
    library = r"should|[Ii]nput|valid |dictionary|array|object|integer|instance|of the library"
    assert not re.search(library, said)
