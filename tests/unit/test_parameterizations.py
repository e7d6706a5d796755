"""The ntk parameterization: networks of richness gamma / sqrt(N), whose limit is lazy."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from problems import gaussian_data, make, problem, relative

from harness import Problem, Stage, Trajectory, networks

WIDTH = 4096
NTK = Stage(data="target", richness=2.0, steps=30, dt=0.05, parameterization="ntk")


def two_stages(richness: float = 2.0) -> Problem:
    stage = replace(NTK, richness=richness)
    return problem(gaussian_data(), replace(stage, data="source"), stage, activation="tanh")


def trained(task: Problem, width: int, seeds: int) -> list[Trajectory]:
    found = networks.train(task, width, range(seeds))
    assert all(isinstance(each, Trajectory) for each in found)
    return found  # type: ignore[return-value]


def test_a_width_trains_with_its_own_richness() -> None:
    stage = replace(NTK, richness=2.0 / 8.0, parameterization="mean-field")
    plain = problem(gaussian_data(), replace(stage, data="source"), stage, activation="tanh")
    one, two = trained(two_stages(), 64, 1)[0], trained(plain, 64, 1)[0]
    for index in range(2):
        for name, observable in one.stages[index].items():
            np.testing.assert_array_equal(observable.values, two[index, name].values)


def test_wide_networks_meet_the_neural_tangent_kernel() -> None:
    task = two_stages()
    lazy = make("theory", "lazy-ntk").predict(task)
    found = trained(task, WIDTH, 8)
    for index in range(2):
        outputs = np.stack([t[index, "output/test"].values[0] for t in found])
        error = np.linalg.norm(outputs.std(axis=0, ddof=1)) / 8**0.5
        mean, expected = outputs.mean(axis=0), lazy[index, "output/test"].values[0]
        # three standard errors; the rest of richness 2 / 64 is of second order in it
        assert np.linalg.norm(mean - expected) < 3 * error + 5e-3 * np.linalg.norm(expected)


def test_the_same_richness_is_rich_in_the_mean_field_parameterization() -> None:
    task = two_stages()
    stages = [replace(s, parameterization="mean-field") for s in task.protocol.stages]
    rich = make("theory", "mean-field").predict(problem(task.data, *stages, activation="tanh"))
    lazy = make("theory", "lazy-ntk").predict(task)
    one, two = (t[0, "output/test"].values[0] for t in (rich, lazy))
    assert relative(one, two) > 0.1


@pytest.mark.parametrize("name", ["mean-field", "dmft", "linear-transfer", "adaptive-kernel"])
def test_adaptive_theories_say_that_it_is_not_theirs(name: str) -> None:
    reason = make("theory", name).supports(problem(gaussian_data(), NTK, activation="linear"))
    assert reason == "describes the mean-field parameterization, not the ntk one"


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"temperature": 0.2}, r"temperature \(0.2\)"),
        ({"decay": 0.5, "readout": "reset"}, r"decay \(0.5\) of a readout that does not start at"),
        ({"center": False, "readout": "reset"}, "center = false and a readout that does not start"),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["lazy-ntk", "lazy-nngp"])
def test_theories_say_where_the_predictor_fluctuates_at_any_width(
    name: str, options: dict[str, Any], cause: str
) -> None:
    stage = replace(NTK, trainable="readout", **options)
    task = problem(gaussian_data(), replace(NTK, data="source", trainable="readout"), stage)
    reason = make("theory", name).supports(task)
    assert re.search(f"predictor fluctuates at any width under {cause}", reason or "")
    zero = replace(stage, temperature=0.0, readout="zero")
    source = replace(NTK, data="source", trainable="readout")
    assert make("theory", name).supports(problem(gaussian_data(), source, zero)) is None
    mean_field = [replace(s, parameterization="mean-field") for s in task.protocol.stages]
    assert make("theory", name).supports(problem(gaussian_data(), *mean_field)) is None
