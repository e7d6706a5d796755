"""The lazy limit against explicit Euler steps, and against wide networks of small richness."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import gaussian_data, make, problem, relative

from harness import Dataset, DivergenceError, Stage, TransferData, numerics, recorded_steps

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
    x = np.ones((3, 2))
    data = TransferData(
        target=Dataset(x, np.array([1.0, 1.0, -1.0])), target_test=Dataset(x[:1], np.array([1.0]))
    )
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


READOUT = replace(STAGE, trainable="readout", dt=0.02)


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("options", [{}, {"decay": 0.6}, {"decay": 0.6, "elastic": 0.5}], ids=str)
def test_readouts_on_random_features_equal_exact_mean_field_theory(
    options: dict[str, float], depth: int
) -> None:
    stages = (
        replace(READOUT, data="source", decay=0.3),
        replace(READOUT, readout="zero", **options),  # type: ignore[arg-type]
    )
    task = problem(gaussian_data(), *stages, activation="linear", depth=depth)
    exact = make("theory", "dmft").predict(task)
    for name in ("lazy-nngp", "lazy-ntk"):
        theory = make("theory", name)
        assert theory.supports(task) is None
        found = theory.predict(task)
        for stage in (0, 1):
            for observable in ("output/test", "loss/train", "loss/test", "probe/source-loss"):
                one, two = (t[stage, observable].values for t in (found, exact))
                assert relative(one, two) < 1e-6


def test_random_features_are_the_frozen_limit_of_the_particle_system() -> None:
    """The control variate takes the sampling error of frozen features off altogether."""
    task = problem(gaussian_data(), READOUT, activation="tanh")
    particles = make("theory", "mean-field", samples=2048, precision="float64").predict(task)
    found = make("theory", "lazy-nngp").predict(task)
    for observable in ("output/test", "loss/train"):
        assert relative(particles[0, observable].values, found[0, observable].values) < 1e-6


@pytest.mark.parametrize("options", [{}, {"decay": 0.6}, {"temperature": 0.1}], ids=str)
def test_wide_networks_of_frozen_features_approach_random_features(
    options: dict[str, float],
) -> None:
    from harness import Trajectory, networks

    stage = replace(READOUT, **options)  # type: ignore[arg-type]
    task = problem(gaussian_data(), stage, depth=2)
    theory = make("theory", "lazy-nngp")
    assert theory.supports(task) is None
    exact = theory.predict(task)[0, "output/test"].values[0]
    width, seeds = 2048, 6
    runs = [t for t in networks.train(task, width, range(seeds)) if isinstance(t, Trajectory)]
    outputs = np.stack([t[0, "output/test"].values[0] for t in runs])
    assert len(outputs) == seeds
    error = np.linalg.norm(outputs.std(axis=0, ddof=1)) / np.sqrt(seeds)
    # bias of order 1 / N beside the sampling error
    allowed = 2 * error + 10 * np.linalg.norm(exact) / width
    assert np.linalg.norm(outputs.mean(axis=0) - exact) < allowed


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_rotating_inputs_and_reordering_points_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = gaussian_data()
    rotation, _ = np.linalg.qr(rng.standard_normal((8, 8)))
    order = rng.permutation(len(data.target))
    target = Dataset(data.target.x[order] @ rotation, data.target.y[order])
    test = Dataset(data.target_test.x @ rotation, data.target_test.y)
    one, two = (
        make("theory", "lazy-ntk")
        .predict(problem(d, STAGE, activation="tanh", depth=2))[0, "output/test"]
        .values
        for d in (
            TransferData(target=data.target, target_test=data.target_test),
            TransferData(target=target, target_test=test),
        )
    )
    assert two == pytest.approx(one, rel=1e-8, abs=1e-10)


@pytest.mark.parametrize("name", ["lazy-ntk", "lazy-nngp"])
def test_a_single_point_no_steps_and_too_large_a_step(name: str) -> None:
    x = np.ones((1, 2))
    data = TransferData(target=Dataset(x, np.array([1.0])), target_test=Dataset(x, np.array([1.0])))
    theory = make("theory", name)
    found = theory.predict(problem(data, replace(STAGE, dt=0.1, steps=500)))
    assert found[0, "output/test"].values[0] == pytest.approx([1.0])
    idle = theory.predict(problem(data, replace(STAGE, dt=100.0, steps=0)))
    assert idle[0, "output/test"].values[0] == pytest.approx([0.0])
    with pytest.raises(DivergenceError, match=r"dt = 100.*use a dt below"):
        theory.predict(problem(data, replace(STAGE, dt=100.0, steps=10)))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"decay": 0.1}, r"do not stay as they were drawn with decay \(0.1\) on hidden weights"),
        ({"temperature": 0.1}, "with temperature"),
        ({"elastic": 0.1}, "with elastic"),
        ({"center": False}, "zero predictor"),
    ],
)
def test_says_what_it_does_not_describe(options: dict[str, float], reason: str) -> None:
    second = replace(STAGE, **options)  # type: ignore[arg-type]
    task = problem(gaussian_data(), replace(STAGE, data="source"), second)
    assert re.search(reason, make("theory", "lazy-ntk").supports(task))


def test_decay_of_a_kept_readout_is_outside_the_domain() -> None:
    task = problem(gaussian_data(), replace(STAGE, data="source"), replace(STAGE, decay=0.1))
    assert "a readout that starts afresh" in make("theory", "lazy-nngp").supports(task)


@pytest.mark.parametrize("steps", [0, 1, 2, 49, 50, 51, 1000, 123_457])
def test_curves_are_recorded_at_the_first_and_last_step(steps: int) -> None:
    at = recorded_steps(steps)
    assert at[0] == 0 and at[-1] == steps
