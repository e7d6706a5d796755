"""A suite is read with every default filled in, and its problems are built from its parts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from small_suite import REGISTRY, SUITE, changed, experiment, toml

from harness import Problem
from harness.errors import PluginError, SuiteError
from harness.suites import Resolved, Suite, build_problem, cells_of, solvers_of


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


def test_theories_of_a_suite_are_those_of_experiments_without_their_own(
    read: Callable[[Any], Suite],
) -> None:
    (usual,) = SUITE["experiment"]
    own = {name: value for name, value in usual.items() if name != "theories"}
    table = {
        "suite": SUITE["suite"] | {"theories": ["lazy-nngp"]},
        "experiment": [own, usual | {"name": "second"}],
    }
    first, second = read(table).experiments
    assert [theory.name for theory in first.theories] == ["lazy-nngp"]
    assert [theory.name for theory in second.theories] == ["mean-field", "lazy-ntk"]


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


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"trainable": []}, "trainable is empty; name a layer, or 'readout'"),
        ({"reset": ["readout"], "readout": "zero"}, "reset names the readout, and readout is"),
        ({"target_richness": 0.0, "decay": 0.1}, "decay = 0.1 at richness 0"),
        ({"target_richness": 0.0, "temperature": 0.1}, "temperature = 0.1 at richness 0"),
        ({"source_richness": 0.0, "elastic": 0.1}, "elastic = 0.1 at richness 0"),
    ],
)
def test_an_impossible_protocol_is_the_experiments_fault_and_not_a_plugins(
    read: Callable[[Any], Suite], parameters: dict[str, Any], message: str
) -> None:
    changes = [(f"experiment/0/regime/{name}", value) for name, value in parameters.items()]
    (made,) = read(changed(*changes)).experiments
    with pytest.raises(SuiteError) as raised:
        build_problem(made, REGISTRY)
    assert str(raised.value).startswith(f"experiment 'first': regime 'jointly-rich': {message}")
