"""The lazy limit against explicit Euler steps, and against wide networks of small richness."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from problems import gaussian_data, make, problem

from harness import Stage, numerics, recorded_steps

STAGE = Stage(data="target", richness=1.0, steps=70, dt=0.05)


@pytest.mark.parametrize("activation", ["relu", "tanh", "linear"])
@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize(
    ("options", "kernel"),
    [
        ({}, "ntk"),
        ({"readout": "zero"}, "features"),
        ({"trainable": "readout"}, "features"),
    ],
)
def test_closed_form_equals_explicit_steps(
    activation: str, depth: int, options: dict[str, str], kernel: str
) -> None:
    stage = replace(STAGE, dt=0.02, **options)  # type: ignore[arg-type]
    data = gaussian_data()
    task = problem(data, stage, activation=activation, depth=depth)
    found = make("theory", "lazy-ntk").predict(task)
    x = np.concatenate([data.target.x, data.target_test.x])
    kernels = numerics.lazy_kernels(x, x, activation=activation, depth=depth)
    k = np.asarray(kernels.ntk if kernel == "ntk" else kernels.features[-1])
    count = len(data.target)
    f, losses = np.zeros(len(x)), []
    for _ in range(stage.steps + 1):
        error = data.target.y - f[:count]
        losses.append(np.mean(error**2))
        last, f = f, f + stage.step_size * k[:, :count] @ error
    curve = found[0, "loss/train"]
    assert curve.values == pytest.approx(np.array(losses)[curve.steps], rel=1e-9)
    assert found[0, "output/test"].values[0] == pytest.approx(last[count:], rel=1e-9, abs=1e-12)


def test_nngp_is_the_ntk_of_a_readout_that_trains_alone() -> None:
    task = problem(gaussian_data(), replace(STAGE, trainable="readout"), depth=2)
    free = problem(gaussian_data(), STAGE, depth=2)
    ntk, nngp, baseline = (
        make("theory", name).predict(t)[0, "output/test"].values
        for name, t in (("lazy-ntk", task), ("lazy-nngp", task), ("lazy-nngp", free))
    )
    assert np.array_equal(ntk, nngp)
    assert np.array_equal(baseline, nngp)


def test_wide_networks_of_small_richness_approach_it() -> None:
    from harness import Trajectory, networks

    lazy = replace(STAGE, richness=0.02)
    task = problem(gaussian_data(), lazy, depth=2)
    exact = make("theory", "lazy-ntk").predict(task)[0, "output/test"].values[0]
    errors = {}
    for width in (64, 1024):
        runs = networks.train(task, width, range(6))
        outputs = [t[0, "output/test"].values[0] for t in runs if isinstance(t, Trajectory)]
        errors[width] = np.sqrt(np.mean([np.sum((o - exact) ** 2) for o in outputs]))
    # one over the square root of the width: a factor of 4, to the accuracy of 6 seeds
    assert 2.5 < errors[64] / errors[1024] < 6.5


def test_singular_kernels_and_flat_directions_are_exact() -> None:
    from harness import Dataset, TransferData

    x = np.ones((3, 2))
    data = TransferData(target=Dataset(x, [1.0, 1.0, -1.0]), target_test=Dataset(x[:1], [1.0]))
    stage = replace(STAGE, dt=0.1, steps=500)
    found = make("theory", "lazy-ntk").predict(problem(data, stage, activation="linear"))
    # three equal points with different labels: the predictor goes to their mean
    assert found[0, "output/test"].values[0] == pytest.approx([1 / 3], rel=1e-6)


def test_preactivation_density_is_gaussian_and_normalised() -> None:
    from harness.observables import DENSITY_EDGES

    found = make("theory", "lazy-ntk").predict(problem(gaussian_data(), STAGE, depth=2))
    density = found[0, "preactivation/density"].values[0]
    assert density.shape == (2, len(DENSITY_EDGES) - 1)
    assert density.sum(axis=1) * np.diff(DENSITY_EDGES)[0] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"decay": 0.1}, "no decay"),
        ({"temperature": 0.1}, "no temperature"),
        ({"elastic": 0.1}, "no elastic"),
        ({"center": False}, "zero predictor"),
    ],
)
def test_says_what_it_does_not_describe(options: dict[str, float], reason: str) -> None:
    task = problem(gaussian_data(), replace(STAGE, **options))  # type: ignore[arg-type]
    assert reason in make("theory", "lazy-ntk").supports(task)


@pytest.mark.parametrize("steps", [0, 1, 2, 49, 50, 51, 1000, 123_457])
def test_curves_are_recorded_at_the_first_and_last_step(steps: int) -> None:
    at = recorded_steps(steps)
    assert at[0] == 0 and at[-1] == steps
