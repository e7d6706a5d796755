"""A cell's key depends on all that determines its numbers, and on nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_suite import REGISTRY, SUITE, Table, experiment, written

from harness.suites import (
    Cell,
    Experiment,
    Resolved,
    Solver,
    Suite,
    build_data,
    cells_of,
    load_suite,
)


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
            other: dict[str, Any] = {name: replace(part, **{values: moved})}
            digests.add(replace(data, **other).digest)
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
