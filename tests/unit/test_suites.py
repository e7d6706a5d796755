"""Suites: what a file may say, how each mistake is told, and what a cell's key depends on."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import Problem, Registry
from harness.errors import PluginError, SuiteError
from harness.suites import (
    Cell,
    Experiment,
    Resolved,
    Solver,
    Suite,
    build_data,
    build_problem,
    bundled_suites,
    cells_of,
    load_suite,
    same_problems,
    solvers_of,
    suite_schema,
)

REGISTRY = Registry.load()
Table = dict[str, Any]

SUITE: Table = {
    "suite": {"name": "small", "widths": [32, 16], "seeds": 2},
    "experiment": [
        {
            "name": "first",
            "task": {
                "name": "linear-transfer",
                "dimension": 5,
                "source_points": 6,
                "target_points": 4,
                "test_points": 5,
                "alignment": 0.5,
            },
            "architecture": {"name": "mlp", "depth": 1},
            "regime": {
                "name": "jointly-rich",
                "source_richness": 1.0,
                "target_richness": 0.5,
                "source_steps": 3,
                "target_steps": 2,
            },
            "theories": ["mean-field", "lazy-ntk"],
        }
    ],
}
MISSING = object()


def toml(value: Any) -> str:
    """Return a value as TOML writes it inline."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, Verbatim):
        return value
    return json.dumps(value, ensure_ascii=False)


class Verbatim(str):
    """Text that goes into a file as it is: what JSON has no word for."""


def written(table: Table) -> str:
    """Return a suite as a TOML file, one line for each of its tables."""
    return "".join(f"{json.dumps(name)} = {toml(value)}\n" for name, value in table.items())


def changed(*changes: tuple[str, Any]) -> Table:
    """Return the small suite with dotted paths set, or removed where the value is `MISSING`."""
    table = copy.deepcopy(SUITE)
    for dotted, value in changes:
        *parents, last = dotted.split("/")
        place: Any = table
        for part in parents:
            place = place[int(part) if part.isdigit() else part]
        if value is MISSING:
            del place[last]
        elif isinstance(place, list) and int(last) == len(place):
            place.append(value)
        else:
            place[int(last) if isinstance(place, list) else last] = value
    return table


@pytest.fixture
def read(tmp_path: Path) -> Callable[[Any], Suite]:
    """Return a function that writes a suite to a file and loads it."""

    def load(content: Any) -> Suite:
        path = tmp_path / "small.toml"
        path.write_text(content if isinstance(content, str) else written(content))
        return load_suite(path, REGISTRY)

    return load


@pytest.fixture
def refusals(tmp_path: Path, read: Callable[[Any], Suite]) -> Callable[[Any], list[str]]:
    """Return a function that gives the lines with which a suite is refused, less its file."""

    def refuse(content: Any) -> list[str]:
        with pytest.raises(SuiteError) as raised:
            read(content)
        lines = str(raised.value).splitlines()
        file = f"{tmp_path / 'small.toml'}: "
        assert all(line.startswith(file) for line in lines)
        return [line.removeprefix(file) for line in lines]

    return refuse


@pytest.fixture
def refusal(refusals: Callable[[Any], list[str]]) -> Callable[[Any], str]:
    """Return a function that gives the one line with which a suite is refused, less its file."""

    def refuse(content: Any) -> str:
        (line,) = refusals(content)
        return line

    return refuse


def experiment(**changes: Any) -> Experiment:
    """Return the experiment of the small suite, with dotted paths (``/`` as ``__``) changed."""
    import tempfile

    table = changed(*((f"experiment/0/{k.replace('__', '/')}", v) for k, v in changes.items()))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.toml"
        path.write_text(written(table))
        (found,) = load_suite(path, REGISTRY).experiments
        return found


# ---------------------------------------------------------------- what a suite says


def test_a_suite_is_read_with_every_default_filled_in(read: Callable[[Any], Suite]) -> None:
    suite = read(SUITE)
    assert (suite.name, suite.widths, suite.seeds) == ("small", (16, 32), (0, 1))
    assert suite.dtype == "float32"
    (first,) = suite.experiments
    assert (first.name, first.data_seed) == ("first", 0)
    assert first.task.name == "linear-transfer"
    assert first.task.parameters["label_noise"] == 0.0
    assert first.architecture.parameters == {"depth": 1, "activation": "relu"}
    assert first.regime.parameters["dt"] == "auto"
    assert [t.name for t in first.theories] == ["mean-field", "lazy-ntk"]
    for spec in (first.task, first.architecture, first.regime, *first.theories):
        kind = next(c for c in REGISTRY.components() if c.name == spec.name)
        assert spec.version == kind.version
        assert json.loads(json.dumps(spec.parameters)) == spec.parameters


@pytest.mark.parametrize(("seeds", "expected"), [(3, (0, 1, 2)), ([7, 3], (7, 3))])
def test_seeds_are_a_number_or_a_list(
    read: Callable[[Any], Suite], seeds: Any, expected: tuple[int, ...]
) -> None:
    assert read(changed(("suite/seeds", seeds))).seeds == expected


def test_an_experiment_may_have_networks_of_its_own(read: Callable[[Any], Suite]) -> None:
    own = read(changed(("experiment/0/widths", [64, 8]), ("experiment/0/seeds", 1)))
    (first,) = own.experiments
    solvers = solvers_of(first, own)
    assert [(s.width, s.seed) for s in solvers if s.width] == [(8, 0), (64, 0)]


def test_an_experiment_without_widths_is_one_of_theories_alone(
    read: Callable[[Any], Suite],
) -> None:
    suite = read(changed(("experiment/0/widths", [])))
    cells = cells_of(suite.experiments[0], suite, Resolved("data", (0.1, 0.1)))
    assert [cell.solver.name for cell in cells] == ["mean-field", "lazy-ntk"]


def test_data_seeds_draw_the_data_anew(read: Callable[[Any], Suite]) -> None:
    sweep = {"regime.source_richness": [1.0, 2.0]}
    suite = read(changed(("experiment/0/data_seeds", 2), ("experiment/0/sweep", sweep)))
    assert [(e.name, e.data_seed) for e in suite.experiments] == [
        ("first[regime.source_richness=1.0,task.data_seed=0]", 0),
        ("first[regime.source_richness=1.0,task.data_seed=1]", 1),
        ("first[regime.source_richness=2.0,task.data_seed=0]", 0),
        ("first[regime.source_richness=2.0,task.data_seed=1]", 1),
    ]
    (listed,) = read(changed(("experiment/0/data_seeds", [7]))).experiments
    assert listed.data_seed == 7


def test_theories_take_parameters(read: Callable[[Any], Suite]) -> None:
    theories = [{"name": "mean-field", "samples": 256}]
    (first,) = read(changed(("experiment/0/theories", theories))).experiments
    assert first.theories[0].parameters["samples"] == 256


def test_the_data_seed_is_no_parameter_of_the_task(read: Callable[[Any], Suite]) -> None:
    (first,) = read(changed(("experiment/0/task/data_seed", 3))).experiments
    assert first.data_seed == 3
    assert "data_seed" not in first.task.parameters


def test_the_dotted_form_of_toml_reads_the_same(read: Callable[[Any], Suite]) -> None:
    table = SUITE["experiment"][0]
    lines = ["[suite]", *(f"{k} = {toml(v)}" for k, v in SUITE["suite"].items())]
    lines += ["[[experiment]]", f"name = {toml(table['name'])}"]
    lines += [f"theories = {toml(table['theories'])}"]
    for part in ("task", "architecture", "regime"):
        lines += [f"[experiment.{part}]", *(f"{k} = {toml(v)}" for k, v in table[part].items())]
    assert read("\n".join(lines)) == read(SUITE)


def test_the_problem_of_an_experiment_is_built_from_its_parts() -> None:
    problem = build_problem(experiment(), REGISTRY)
    assert isinstance(problem, Problem)
    assert [s.steps for s in problem.protocol.stages] == [3, 2]
    assert len(problem.data.train("source")) == 6
    assert problem.architecture.depth == 1


def test_a_problem_of_another_version_is_not_built() -> None:
    first = experiment()
    other = replace(first, task=replace(first.task, version="0"))
    with pytest.raises(
        PluginError,
        match=(
            r"^task 'linear-transfer' is version 1 here, but the cell needs 0;"
            r" run with the same plugins everywhere$"
        ),
    ):
        build_problem(other, REGISTRY)


# ---------------------------------------------------------------- what is refused, and how

MISTAKES: list[tuple[str, Sequence[tuple[str, Any]], str]] = [
    # unknown keys, at every level
    (
        "top level",
        [("siute", {})],
        "siute: unknown parameter 'siute'; did you mean 'suite'?; allowed are experiment, suite",
    ),
    (
        "suite",
        [("suite/sedes", 1)],
        "suite.sedes: unknown parameter 'sedes'; did you mean 'seeds'?;"
        " allowed are dtype, name, seeds, widths",
    ),
    (
        "experiment",
        [("experiment/0/sweeps", {})],
        "experiment.0.sweeps: unknown parameter 'sweeps'; did you mean 'sweep'?;"
        " allowed are architecture, data_seeds, name, regime, seeds, sweep, task, theories, widths",
    ),
    (
        "task",
        [("experiment/0/task/dimensoin", 3)],
        "experiment.0.task.dimensoin: unknown parameter 'dimensoin'; did you mean 'dimension'?;",
    ),
    (
        "architecture",
        [("experiment/0/architecture/dept", 1)],
        "experiment.0.architecture.dept: unknown parameter 'dept'; did you mean 'depth'?;"
        " allowed are activation, depth",
    ),
    (
        "regime",
        [("experiment/0/regime/richness", 1.0)],
        "experiment.0.regime.richness: unknown parameter 'richness'",
    ),
    (
        "theory",
        [("experiment/0/theories/0", {"name": "mean-field", "sampels": 1})],
        "experiment.0.theories.0.sampels: unknown parameter 'sampels'; did you mean 'samples'?;",
    ),
    # what is missing
    ("no suite", [("suite", MISSING)], "suite: missing; give it a value"),
    ("no experiment", [("experiment", MISSING)], "experiment: missing; give it a value"),
    ("no widths", [("suite/widths", MISSING)], "suite.widths: missing"),
    (
        "no task",
        [("experiment/0/task", MISSING)],
        "experiment.0.task: missing; give it a value",
    ),
    (
        "no task name",
        [("experiment/0/task/name", MISSING)],
        "experiment.0.task.name: missing; give it a value",
    ),
    (
        "required parameter",
        [("experiment/0/regime/target_richness", MISSING)],
        "experiment.0.regime.target_richness: missing (gamma of the target stage.);"
        " give it a value",
    ),
    # widths, seeds and dtype
    ("width", [("suite/widths/1", -32)], "suite.widths.1 = -32: at least 1"),
    ("zero width", [("suite/widths/1", 0)], "suite.widths.1 = 0: at least 1"),
    (
        "huge width",
        [("suite/widths/1", 2**21)],
        f"suite.widths.1 = {2**21}: at most 1048576",
    ),
    ("no width", [("suite/widths", [])], "suite.widths = []: at least 1 value"),
    (
        "repeated widths",
        [("suite/widths", [16, 16])],
        "suite.widths = [16, 16]: 16 is listed twice; list it once",
    ),
    (
        "fraction",
        [("suite/widths/0", 16.0)],
        "suite.widths.0 = 16.0: a whole number",
    ),
    ("text", [("suite/widths/0", "16")], 'suite.widths.0 = "16": a whole number'),
    ("one width", [("suite/widths", 16)], "suite.widths = 16: a list in brackets"),
    (
        "seeds in words",
        [("suite/seeds", "two")],
        'suite.seeds = "two": a whole number, or a list in brackets',
    ),
    ("seeds as truth", [("suite/seeds", True)], "suite.seeds = true: a whole number"),
    (
        "no seeds",
        [("suite/seeds", 0)],
        "suite.seeds = 0: at least 1, or a list in brackets",
    ),
    (
        "repeated seeds",
        [("suite/seeds", [1, 1])],
        "suite.seeds = [1, 1]: 1 is listed twice; list it once",
    ),
    (
        "dtype",
        [("suite/dtype", "float46")],
        "suite.dtype = \"float46\": 'float32' or 'float64'; did you mean 'float64'?",
    ),
    # names
    ("empty name", [("suite/name", "")], 'suite.name = "": at least 1 character'),
    (
        "long name",
        [("experiment/0/name", "x" * 201)],
        f'experiment.0.name = "{"x" * 56}...: at most 200 characters',
    ),
    (
        "unknown task",
        [("experiment/0/task/name", "linear-tranfser")],
        "experiment.0.task.name: unknown task 'linear-tranfser'; did you mean 'linear-transfer'?;"
        " known are image-pairs, ",
    ),
    (
        "unknown architecture",
        [("experiment/0/architecture/name", "mpl")],
        "experiment.0.architecture.name: unknown architecture 'mpl'; did you mean 'mlp'?;",
    ),
    (
        "unknown regime",
        [("experiment/0/regime/name", "jointly-rihc")],
        "experiment.0.regime.name: unknown regime 'jointly-rihc'; did you mean 'jointly-rich'?;",
    ),
    (
        "unknown theory",
        [("experiment/0/theories/1", "mean-feild")],
        "experiment.0.theories.1: unknown theory 'mean-feild'; did you mean 'mean-field'?;",
    ),
    (
        "theory twice",
        [("experiment/0/theories", ["mean-field", {"name": "mean-field", "samples": 64}])],
        "experiment.0.theories: 'mean-field' is listed twice; each theory runs once in an"
        " experiment",
    ),
    (
        "no theories",
        [("experiment/0/theories", [])],
        "experiment.0.theories = []: at least 1 value",
    ),
    (
        "theories as text",
        [("experiment/0/theories", "mean-field")],
        'experiment.0.theories = "mean-field": a list in brackets',
    ),
    (
        "experiment twice",
        [("experiment/1", SUITE["experiment"][0])],
        "experiment: duplicate name 'first'; names of experiments must be unique",
    ),
    # values of parameters
    (
        "task as text",
        [("experiment/0/task", "linear-transfer")],
        'experiment.0.task = "linear-transfer": a table in braces',
    ),
    (
        "type",
        [("experiment/0/task/dimension", "five")],
        'experiment.0.task.dimension = "five": a whole number',
    ),
    (
        "range",
        [("experiment/0/task/alignment", 5.0)],
        "experiment.0.task.alignment = 5.0: at most 1",
    ),
    (
        "NaN",
        [("experiment/0/task/alignment", Verbatim("nan"))],
        "experiment.0.task.alignment = NaN: a finite number",
    ),
    (
        "infinity",
        [("experiment/0/regime/source_richness", Verbatim("inf"))],
        "experiment.0.regime.source_richness = Infinity: a finite number",
    ),
    (
        "date",
        [("experiment/0/regime/source_richness", Verbatim("1979-05-27"))],
        'experiment.0.regime.source_richness = "1979-05-27": a number',
    ),
    (
        "table",
        [("experiment/0/regime/source_richness", {"a": 1})],
        'experiment.0.regime.source_richness = {"a": 1}: a number',
    ),
    (
        "choice",
        [("experiment/0/regime/readout", "kept")],
        "experiment.0.regime.readout = \"kept\": 'keep', 'reset' or 'zero'; did you mean 'keep'?",
    ),
    (
        "dt",
        [("experiment/0/regime/dt", -1)],
        "experiment.0.regime.dt = -1: more than 0, or 'auto'",
    ),
    (
        "dt in words",
        [("experiment/0/regime/dt", "atuo")],
        "experiment.0.regime.dt = \"atuo\": a number, or 'auto'; did you mean 'auto'?",
    ),
    (
        "data seed",
        [("experiment/0/task/data_seed", -1)],
        "experiment.0.task.data_seed = -1: a whole number of at least 0",
    ),
    (
        "data seed type",
        [("experiment/0/task/data_seed", True)],
        "experiment.0.task.data_seed = true: a whole number of at least 0",
    ),
    (
        "nested",
        [("experiment/0/task/dimension", Verbatim("[" * 12 + "]" * 12))],
        f"experiment.0.task.dimension = {'[' * 12}{']' * 12}: a whole number",
    ),
    # sweeps
    (
        "sweep over an unknown parameter",
        [("experiment/0/sweep", {"regime.target_richnes": [1.0]})],
        "experiment.0.sweep: 'jointly-rich' has no parameter 'target_richnes';"
        " did you mean 'target_richness'?; allowed are decay, dt,",
    ),
    (
        "sweep over an unknown kind",
        [("experiment/0/sweep", {"regmie.target_richness": [1.0]})],
        "experiment.0.sweep: 'regmie.target_richness' is no parameter; did you mean 'regime'?;"
        " a sweep names task., architecture. or regime. and a parameter,"
        ' as in "regime.source_richness"',
    ),
    (
        "sweep over a bare name",
        [("experiment/0/sweep", {"regime": [1.0]})],
        "experiment.0.sweep: 'regime' is no parameter",
    ),
    (
        "sweep over a theory",
        [("experiment/0/sweep", {"theory.samples": [1]})],
        "experiment.0.sweep: 'theory.samples' is no parameter",
    ),
    (
        "sweep over the name",
        [("experiment/0/sweep", {"regime.name": ["single"]})],
        "experiment.0.sweep: 'jointly-rich' has no parameter 'name'; allowed are",
    ),
    (
        "sweep value out of range",
        [("experiment/0/sweep", {"regime.target_richness": [1.0, -1.0]})],
        "experiment.0.sweep.regime.target_richness = -1.0: more than 0",
    ),
    (
        "sweep value NaN",
        [("experiment/0/sweep", {"regime.target_richness": Verbatim("[nan]")})],
        "experiment.0.sweep.regime.target_richness = NaN: a finite number",
    ),
    (
        "sweep value of another type",
        [("experiment/0/sweep", {"task.dimension": ["5"]})],
        'experiment.0.sweep.task.dimension = "5": a whole number',
    ),
    (
        "sweep value twice",
        [("experiment/0/sweep", {"regime.target_richness": [1.0, 1.0]})],
        "experiment.0.sweep.regime.target_richness = [1.0, 1.0]: 1.0 is listed twice; list it once",
    ),
    (
        "sweep of data seeds",
        [("experiment/0/sweep", {"task.data_seed": [0, -1]})],
        "experiment.0.sweep.task.data_seed = -1: a whole number of at least 0",
    ),
    (
        "sweep with a dotted key of TOML",
        [("experiment/0/sweep", {"regime": {"target_richness": [1.0]}})],
        'experiment.0.sweep.regime = {"target_richness": [1.0]}: a list in brackets',
    ),
]


@pytest.mark.parametrize(
    ("changes", "message"),
    [(changes, message) for _, changes, message in MISTAKES],
    ids=[name for name, _, _ in MISTAKES],
)
def test_a_mistake_is_one_line_with_place_value_and_what_is_allowed(
    refusal: Callable[[Any], str], changes: Sequence[tuple[str, Any]], message: str
) -> None:
    assert refusal(changed(*changes)).startswith(message)


def test_the_wrong_experiment_is_named_by_its_position(refusal: Callable[[Any], str]) -> None:
    second = copy.deepcopy(SUITE["experiment"][0]) | {"name": "second", "architecture": {}}
    assert refusal(changed(("experiment/1", second))).startswith("experiment.1.architecture.name")


def test_every_mistake_has_its_line(refusals: Callable[[Any], list[str]]) -> None:
    second = copy.deepcopy(SUITE["experiment"][0]) | {"name": 3, "theories": ["mean-feild", 4]}
    second["architecture"] = {"name": "mpl"}
    second["regime"] |= {"target_richness": -1.0, "source_stpes": 3, "dt": "atuo"}
    del second["regime"]["source_steps"]
    second["sweep"] = {"task.alignment": [0.5, 7.0], "task.dimension": [], "task.dimensoin": [1]}
    table = changed(
        ("suite/widths/0", -1),
        ("suite/dtype", "x"),
        ("suite/name", 3),
        ("experiment/0/task/test_points", 0),
        ("experiment/0/sweep", {"regmie.dt": [0.1], "regime.dt": [0.1, -0.1]}),
        ("experiment/1", second),
    )
    del table["experiment"][1]["task"]["dimension"]
    known = ", ".join(sorted(c.name for c in REGISTRY.components("theory")))
    parameters = {
        c.name: ", ".join(sorted(c.params.model_fields))
        for c in REGISTRY.components()
        if c.name in ("linear-transfer", "jointly-rich") and c.kind in ("task", "regime")
    }
    assert sorted(refusals(table)) == sorted(
        [
            "suite.name = 3: text in quotes",
            "suite.widths.0 = -1: at least 1",
            "suite.dtype = \"x\": 'float32' or 'float64'",
            "experiment.1.name = 3: text in quotes",
            "experiment.1.theories.1 = 4: text in quotes, or a table in braces",
            "experiment.1.sweep.task.dimension = []: at least 1 value",
            "experiment.0.sweep: 'regmie.dt' is no parameter; did you mean 'regime'?; a sweep"
            " names task., architecture. or regime. and a parameter,"
            ' as in "regime.source_richness"',
            "experiment.0.task.test_points = 0: at least 1",
            "experiment.0.sweep.regime.dt = -0.1: more than 0, or 'auto'",
            "experiment.1.architecture.name: unknown architecture 'mpl'; did you mean 'mlp'?;"
            " known are mlp",
            "experiment.1.theories.0: unknown theory 'mean-feild'; did you mean 'mean-field'?;"
            f" known are {known}",
            "experiment.1.sweep: 'linear-transfer' has no parameter 'dimensoin'; did you mean"
            f" 'dimension'?; allowed are {parameters['linear-transfer']}, data_seed",
            "experiment.1.sweep.task.alignment = 7.0: at most 1",
            "experiment.1.regime.target_richness = -1.0: more than 0",
            "experiment.1.regime.source_stpes: unknown parameter 'source_stpes'; did you mean"
            f" 'source_steps'?; allowed are {parameters['jointly-rich']}",
            "experiment.1.regime.dt = \"atuo\": a number, or 'auto'; did you mean 'auto'?",
        ]
    )


def test_a_component_that_shape_faults_hide_is_still_looked_at(
    refusals: Callable[[Any], list[str]],
) -> None:
    table = changed(
        ("experiment/0/widths", [0]),
        ("experiment/0/task", MISSING),
        ("experiment/0/architecture", "mlp"),
        ("experiment/0/regime/readout", "kept"),
        ("experiment/0/theories", {"mean-field": 1}),
    )
    assert refusals(table) == [
        "experiment.0.task: missing; give it a value",
        'experiment.0.architecture = "mlp": a table in braces',
        'experiment.0.theories = {"mean-field": 1}: a list in brackets',
        "experiment.0.widths.0 = 0: at least 1",
        "experiment.0.regime.readout = \"kept\": 'keep', 'reset' or 'zero'; did you mean 'keep'?",
    ]


def test_what_is_listed_twice_is_told_beside_faults_of_another_kind(
    refusals: Callable[[Any], list[str]],
) -> None:
    first = copy.deepcopy(SUITE["experiment"][0]) | {"seeds": [3, "4", 3]}
    table = changed(
        ("suite/widths", [16, 16, "x"]),
        ("experiment/0/task/alignment", 2.0),
        ("experiment/1", first),
    )
    name = first["name"]
    assert sorted(refusals(table)) == sorted(
        [
            'experiment.1.seeds = [3, "4", 3]: 3 is listed twice; list it once',
            'experiment.1.seeds.1 = "4": a whole number',
            f"experiment: duplicate name {name!r}; names of experiments must be unique",
            "experiment.0.task.alignment = 2.0: at most 1",
            'suite.widths = [16, 16, "x"]: 16 is listed twice; list it once',
            'suite.widths.2 = "x": a whole number',
        ]
    )


@pytest.mark.parametrize(("count", "ending"), [(60, "and 10 more"), (3000, "and over 950 more")])
def test_beyond_fifty_mistakes_the_others_are_counted(
    refusals: Callable[[Any], list[str]], count: int, ending: str
) -> None:
    *lines, last = refusals(changed(("suite/widths", list(range(-count, 0)))))
    assert lines == [f"suite.widths.{i} = {i - count}: at least 1" for i in range(50)]
    assert last == f"{ending}; mend these first"


def test_a_mistake_of_a_swept_component_is_told_once(refusal: Callable[[Any], str]) -> None:
    table = changed(
        ("experiment/0/task/alignment", 2.0),
        ("experiment/0/sweep", {"regime.target_richness": [0.25, 0.5, 1.0]}),
    )
    assert refusal(table) == "experiment.0.task.alignment = 2.0: at most 1"


# ---------------------------------------------------------------- values that are listed twice


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        (
            {"regime.target_richness": [1, 1.0]},
            ["experiment.0.sweep.regime.target_richness = [1, 1.0]: 1 and 1.0 are the same"],
        ),
        (
            {"regime.target_richness": [0.5, 1.0, 1.0, 1]},
            ["experiment.0.sweep.regime.target_richness = [0.5, 1.0, 1.0, 1]: 1.0 is listed twice"],
        ),
        (
            {"regime.target_richness": [2.0, 2], "task.data_seed": [3, 4, 3]},
            [
                "experiment.0.sweep.task.data_seed = [3, 4, 3]: 3 is listed twice",
                "experiment.0.sweep.regime.target_richness = [2.0, 2]: 2.0 and 2 are the same",
            ],
        ),
    ],
)
def test_values_that_are_read_alike_are_refused(
    refusals: Callable[[Any], list[str]], sweep: Table, said: list[str]
) -> None:
    found = refusals(changed(("experiment/0/sweep", sweep)))
    assert found == [f"{line}; list it once" for line in said]


def test_values_that_differ_are_no_repeats(read: Callable[[Any], Suite]) -> None:
    sweep = {"regime.dt": ["auto", 0.1, 0.2], "regime.decay": [0.0, 1e-12]}
    assert len(read(changed(("experiment/0/sweep", sweep))).experiments) == 6


def test_two_names_of_one_problem_are_found(read: Callable[[Any], Suite]) -> None:
    first = SUITE["experiment"][0]
    regime = first["regime"]
    again = first | {"name": "again", "theories": first["theories"][::-1]}
    spelt = again | {"name": "spelt out", "regime": regime | {"dt": "auto", "source_richness": 1}}
    crossing = again | {"name": "s", "sweep": {"regime.target_richness": [0.5, 1.0]}}
    fewer = again | {"name": "fewer", "theories": ["mean-field"]}
    narrow = again | {"name": "narrow", "widths": [16]}
    table = SUITE | {"experiment": [first, again, spelt, crossing, fewer, narrow]}
    assert same_problems(read(table)) == [
        ["first", "again", "spelt out", "s[regime.target_richness=0.5]"]
    ]


# ---------------------------------------------------------------- files that are no suites


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "suite: missing; give it a value\nexperiment: missing; give it a value"),
        ("# nothing but a comment\n", "suite: missing; give it a value\nexperiment: missing"),
        ("[suite\n", "not valid TOML: Expected ']' at the end of a table declaration (at line 1"),
        ("a = 1\na = 2\n", "not valid TOML: Cannot overwrite a value (at line 2"),
        ("\x00", "not valid TOML: Invalid statement (at line 1, column 1)"),
        ("suite = 1", "suite = 1: a table in braces\nexperiment: missing; give it a value"),
    ],
)
def test_a_file_that_is_no_suite_is_refused(
    refusals: Callable[[Any], list[str]], text: str, message: str
) -> None:
    assert "\n".join(refusals(text)).startswith(message)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bytes.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SuiteError, match=r"bytes\.toml: cannot be read as text .*give a TOML file"):
        load_suite(path, REGISTRY)


def test_a_file_that_is_not_there_is_refused_with_the_bundled_names(tmp_path: Path) -> None:
    bundled = ", ".join(sorted(bundled_suites()))
    for source, message in (
        (
            str(tmp_path / "no.toml"),
            f"{tmp_path / 'no.toml'}: no such file; a suite is a TOML file or one of {bundled}",
        ),
        ("smoek", f"unknown suite 'smoek'; did you mean 'smoke'?; bundled are {bundled}"),
        ("zzz", f"unknown suite 'zzz'; bundled are {bundled}"),
    ):
        with pytest.raises(SuiteError, match=f"^{re.escape(message)}$"):
            load_suite(source, REGISTRY)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            [("suite/my-key", 1)],
            "suite.my-key: unknown parameter 'my-key'",
            id="hyphen in suite",
        ),
        pytest.param(
            [("experiment/0/regime/target-richness", 1.0)],
            "experiment.0.regime.target-richness: unknown parameter 'target-richness';"
            " did you mean 'target_richness'?",
            id="hyphen in a parameter",
        ),
        pytest.param(
            [("suite/seeds", [1, -1])],
            "suite.seeds.1 = -1: at least 0",
            id="seed out of range",
        ),
        pytest.param(
            [("experiment/0/theories/0", {"samples": 3})],
            "experiment.0.theories.0.name: missing",
            id="theory without a name",
        ),
        pytest.param(
            [("experiment/0/sweep", {"regime.target_richness": []})],
            "experiment.0.sweep.regime.target_richness = []: at least 1 value",
            id="sweep over nothing",
        ),
        pytest.param(
            [("experiment/0/name", Verbatim("1979-05-27"))],
            "experiment.0.name = ",
            id="date as a name",
        ),
        pytest.param(
            [("experiment/0/task/dimension", Verbatim("9" * 5000))],
            "not valid TOML",
            id="5000 digits",
        ),
        pytest.param(
            [("experiment/0/task/dimension", Verbatim("[" * 5000 + "]" * 5000))],
            "nested too deeply; at most 16 tables or lists",
            id="5000 brackets",
        ),
    ],
)
def test_these_mistakes_are_told_as_well(
    refusal: Callable[[Any], str], changes: Sequence[tuple[str, Any]], message: str
) -> None:
    assert refusal(changed(*changes)).startswith(message)


def test_a_folder_in_the_way_does_not_hide_a_bundled_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "smoke").mkdir()  # as `limitbench run smoke --results smoke` makes it
    monkeypatch.chdir(tmp_path)
    assert load_suite("smoke", REGISTRY).name == "smoke"


def test_a_very_long_name_is_an_unknown_suite() -> None:
    with pytest.raises(SuiteError, match="unknown suite"):
        load_suite("x" * 300, REGISTRY)


# ---------------------------------------------------------------- sweeps


def test_a_sweep_is_the_cartesian_product_in_the_order_written(
    read: Callable[[Any], Suite],
) -> None:
    sweep = {"regime.target_richness": [0.25, 1.0], "architecture.depth": [1, 2]}
    found = read(changed(("experiment/0/sweep", sweep))).experiments
    assert [e.name for e in found] == [
        "first[regime.target_richness=0.25,architecture.depth=1]",
        "first[regime.target_richness=0.25,architecture.depth=2]",
        "first[regime.target_richness=1.0,architecture.depth=1]",
        "first[regime.target_richness=1.0,architecture.depth=2]",
    ]
    assert [
        (e.regime.parameters["target_richness"], e.architecture.parameters["depth"]) for e in found
    ] == [(0.25, 1), (0.25, 2), (1.0, 1), (1.0, 2)]


@pytest.mark.parametrize(
    ("sweep", "name"),
    [
        ({"regime.target_richness": [0.25]}, "first[regime.target_richness=0.25]"),
        ({"regime.readout": ["zero"]}, "first[regime.readout=zero]"),
        ({"task.data_seed": [3]}, "first[task.data_seed=3]"),
        ({"task.noise_alignment": [1e-7]}, "first[task.noise_alignment=1e-07]"),
        ({}, "first"),
    ],
)
def test_a_point_is_named_by_what_is_swept(
    read: Callable[[Any], Suite], sweep: Table, name: str
) -> None:
    table = changed(("experiment/0/sweep", sweep), ("experiment/0/task/label_noise", 0.1))
    assert [e.name for e in read(table).experiments] == [name]


def test_a_list_is_swept_as_one_value(read: Callable[[Any], Suite]) -> None:
    images = {"name": "image-pairs", "source_points": 4, "target_points": 4, "test_points": 4}
    table = changed(
        ("experiment/0/task", images), ("experiment/0/sweep", {"task.source_classes": [[2, 3]]})
    )
    (found,) = read(table).experiments
    assert found.name == "first[task.source_classes=[2,3]]"
    assert found.task.parameters["source_classes"] == [2, 3]


def test_a_sweep_may_give_a_required_parameter(read: Callable[[Any], Suite]) -> None:
    table = changed(
        ("experiment/0/regime/target_richness", MISSING),
        ("experiment/0/sweep", {"regime.target_richness": [2.0]}),
    )
    assert read(table).experiments[0].regime.parameters["target_richness"] == 2.0


@given(
    richness=st.lists(st.sampled_from([0.1, 0.5, 2.0, 8.0]), unique=True, min_size=1),
    depths=st.lists(st.integers(1, 5), unique=True, min_size=1, max_size=4),
)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=20,
)
def test_a_sweep_has_as_many_points_as_the_product_and_all_names_differ(
    read: Callable[[Any], Suite], richness: list[float], depths: list[int]
) -> None:
    sweep = {"regime.source_richness": richness, "architecture.depth": depths}
    names = [e.name for e in read(changed(("experiment/0/sweep", sweep))).experiments]
    assert len(set(names)) == len(names) == len(richness) * len(depths)


# ---------------------------------------------------------------- cells and their keys


def resolved(found: Experiment, *dts: float) -> Resolved:
    return Resolved(build_data(found, REGISTRY).digest, dts or (0.1, 0.2))


def cell(**changes: Any) -> Cell:
    found = experiment(**changes)
    return Cell(found, resolved(found), Solver("network", 16, 0, "float32"))


def theory_cell(**parameters: Any) -> Cell:
    found = experiment(theories=[{"name": "mean-field", **parameters}])
    return Cell(found, resolved(found), Solver("mean-field", theory=found.theories[0]))


def shuffled(value: Any, draw: Callable[..., Any]) -> Any:
    """Return the same nested tables with their keys in another order."""
    if isinstance(value, dict):
        keys = draw(st.permutations(list(value)))
        return {key: shuffled(value[key], draw) for key in keys}
    return value


def test_every_width_and_seed_is_a_cell_and_every_theory_is_one() -> None:
    suite = Suite("s", (16, 32), (0, 5), "float64", (experiment(),))
    cells = cells_of(suite.experiments[0], suite, Resolved("data", (0.1, 0.2)))
    assert [(c.solver.name, c.solver.width, c.solver.seed) for c in cells] == [
        ("network", 16, 0),
        ("network", 16, 5),
        ("network", 32, 0),
        ("network", 32, 5),
        ("mean-field", None, None),
        ("lazy-ntk", None, None),
    ]
    assert {c.solver.dtype for c in cells} == {"float64", None}
    assert len({c.key for c in cells}) == len(cells)
    assert len({c.problem_key for c in cells}) == 1


def test_a_key_is_a_short_safe_name() -> None:
    assert re.fullmatch(r"[0-9a-f]{24}", cell().key)


@given(data=st.data())
@settings(max_examples=25)
def test_the_order_of_keys_in_a_suite_does_not_matter(data: st.DataObject) -> None:
    table = {
        name: shuffled(SUITE["experiment"][0][name], data.draw)
        for name in ("task", "architecture", "regime")
    }
    assert cell(**table).key == cell().key
    first = experiment()
    reordered = replace(
        first, regime=replace(first.regime, parameters=shuffled(first.regime.parameters, data.draw))
    )
    assert replace(cell(), experiment=reordered).key == cell().key


def test_a_default_written_out_is_the_default() -> None:
    assert cell(architecture={"name": "mlp"}).key == cell().key
    assert cell(regime__decay=0.0).key == cell().key
    assert cell(task__data_seed=0).key == cell().key
    assert cell(regime__source_richness=1).key == cell(regime__source_richness=1.0).key


def test_the_name_of_the_experiment_is_not_part_of_the_key() -> None:
    assert cell(name="another").key == cell().key
    assert cell(theories=["lazy-ntk"]).key == cell().key, "nor are its other cells"


CHANGES: list[Table] = [
    {"task__dimension": 6},
    {"task__source_points": 7},
    {"task__alignment": 0.4},
    {"task__label_noise": 0.1},
    {"task__data_seed": 1},
    {
        "task": {
            "name": "polynomial-transfer",
            "dimension": 5,
            "source_degree": 1,
            "target_degree": 2,
            "source_points": 6,
            "target_points": 4,
            "test_points": 5,
            "alignment": 0.5,
        }
    },
    {"architecture__depth": 2},
    {"architecture__activation": "tanh"},
    {"regime__source_richness": 1.1},
    {"regime__target_richness": 0.6},
    {"regime__source_steps": 4},
    {"regime__target_steps": 3},
    {"regime__readout": "reset"},
    {"regime__decay": 0.1},
    {"regime__target_elastic": 0.1},
    {"regime__temperature": 0.1},
]


def test_every_parameter_changes_the_key() -> None:
    keys = [cell().key, *(cell(**change).key for change in CHANGES)]
    assert len(set(keys)) == len(keys)
    problems = [cell().problem_key, *(cell(**change).problem_key for change in CHANGES)]
    assert len(set(problems)) == len(problems)


@pytest.mark.parametrize(
    "solver",
    [
        Solver("network", 17, 0, "float32"),
        Solver("network", 16, 1, "float32"),
        Solver("network", 16, 0, "float64"),
        Solver("lazy-ntk", theory=experiment().theories[1]),
    ],
    ids=["width", "seed", "dtype", "theory"],
)
def test_the_solver_changes_the_key_but_not_that_of_the_problem(solver: Solver) -> None:
    other = replace(cell(), solver=solver)
    assert other.key != cell().key
    assert other.problem_key == cell().problem_key


@pytest.mark.parametrize("kind", ["architecture", "regime"])
def test_the_version_of_a_component_changes_the_key(kind: str) -> None:
    first = experiment()
    newer = replace(first, **{kind: replace(getattr(first, kind), version="next")})
    assert replace(cell(), experiment=newer).key != cell().key
    assert replace(cell(), experiment=newer).problem_key != cell().problem_key


def test_who_made_the_data_is_not_part_of_the_key() -> None:
    first = experiment()
    for change in ({"name": "another"}, {"version": "next"}, {"parameters": {"folder": "/b"}}):
        other = replace(cell(), experiment=replace(first, task=replace(first.task, **change)))
        assert other.key == cell().key
        assert other.provenance != cell().provenance


def test_every_number_of_the_data_changes_their_digest() -> None:
    data = build_data(experiment(), REGISTRY)
    digests = {data.digest, replace(data, facts={}).digest}
    for name, part in data.sets().items():
        for values in ("x", "y"):
            moved = np.array(getattr(part, values))
            moved.flat[-1] = np.nextafter(moved.flat[-1], np.inf)
            digests.add(replace(data, **{name: replace(part, **{values: moved})}).digest)
    digests.add(replace(data, target=data.target_test, target_test=data.target).digest)
    assert len(digests) == 2 + 8 + 1
    assert replace(data).digest == data.digest


def test_memory_and_source_are_not_part_of_the_key() -> None:
    assert theory_cell(memory_gib=3.0).key == theory_cell().key
    assert theory_cell(memory_gib=3.0).provenance["unkeyed"] == {"theory": {"memory_gib": 3.0}}
    spec = replace(theory_cell().experiment.regime, source="edited")
    edited = replace(cell(), experiment=replace(experiment(), regime=spec))
    assert edited.key == cell().key
    assert edited.provenance["sources"]["regime"] == "edited"


def test_the_trainer_is_part_of_the_keys_of_networks_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, theory = cell().key, theory_cell().key
    monkeypatch.setattr("harness.suites.cells.TRAINER_VERSION", "next")
    assert cell().key != network
    assert theory_cell().key == theory


def test_version_and_parameters_of_a_theory_change_its_key_alone() -> None:
    plain = theory_cell()
    spec = plain.solver.theory
    assert spec is not None
    newer = replace(plain, solver=replace(plain.solver, theory=replace(spec, version="next")))
    other = theory_cell(samples=256)
    assert len({plain.key, newer.key, other.key}) == 3
    assert len({plain.problem_key, newer.problem_key, other.problem_key}) == 1


@given(st.tuples(st.floats(1e-6, 10), st.floats(1e-6, 10)))
def test_the_steps_of_every_stage_are_part_of_the_key(dts: tuple[float, float]) -> None:
    def key(*dts: float) -> str:
        return replace(CELL, resolved=replace(CELL.resolved, dts=dts)).key

    assert (CELL.key == key(*dts)) == (dts == CELL.resolved.dts)
    assert (key(*dts[::-1]) == key(*dts)) == (dts[0] == dts[1])


CELL = cell()


def test_keys_are_the_same_in_another_process(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text(written(SUITE))
    code = (
        "import sys; from harness import Registry;"
        "from harness.suites import Resolved, build_data, cells_of, load_suite;"
        "suite = load_suite(sys.argv[1], registry := Registry.load());"
        "found = Resolved(build_data(suite.experiments[0], registry).digest, (0.1, 0.2));"
        "print(*(c.key for c in cells_of(suite.experiments[0], suite, found)))"
    )
    here = [
        c.key
        for s in [load_suite(path, REGISTRY)]
        for c in cells_of(s.experiments[0], s, resolved(s.experiments[0]))
    ]
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": hash_seed},
        )
        assert done.stdout.split() == here


def test_titles_say_what_a_cell_is() -> None:
    assert cell().title == "first · width 16 seed 0"
    assert theory_cell().title == "first · mean-field"


# ---------------------------------------------------------------- bundled suites and the schema


@pytest.mark.parametrize("name", sorted(bundled_suites()))
def test_a_bundled_suite_loads_by_name_and_by_path(name: str) -> None:
    suite = load_suite(name, REGISTRY)
    assert suite.name == name
    assert suite == load_suite(bundled_suites()[name], REGISTRY)
    bases = {found.name.partition("[")[0]: found for found in suite.experiments}
    for found in bases.values():
        needs_files = found.task.parameters.get("dataset", "digits") != "digits"
        assert needs_files or build_problem(found, REGISTRY).protocol.stages


@pytest.fixture(scope="module")
def schema() -> Table:
    return suite_schema(REGISTRY)


def accepts(schema: Table, part: Table, value: Any) -> bool:  # noqa: PLR0911
    """Check a value against the part of JSON schema that suites use."""
    if "$ref" in part:
        return accepts(schema, schema["$defs"][part["$ref"].removeprefix("#/$defs/")], value)
    if "anyOf" in part:
        return any(accepts(schema, option, value) for option in part["anyOf"])
    if "const" in part and value != part["const"]:
        return False
    if "enum" in part and value not in part["enum"]:
        return False
    if not _is_type(part.get("type"), value) or not _in_range(part, value):
        return False
    if isinstance(value, list):
        shapes = part.get("prefixItems", [])
        rest = part.get("items", {}) or {}
        return all(
            accepts(schema, shapes[i] if i < len(shapes) else rest, inner)
            for i, inner in enumerate(value)
        )
    if isinstance(value, dict):
        known, other = part.get("properties", {}), part.get("additionalProperties", True)
        if not set(part.get("required", [])) <= set(value):
            return False
        return all(
            accepts(schema, known[k], v)
            if k in known
            else other is True or (other is not False and accepts(schema, other, v))
            for k, v in value.items()
        )
    return True


def _is_type(name: str | None, value: Any) -> bool:
    types: dict[str | None, tuple[type, ...]] = {
        None: (object,),
        "object": (dict,),
        "array": (list,),
        "string": (str,),
        "integer": (int,),
        "number": (int, float),
        "boolean": (bool,),
        "null": (type(None),),
    }
    if isinstance(value, bool) and name not in (None, "boolean"):
        return False
    return isinstance(value, types[name])


def _in_range(part: Table, value: Any) -> bool:
    size = value if isinstance(value, int | float) else 0
    count = len(value) if isinstance(value, str | list) else 0
    return (
        part.get("minimum", size) <= size <= part.get("maximum", size)
        and part.get("exclusiveMinimum", size - 1) < size < part.get("exclusiveMaximum", size + 1)
        and part.get("minItems", count) <= count <= part.get("maxItems", count)
        and part.get("minLength", count) <= count <= part.get("maxLength", count)
    )


def test_the_schema_is_json_and_every_reference_in_it_resolves(schema: Table) -> None:
    text = json.dumps(schema, allow_nan=False)
    assert json.loads(text) == schema
    references = set(re.findall(r'"\$ref": "([^"]*)"', text))
    assert references
    assert {r.removeprefix("#/$defs/") for r in references} <= set(schema["$defs"])
    assert schema["type"] == "object"
    assert schema["required"] == ["suite", "experiment"]


def test_the_schema_names_every_component_with_its_parameters(schema: Table) -> None:
    for component in (c for c in REGISTRY.components() if c.kind != "claim"):
        table = schema["$defs"][f"{component.kind}:{component.name}"]
        assert table["properties"]["name"] == {"const": component.name}
        assert set(component.params.model_fields) <= set(table["properties"])
        assert table["required"][0] == "name"
        assert table["additionalProperties"] is False
        seeds = table["properties"].get("data_seed")
        assert (seeds is not None) == (component.kind == "task")


@pytest.mark.parametrize("name", sorted(bundled_suites()))
def test_the_schema_accepts_the_bundled_suites(schema: Table, name: str) -> None:
    assert accepts(schema, schema, tomllib.loads(bundled_suites()[name].read_text()))


SCHEMA_BLIND = {  # what a JSON schema has no words for, or this one leaves to the loader
    "repeated widths",
    "repeated seeds",
    "theory twice",
    "experiment twice",
    "nested deeply",
    "fraction",
}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(changes, id=name)
        for name, changes, _ in MISTAKES
        if name not in SCHEMA_BLIND
        and not name.startswith("sweep")
        and "Verbatim" not in repr([type(v).__name__ for _, v in changes])
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(
    schema: Table, changes: Sequence[tuple[str, Any]]
) -> None:
    assert accepts(schema, schema, SUITE)
    assert not accepts(schema, schema, changed(*changes))
