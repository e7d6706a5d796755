"""A decorator declares a component, refuses a wrong name, and its parameters are strict."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugin_files import exactly
from pydantic import Field, ValidationError

import harness
from harness import Component, Params, Stage, regime, task
from harness.errors import PluginError
from harness.registry.component import KINDS, is_component_name, is_observable_name
from harness.registry.declare import MARK, unit_observable
from harness.suites.faults import explain


class Numbers(Params):
    count: int = Field(default=4, ge=1)
    """How many."""
    share: float = 0.5
    """Which part."""
    label: str = "x"
    """What it is called."""


# ---------------------------------------------------------------- decorators


def test_a_decorator_marks_and_returns_what_it_decorates() -> None:
    def make(params: Numbers) -> list[Stage]:
        """Do one thing.

        And explain it.
        """
        return [Stage(data="target", richness=1.0, steps=params.count)]

    decorated = regime("one-thing", version="2", tags={"b", "a"}, citation="someone")(make)
    assert decorated is make
    component = vars(make)[MARK]
    assert component == Component(
        kind="regime",
        name="one-thing",
        version="2",
        params=Numbers,
        make=make,
        tags=frozenset({"a", "b"}),
        citation="someone",
        summary="Do one thing.",
        doc="Do one thing.\n\nAnd explain it.",
    )
    assert component.make(component.parse({"count": 3}))[0].steps == 3


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "claim"])
def test_every_kind_has_a_decorator_of_its_name(kind: str) -> None:
    def make(params: Numbers, given: Any) -> None: ...

    getattr(harness, kind)("a-name", version="1")(make)
    assert vars(make)[MARK].kind == kind


def test_a_claim_says_what_it_claims_and_where() -> None:
    @harness.claim(
        "one-claim",
        version="3",
        statement="It holds.",
        source="someone",
        experiments=["a-*"],
        order=4,
    )
    def one(evidence: harness.Evidence) -> harness.Judgement:
        raise NotImplementedError

    component = vars(one)[MARK]
    assert (component.kind, component.version, component.order) == ("claim", "3", 4)
    assert (component.statement, component.summary) == ("It holds.", "It holds.")
    assert (component.citation, component.experiments) == ("someone", ("a-*",))


def test_a_theory_takes_its_parameters_where_it_is_made() -> None:
    @harness.theory("a-theory", version="1")
    class Solver:
        """Solve."""

        def __init__(self, params: Numbers) -> None:
            self.params = params

    component = vars(Solver)[MARK]
    assert component.params is Numbers
    assert component.make(component.parse({"share": 0.25})).params.share == 0.25


def test_a_task_may_say_how_its_data_are_fetched() -> None:
    fetched: list[Any] = []

    @task("a-task", version="1", prepare=fetched.append)
    def make(params: Numbers, seed: int) -> Any: ...

    assert vars(make)[MARK].prepare == fetched.append


def no_arguments() -> None: ...


def untyped(params, seed):  # type: ignore[no-untyped-def]
    ...


def wrong_type(params: dict, seed: int) -> None:  # type: ignore[type-arg]
    ...


@pytest.mark.parametrize("make", [no_arguments, untyped, wrong_type])
def test_a_component_without_a_parameter_model_is_refused(make: Any) -> None:
    message = (
        f"{make.__name__}: the first argument needs a type that derives from harness.Params,"
        " such as 'def my_task(params: MyParams, seed: int)'"
    )
    with pytest.raises(PluginError, match=exactly(message)):
        task("a-task", version="1")(make)


@pytest.mark.parametrize("name", ["mlp", "two-moons", "he2", "2-layer", "a-1-b"])
def test_names_are_lower_case_words_joined_by_hyphens(name: str) -> None:
    assert is_component_name(name)


@pytest.mark.parametrize(
    "name", ["", "-", "a-", "-a", "a--b", "My", "two moons", "two_moons", "é", "a/b", "..", "a\n"]
)
def test_other_names_are_refused_with_an_example(name: str) -> None:
    message = f"task name {name!r}: allowed are lower-case words joined by hyphens, as in 'my-task'"
    with pytest.raises(PluginError, match=exactly(message)):
        task(name, version="1")


@pytest.mark.parametrize("name", ["alignment", "preactivation/mean", "a-1/b-2"])
def test_the_name_of_an_observable_has_one_or_two_parts(name: str) -> None:
    assert is_observable_name(name)
    assert observed(name).name == name


@pytest.mark.parametrize("name", ["", "/a", "a/", "a/b/c", "A/b", "a b", "a" * 101])
def test_other_names_of_observables_are_refused(name: str) -> None:
    with pytest.raises(PluginError, match=r"^observable name .*: allowed are lower-case words"):
        observed(name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("loss/mine", "solvers record one themselves; names begin with none of loss, accuracy,"),
        ("stationary/mine", "solvers record one themselves"),
        ("preactivation/density", "solvers record one themselves"),
        ("own/stderr", "'stderr' stands for errors; choose another"),
    ],
)
def test_names_that_stand_for_something_else_are_refused(name: str, reason: str) -> None:
    with pytest.raises(PluginError, match=f"^observable name '{name}': {reason}"):
        observed(name)


def observed(name: str) -> Component:
    def measure(params: Numbers, end: Any) -> Any: ...

    found: Component = vars(harness.observable(name, version="1")(measure))[MARK]
    return found


def test_an_observable_takes_units_at_the_end_and_perhaps_at_the_start() -> None:
    def one(params: Numbers) -> Any: ...
    def two(params: Numbers, end: Any) -> Any: ...
    def three(params: Numbers, end: Any, start: Any) -> Any: ...

    asks = []
    for make in (two, three):
        component = vars(harness.observable("own", version="1")(make))[MARK]
        asks.append(unit_observable(component, Numbers()).asks_start)
    assert asks == [False, True]
    message = "one: takes 1 arguments; an observable takes (params, end) or (params, end, start)"
    with pytest.raises(PluginError, match=exactly(message)):
        harness.observable("own", version="1")(one)


class Taken(Params):
    scored: bool = False


def test_an_observable_has_no_parameter_of_a_name_that_suites_use() -> None:
    def measure(params: Taken, end: Any) -> Any: ...

    message = "measure: a parameter 'scored', which suites use otherwise; choose another name"
    with pytest.raises(PluginError, match=exactly(message)):
        harness.observable("own", version="1")(measure)


# ---------------------------------------------------------------- parameters


def refusal(table: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as raised:
        numbers().parse(table)
    return "\n".join(fault.line("task") for fault in explain(raised.value, table, Numbers))


@functools.cache
def numbers() -> Component:
    @task("numbers", version="1")
    def make(params: Numbers, seed: int) -> Any: ...

    found: Component = vars(make)[MARK]
    return found


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"conut": 3},
            "task.conut: unknown parameter 'conut'; did you mean 'count'?;"
            " allowed are count, label, share",
        ),
        (
            {"zzz": 3},
            "task.zzz: unknown parameter 'zzz'; allowed are count, label, share",
        ),
        ({"count": 0}, "task.count = 0: at least 1"),
        ({"count": "3"}, 'task.count = "3": a whole number'),
        ({"count": 3.0}, "task.count = 3.0: a whole number"),
        ({"count": True}, "task.count = true: a whole number"),
        ({"share": "0.5"}, 'task.share = "0.5": a number'),
        ({"share": float("nan")}, "task.share = NaN: a finite number"),
        ({"share": float("inf")}, "task.share = Infinity: a finite number"),
        ({"label": 3}, "task.label = 3: text in quotes"),
        ({"label": None}, "task.label = null: text in quotes"),
        (
            {"count": 0, "share": "x"},
            'task.count = 0: at least 1\ntask.share = "x": a number',
        ),
    ],
)
def test_parameters_are_strict(table: dict[str, Any], message: str) -> None:
    assert refusal(table) == message


def test_whole_numbers_are_numbers() -> None:
    assert numbers().parse({"share": 1}).model_dump() == {"count": 4, "share": 1.0, "label": "x"}


def test_parameters_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        numbers().parse({}).count = 5  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["source-points", "count ", "3d"])
def test_an_unknown_parameter_need_not_be_an_identifier(name: str) -> None:
    assert f"unknown parameter {name!r}" in refusal({name: 3})


def test_a_date_is_no_string() -> None:
    import datetime

    assert refusal({"label": datetime.date(1979, 5, 27)})


@given(st.dictionaries(st.sampled_from(["count", "share"]), st.integers(1, 9)))
def test_complete_parameters_parse_to_themselves(table: dict[str, Any]) -> None:
    once = numbers().parse(table)
    assert numbers().parse(once.model_dump(mode="json")) == once
