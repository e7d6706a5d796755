"""Hidden units that `dmft` shows to observables of one's own, against those of networks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from problems import gaussian_data, make

from harness import Problem, Protocol, Stage, Trajectory, Units, networks
from harness.records import UnitObservable

SOURCE = Stage(data="source", richness=1.5, steps=15, dt=0.05)
TARGET = replace(SOURCE, data="target")
OWN = "own/moments"
SEEDS = 8


def moments(end: Units, start: Units) -> list[float]:
    """Return squares of changes, and products of a unit's two times, by set and layer."""
    found = []
    for late, early in zip(end, start, strict=True):
        for now, then in zip(late.preactivations, early.preactivations, strict=True):
            found += [np.mean((now - then) ** 2), np.mean(now * then), np.mean(now**2 * then**2)]
        found.append(np.mean(late.features[-1] ** 2))
    return found


def asked(task: Problem) -> Problem:
    return replace(task, observables=(UnitObservable(OWN, moments, True),))


def small(*stages: Stage, architecture: str = "mlp", **parameters: Any) -> Problem:
    made = make("architecture", architecture, **parameters)
    return asked(Problem(gaussian_data(points=6), made, Protocol(stages)))


def solved(task: Problem, samples: int = 4096) -> Trajectory:
    found: Trajectory = make("theory", "dmft", samples=samples).predict(task)
    return found


@pytest.mark.parametrize(
    ("architecture", "parameters"),
    [
        ("mlp", {"depth": 2, "activation": "relu"}),
        ("mlp", {"depth": 1, "activation": "tanh"}),
        ("resmlp", {"depth": 3, "activation": "tanh"}),
    ],
    ids=str,
)
def test_units_are_those_of_wide_networks(architecture: str, parameters: dict[str, Any]) -> None:
    task = small(SOURCE, TARGET, architecture=architecture, **parameters)
    found = solved(task)
    trained = [t for t in networks.train(task, 512, range(SEEDS)) if isinstance(t, Trajectory)]
    assert len(trained) == SEEDS
    for index in range(2):
        values = np.stack([t[index, OWN].values[0] for t in trained])
        theory = found[index, OWN]
        assert theory.stderr is not None
        error = np.hypot(values.std(axis=0, ddof=1) / SEEDS**0.5, theory.stderr[0])
        # sixteen correlated numbers a stage: four standard errors for the largest of them
        assert np.all(np.abs(values.mean(axis=0) - theory.values[0]) < 4 * error)
        assert np.all(error < 0.1 * np.abs(theory.values[0]) + 0.01)


def test_units_of_two_layers_are_those_of_mean_field() -> None:
    task = small(SOURCE, TARGET, activation="tanh")
    ours, other = solved(task), make("theory", "mean-field", samples=2**15).predict(task)
    for index in range(2):
        one, two = ours[index, OWN], other[index, OWN]
        assert one.stderr is not None and two.stderr is not None
        error = np.hypot(one.stderr, two.stderr)
        assert np.all(np.abs(one.values - two.values) < 4 * error)


def test_small_changes_are_not_lost_in_rounding() -> None:
    """A change is proportional to richness where it is small, also on test points."""
    changes = []
    for richness in (1e-2, 1e-3):
        stage = replace(TARGET, richness=richness)
        found = solved(small(stage, depth=2, activation="tanh"), samples=1024)
        changes.append(found[0, OWN].values[0][[0, 3, 7, 10]] ** 0.5)
    np.testing.assert_allclose(changes[0] / changes[1], 10, rtol=0.02)


@pytest.mark.parametrize(
    "options", [{"trainable": "readout"}, {"richness": 0.0}], ids=["frozen", "linearised"]
)
def test_units_that_do_not_move_have_no_change(options: dict[str, Any]) -> None:
    found = solved(small(SOURCE, replace(TARGET, **options), depth=2, activation="tanh"), 1024)
    assert found[0, OWN].values[0][0] > 0.01
    np.testing.assert_array_equal(found[1, OWN].values[0][[0, 3, 7, 10]], 0)


def test_nothing_else_of_a_solution_changes() -> None:
    task = small(SOURCE, replace(TARGET, reset=[2]), depth=2, activation="tanh")
    plain, found = solved(replace(task, observables=()), 1024), solved(task, 1024)
    for index, stage in enumerate(found.stages):
        assert stage.keys() - plain.stages[index].keys() == {OWN}
        for name, observable in plain.stages[index].items():
            np.testing.assert_array_equal(observable.values, stage[name].values)


def test_exact_solutions_have_no_units() -> None:
    found = solved(small(SOURCE, depth=2, activation="linear"))
    assert OWN not in found.stages[0]
