"""Dynamical mean-field theory of residual networks, whose units are the same in all layers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from problems import (
    assert_near_networks,
    gaussian_data,
    make,
    norm_error,
    problem,
    relative,
)

from harness import Dataset, Problem, Protocol, Stage, Trajectory, TransferData

SOURCE = Stage(data="source", richness=1.0, steps=20, dt=0.05)
TARGET = Stage(data="target", richness=0.8, steps=15, dt=0.05)
SAMPLES = 1024
"""Of a replicate; ReLU explores more directions than 512 resolve."""


def small_data() -> TransferData:
    return gaussian_data(points=6, dimension=10)


def residual(*stages: Stage, data: TransferData | None = None, **parameters: Any) -> Problem:
    architecture = make("architecture", "resmlp", **parameters)
    return Problem(data or small_data(), architecture, Protocol(stages))


def solved(task: Problem, **parameters: Any) -> Trajectory:
    found: Trajectory = make("theory", "dmft", **parameters).predict(task)
    return found


def assert_equal_within_errors(one: Trajectory, two: Trajectory) -> None:
    for stage in range(len(one.stages)):
        combined = np.hypot(norm_error(one, stage), norm_error(two, stage))
        outputs = [t[stage, "output/test"].values for t in (one, two)]
        assert relative(*outputs) < 3 * combined


@pytest.mark.parametrize("activation", ["tanh", "linear"])
def test_one_residual_layer_is_a_dense_layer(activation: str) -> None:
    stages = [replace(s, steps=3) for s in (SOURCE, TARGET)]
    dense = problem(small_data(), *stages, activation=activation)
    skips = residual(*stages, depth=1, activation=activation)
    one, two = (solved(task, samples=64) for task in (dense, skips))
    for stage in (0, 1):
        for name in ("output/test", "kernel/feature"):
            assert np.array_equal(one[stage, name].values, two[stage, name].values)


def test_without_branches_it_is_one_layer() -> None:
    dense = problem(small_data(), SOURCE, activation="tanh")
    empty = residual(SOURCE, depth=3, branch_scale=0)
    assert_equal_within_errors(solved(empty, samples=SAMPLES), solved(dense, samples=SAMPLES))


@pytest.mark.parametrize(
    ("parameters", "options"),
    [
        ({}, {"readout": "reset", "decay": 0.4, "elastic": 0.6}),
        ({}, {"readout": "zero", "trainable": "readout"}),
        ({"activation": "relu"}, {}),
        ({"activation": "linear"}, {"readout": "zero", "decay": 0.3}),
    ],
    ids=str,
)
def test_networks_approach_it(parameters: dict[str, Any], options: dict[str, Any]) -> None:
    task = residual(SOURCE, replace(TARGET, **options), depth=3, **parameters)
    assert_near_networks({"dmft": solved(task, samples=SAMPLES)}, task, 512, 8)


def test_networks_of_several_outputs_approach_it() -> None:
    def one_hot(data: Dataset) -> Dataset:
        return Dataset(data.x, np.eye(3)[np.sum([data.y > 0, data.x[:, 2] > 0], axis=0)])

    sets: Any = {name: one_hot(found) for name, found in small_data().sets().items()}
    stage = replace(SOURCE, loss="softmax", dt=0.2)
    task = residual(stage, data=TransferData(**sets), depth=2)
    assert_near_networks({"dmft": solved(task, samples=512)}, task, 512, 8)


def test_linear_networks_without_sampling_are_those_with_it() -> None:
    """The first Hermite polynomial is linear, and the solver does not know it."""
    stages = SOURCE, replace(TARGET, readout="reset", decay=0.2)
    exact, sampled = (
        solved(residual(*stages, depth=3, activation=activation), samples=SAMPLES)
        for activation in ("linear", "he1")
    )
    assert exact[0, "output/test"].stderr is None
    assert_equal_within_errors(exact, sampled)
    for stage in (0, 1):
        kernels = [t[stage, "kernel/feature"] for t in (exact, sampled)]
        assert kernels[1].stderr is not None
        distance = np.linalg.norm(kernels[0].values - kernels[1].values)
        assert distance < 3 * np.linalg.norm(kernels[1].stderr)


def test_the_lazy_limit_is_that_of_residual_networks() -> None:
    task = residual(*(replace(s, richness=1e-3) for s in (SOURCE, TARGET)), depth=3)
    ours, lazy = solved(task, samples=SAMPLES), make("theory", "lazy-ntk").predict(task)
    for stage in (0, 1):
        one, two = (t[stage, "output/test"].values for t in (ours, lazy))
        assert norm_error(ours, stage) < 0.02
        assert relative(one, two) < 3 * norm_error(ours, stage)
