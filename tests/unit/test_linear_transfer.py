"""The exact theory of two-layer linear networks against other theories, networks and limits."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import gaussian_data, make, norm_error, problem, relative

from harness import Dataset, DivergenceError, Problem, Stage, Trajectory, TransferData, networks
from harness.numerics import asymptotic_fine_tuning_loss

SOURCE = Stage(data="source", richness=1.2, steps=40, dt=0.03)
TARGET = Stage(data="target", richness=0.8, steps=40, dt=0.03)
OBSERVABLES = ("output/test", "loss/train", "loss/test", "probe/source-loss", "kernel/feature")

OPTIONS: list[dict[str, Any]] = [
    {"readout": "keep"},
    {"readout": "reset"},
    {"readout": "zero"},
    {"readout": "zero", "trainable": "readout"},
    {"readout": "keep", "trainable": "readout", "decay": 0.4},
    {"decay": 0.5},
    {"elastic": 0.7},
    {"decay": 0.5, "elastic": 0.7},
    {"center": False},
]


def two_stages(options: dict[str, Any], dimension: int = 8) -> Problem:
    data = gaussian_data(dimension=dimension)
    return problem(data, SOURCE, replace(TARGET, **options), activation="linear")


def solve(task: Problem) -> Trajectory:
    found: Trajectory = make("theory", "linear-transfer").predict(task)
    return found


@pytest.mark.parametrize("dimension", [8, 60])  # points span the inputs, or a part of them
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_equals_dynamical_mean_field_theory(options: dict[str, Any], dimension: int) -> None:
    task = two_stages(options, dimension)
    ours, theirs = solve(task), make("theory", "dmft").predict(task)
    for stage in (0, 1):
        for name in (*OBSERVABLES, "kernel/alignment"):
            assert ours[stage, name].stderr is None
            assert relative(ours[stage, name].values, theirs[stage, name].values) < 1e-6


@pytest.mark.parametrize("options", [o for o in OPTIONS if o.get("readout") != "reset"], ids=str)
def test_equals_the_particle_system(options: dict[str, Any]) -> None:
    """Linear particles with exact moments have no sampling error, unless a readout is drawn."""
    task = two_stages(options)
    particles = make("theory", "mean-field", samples=4096, precision="float64").predict(task)
    ours = solve(task)
    for stage in (0, 1):
        for name in OBSERVABLES:
            assert relative(ours[stage, name].values, particles[stage, name].values) < 1e-6


@pytest.mark.parametrize(
    "options", [*OPTIONS[:4], OPTIONS[7], {"temperature": 0.2, "decay": 1.0}], ids=str
)
def test_wide_networks_agree(options: dict[str, Any]) -> None:
    width, seeds = 2048, 4
    task = two_stages(options)
    theory = solve(task)
    ensemble = [t for t in networks.train(task, width, range(seeds)) if isinstance(t, Trajectory)]
    assert len(ensemble) == seeds
    for stage in (0, 1):
        runs = np.stack([t[stage, "output/test"].values[0] for t in ensemble])
        mean, prediction = runs.mean(axis=0), theory[stage, "output/test"].values[0]
        error = np.linalg.norm(runs.std(axis=0, ddof=1)) / np.sqrt(seeds)
        # bias of order 1 / N beside the sampling error
        assert np.linalg.norm(mean - prediction) < 2 * error + 10 * np.linalg.norm(mean) / width


def test_temperature_equals_the_particle_system_within_its_error() -> None:
    task = two_stages({"temperature": 0.2, "decay": 1.0})
    particles = make("theory", "mean-field", samples=16384).predict(task)
    ours = solve(task)
    found, expected = (t[1, "output/test"].values for t in (particles, ours))
    assert relative(found, expected) < 2 * norm_error(particles, 1)
    kernel = particles[1, "kernel/feature"]
    assert kernel.stderr is not None
    deviation = np.linalg.norm(kernel.values - ours[1, "kernel/feature"].values)
    # eight replicates: the error of the error widens the interval
    assert deviation < 3 * np.linalg.norm(kernel.stderr)


def test_a_long_stage_with_temperature_has_stationary_averages() -> None:
    """The window's steps are observed besides the recorded ones, some of which lie in it."""
    stage = Stage(data="target", richness=1.0, steps=400, dt=0.05, decay=1.0, temperature=0.2)
    task = problem(gaussian_data(), stage, activation="linear")
    ours, name = solve(task), "stationary/output-test"
    particles = make("theory", "mean-field", samples=8192).predict(task)[0, name]
    assert particles.stderr is not None
    deviation = np.linalg.norm(particles.values - ours[0, name].values)
    assert deviation < 3 * np.linalg.norm(particles.stderr)
    # the state is stationary: its end is its average
    assert relative(ours[0, "output/test"].values, ours[0, name].values) < 1e-6


def test_moments_of_gradient_flow_are_the_boost_of_the_predictor() -> None:
    """Steps of three sizes, extrapolated to dt -> 0, against the closed form in b alone."""
    import jax.numpy as jnp
    from scipy.integrate import solve_ivp

    from harness import numerics

    rng = np.random.default_rng(3)
    factor, y = rng.standard_normal((5, 7)) / np.sqrt(7), rng.standard_normal(5)
    gamma, time = 1.5, 2.0

    def moments(steps: int) -> Any:
        zero = jnp.zeros(())
        rates = numerics.StageRates(jnp.asarray(gamma), jnp.asarray(time / steps), *[zero] * 3)
        start = numerics.initial_moments(7)
        return numerics.advance_moments(start, None, factor, y, rates, steps, frozen=False)[0]

    sizes = [moments(steps) for steps in (1000, 2000, 4000, 8000)]
    for order in (1, 2, 3):  # Richardson: errors are a series in dt
        sizes = [
            numerics.UnitMoments(
                *((2**order * b - a) / (2**order - 1) for a, b in zip(one, two, strict=True))
            )
            for one, two in itertools.pairwise(sizes)
        ]
    (exact,) = sizes

    def velocity(_: float, b: Any) -> Any:
        v = factor.T @ (y - factor @ b)
        energy = np.sqrt(1 + gamma**2 * b @ b)
        return (1 + energy) * v + gamma**2 * b * (b @ v) / (1 + energy)

    b = solve_ivp(velocity, (0, time), np.zeros(7), method="DOP853", rtol=1e-11, atol=1e-13)
    boost = numerics.boosted_moments(jnp.append(b.y[:, -1], 0.0), gamma)
    for found, expected in zip(exact, boost, strict=True):
        assert relative(np.asarray(found), np.asarray(expected)) < 1e-6
    # one spike, along the predictor
    spike = np.linalg.eigvalsh(np.asarray(boost.hidden) - np.eye(8))
    assert np.abs(spike[:-1]).max() < 1e-12
    assert spike[-1] == pytest.approx(float(boost.readout) - 1)


def fine_tuning(seed: int, noise_alignment: float | None = None, **options: Any) -> Problem:
    dimension = 200
    data = make_task(
        seed,
        dimension=dimension,
        source_points=100,
        target_points=60,
        test_points=200,
        alignment=0.8,
        noise_alignment=noise_alignment,
    )
    source = Stage(data="source", richness=3.0, steps=450, dt=0.05 / dimension)
    target = Stage(data="target", richness=3.0, steps=400, dt=0.2 / dimension, readout="zero")
    target = replace(target, **({"trainable": "readout"} | options))
    return problem(data, source, target, activation="linear")


def make_task(seed: int, **parameters: Any) -> TransferData:
    from problems import REGISTRY

    component = REGISTRY.get("task", "linear-transfer")
    data: TransferData = component.make(component.parse(parameters), seed)
    return data


@pytest.mark.parametrize("noise_alignment", [None, 0.5])
def test_the_asymptotic_loss_is_the_mean_over_draws(noise_alignment: float | None) -> None:
    draws = 16
    losses = []
    for seed in range(draws):
        found = solve(fine_tuning(seed, noise_alignment))
        for stage in (0, 1):
            assert found[stage, "loss/train"].values[-1] < 1e-6  # trained to convergence
        losses.append(found[1, "loss/test"].values[-1])
    predicted = found[1, "loss/test-asymptotic"].values
    assert predicted == pytest.approx(
        [asymptotic_fine_tuning_loss(3.0, 0.5, 0.3, 0.8, noise_alignment or 0.0)]
    )
    error = np.std(losses, ddof=1) / np.sqrt(draws)
    assert abs(np.mean(losses) - predicted[0]) < 2 * error


@given(
    richness=st.floats(1e-3, 1e3),
    ratios=st.tuples(st.floats(0.05, 2.0), st.floats(0.05, 2.0)),
    alignment=st.floats(-1, 1),
)
def test_the_asymptotic_loss_never_exceeds_that_of_no_pretraining(
    richness: float, ratios: tuple[float, float], alignment: float
) -> None:
    losses = [
        asymptotic_fine_tuning_loss(g, *ratios, alignment) for g in (richness, 2 * richness, np.inf)
    ]
    assert max(0.0, 1 - ratios[1]) + 1e-12 >= losses[0]
    assert losses[0] + 1e-12 >= losses[1] >= losses[2] - 1e-12


def test_the_two_limits_of_infinite_richness_do_not_commute() -> None:
    overlap = math.sqrt(0.5) * 0.8
    ridgeless, rank_one = (
        asymptotic_fine_tuning_loss(math.inf, 0.5, 0.3, 0.8, readout=readout)
        for readout in ("ridgeless", "rank-one")
    )
    assert ridgeless == pytest.approx(0.7 * (1 - overlap**2))
    assert rank_one == pytest.approx(1 - overlap**2)
    # a source that determines its direction leaves no room for noise
    assert asymptotic_fine_tuning_loss(2.0, 1.5, 0.3, 0.8, 0.6) == pytest.approx(
        asymptotic_fine_tuning_loss(2.0, 1.0, 0.3, 0.8)
    )


@pytest.mark.parametrize("ratios", [(0.0, 0.5), (0.5, 0.0)])
def test_the_asymptotic_loss_needs_positive_ratios(ratios: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="a positive number is needed"):
        asymptotic_fine_tuning_loss(1.0, *ratios, 0.5)


@pytest.mark.parametrize(
    "options", [{"trainable": "all"}, {"decay": 0.1}, {"temperature": 0.1}], ids=str
)
def test_the_asymptotic_loss_is_left_out_where_it_does_not_hold(options: dict[str, Any]) -> None:
    task = fine_tuning(0, **options)
    short = [replace(s, steps=1) for s in task.protocol.stages]
    found = solve(problem(task.data, *short, activation="linear"))
    assert not [name for name in found.stages[1] if "asymptotic" in name]


def test_it_is_left_out_for_other_data_too() -> None:
    found = solve(two_stages({"readout": "zero", "trainable": "readout"}))
    assert not [name for name in found.stages[1] if "asymptotic" in name]


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_is_invariant_under_rotating_inputs_and_reordering_points(seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = gaussian_data()
    rotation, _ = np.linalg.qr(rng.standard_normal((8, 8)))

    def turned(d: Dataset, order: Any) -> Dataset:
        return Dataset((d.x @ rotation)[order], d.y[order])

    orders = {n: rng.permutation(len(d)) for n, d in data.sets().items()}
    sets: dict[str, Any] = {n: turned(d, orders[n]) for n, d in data.sets().items()}
    moved = TransferData(**sets)
    one, two = (
        solve(problem(d, SOURCE, replace(TARGET, elastic=0.5), activation="linear"))
        for d in (data, moved)
    )
    outputs = one[1, "output/test"].values[:, orders["target_test"]]
    assert two[1, "output/test"].values == pytest.approx(outputs, rel=1e-8, abs=1e-10)


def test_duplicate_points_and_a_single_point_are_solved() -> None:
    x = np.ones((1, 3))
    one = TransferData(target=Dataset(x, np.array([1.0])), target_test=Dataset(x, np.array([1.0])))
    twice = TransferData(
        target=Dataset(np.ones((2, 3)), np.array([1.0, 1.0])),
        target_test=Dataset(x, np.array([1.0])),
    )
    outputs = []
    for data, dt in ((one, 0.1), (twice, 0.05)):
        stage = Stage(data="target", richness=0.5, steps=40, dt=dt)
        outputs.append(solve(problem(data, stage, activation="linear"))[0, "output/test"].values)
    # a point twice is a point once at half the step
    assert outputs[0] == pytest.approx(outputs[1], rel=1e-12)


def test_inputs_of_zero_stay_at_zero() -> None:
    zero = Dataset(np.zeros((2, 3)), np.array([1.0, -1.0]))
    full = Dataset(np.eye(3)[:2], np.array([1.0, -1.0]))
    for train, test in ((full, zero), (Dataset(np.diag([1.0, 0, 0])[:2], np.ones(2)), full)):
        data = TransferData(target=train, target_test=test)
        stage = Stage(data="target", richness=1.0, steps=20, dt=0.1)
        found = solve(problem(data, stage, activation="linear"))
        nothing = ~test.x.any(axis=1)
        assert np.abs(found[0, "output/test"].values[0][nothing]).max(initial=0.0) == 0.0
        width = 0.1  # of a bin
        assert found[0, "preactivation/density"].values.sum() * width == pytest.approx(1.0)


def test_without_steps_the_predictor_is_zero() -> None:
    found = solve(problem(gaussian_data(), replace(SOURCE, steps=0, dt=1e3), activation="linear"))
    assert np.array_equal(found[0, "output/test"].values, np.zeros((1, 12)))
    assert found[0, "loss/train"].values == pytest.approx([1.0])


@pytest.mark.parametrize(("richness", "dt"), [(5.0, 10.0), (0.01, 0.6)])
def test_too_large_a_step_is_an_error_that_names_dt(richness: float, dt: float) -> None:
    stage = Stage(data="target", richness=richness, steps=200, dt=dt)
    with pytest.raises(DivergenceError, match=rf"dt = {dt:g}.*smaller dt"):
        solve(problem(gaussian_data(), stage, activation="linear"))


def test_says_what_it_does_not_describe() -> None:
    theory = make("theory", "linear-transfer")
    deep = problem(gaussian_data(), SOURCE, activation="linear", depth=2)
    assert theory.supports(deep) == "describes one hidden layer, not 2"
    relu = problem(gaussian_data(), SOURCE, activation="relu")
    assert theory.supports(relu) == "describes the activation linear, not relu"
