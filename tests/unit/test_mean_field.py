"""The two-layer theory against networks that other code trained, and against exact limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from problems import gaussian_data, make, norm_error, problem, reference_problem, relative

from harness import Dataset, DivergenceError, Stage, Trajectory, TransferData, numerics


@pytest.fixture(scope="module")
def solved(reference: dict[str, np.ndarray]) -> Trajectory:
    found: Trajectory = make("theory", "mean-field").predict(reference_problem(reference))
    return found


@pytest.mark.parametrize("stage", [0, 1])
def test_loss_curves_match_reference_networks(
    reference: dict[str, np.ndarray], solved: Trajectory, stage: int
) -> None:
    for name, key in (("loss/train", "train"), ("loss/test", "testloss")):
        curve = solved[stage, name]
        networks = reference[f"{key}{stage}"][:, curve.steps]
        assert relative(curve.values, networks.mean(axis=0)) < 0.01


@pytest.mark.parametrize("stage", [0, 1])
def test_predictor_matches_reference_networks(
    reference: dict[str, np.ndarray], solved: Trajectory, stage: int
) -> None:
    networks = reference[f"ftest{stage}"][-1]
    spread = reference[f"ftest{stage}_sd"] / np.sqrt(len(reference[f"train{stage}"]))
    theory = solved[stage, "output/test"]
    combined = np.hypot(
        np.linalg.norm(spread) / np.linalg.norm(networks), norm_error(solved, stage)
    )
    assert norm_error(solved, stage) < 0.01
    # the norm of the difference of two estimates scatters about their combined error by less
    # than half of it, as it sums over several independent directions
    assert relative(theory.values[0], networks) < 1.5 * combined


@pytest.mark.parametrize("stage", [0, 1])
def test_feature_kernels_match_reference_networks(
    reference: dict[str, np.ndarray], solved: Trajectory, stage: int
) -> None:
    kernel = solved[stage, "kernel/feature"]
    assert kernel.stderr is not None
    # a single network's kernel scatters by about sqrt(5 / N) of its size (fourth moments)
    allowed = 3 * np.sqrt(5 / 8192 / 12) + 3 * np.linalg.norm(kernel.stderr) / np.linalg.norm(
        kernel.values
    )
    assert relative(kernel.values[0, 0], reference[f"K{stage}"]) < allowed


@pytest.mark.parametrize("activation", ["tanh", "erf", "he2"])
def test_lazy_limit_is_reached_without_sampling_error(activation: str) -> None:
    """The control variate takes off the first order, pairs the second: errors go as gamma^2."""
    gamma = 1e-3
    lazy = problem(
        gaussian_data(),
        Stage(data="source", richness=gamma, steps=60, dt=0.02),
        Stage(data="target", richness=gamma, steps=60, dt=0.02),
        activation=activation,
    )
    theory = make("theory", "mean-field", samples=4096, precision="float64").predict(lazy)
    exact = make("theory", "lazy-ntk").predict(lazy)
    for stage in (0, 1):
        found, expected = (t[stage, "output/test"].values for t in (theory, exact))
        assert norm_error(theory, stage) < 100 * gamma**2
        assert relative(found, expected) < 100 * gamma**2


@pytest.mark.parametrize(
    ("activation", "options"),
    [
        ("relu", {"readout": "keep"}),
        ("tanh", {"readout": "keep"}),
        ("relu", {"readout": "reset"}),
        ("tanh", {"readout": "zero"}),
        ("relu", {"readout": "zero", "trainable": "readout"}),
        ("tanh", {"readout": "keep", "decay": 0.5, "elastic": 0.7}),
        ("tanh", {"readout": "keep", "center": False}),
        ("relu", {"readout": "keep", "temperature": 0.2, "decay": 1.0}),
    ],
    ids=str,
)
def test_every_stage_option_agrees_with_networks(activation: str, options: dict[str, Any]) -> None:
    from harness import networks

    width, seeds = 2048, 6
    task = problem(
        gaussian_data(),
        Stage(data="source", richness=1.2, steps=50, dt=0.03),
        Stage(data="target", richness=0.8, steps=50, dt=0.03, **options),
        activation=activation,
    )
    theory = make("theory", "mean-field", samples=16384).predict(task)
    ensemble = networks.train(task, width, range(seeds))
    for stage in (0, 1):
        runs = np.stack([t[stage, "output/test"].values[0] for t in ensemble])  # type: ignore[index]
        mean, prediction = runs.mean(axis=0), theory[stage, "output/test"]
        error = np.hypot(
            np.linalg.norm(runs.std(axis=0, ddof=1)) / np.sqrt(seeds),
            np.linalg.norm(prediction.stderr),
        )
        # bias of order 1 / N beside the sampling errors of both sides
        bias = np.linalg.norm(mean) / width
        assert np.linalg.norm(mean - prediction.values[0]) < 2 * error + 10 * bias


def test_is_invariant_under_reordering_of_points() -> None:
    data = gaussian_data()
    order = np.random.default_rng(1).permutation(len(data.target))
    shuffled = TransferData(
        target=Dataset(data.target.x[order], data.target.y[order]), target_test=data.target_test
    )
    stage = Stage(data="target", richness=1.0, steps=30, dt=0.05)
    solver = make("theory", "mean-field", samples=2048, precision="float64")
    plain = TransferData(target=data.target, target_test=data.target_test)
    one, two = (solver.predict(problem(d, stage)) for d in (plain, shuffled))
    assert relative(one[0, "output/test"].values, two[0, "output/test"].values) < 3 * (
        norm_error(one, 0) + norm_error(two, 0)
    )


def test_frozen_features_give_the_same_whether_they_are_kept_or_not() -> None:
    rng = np.random.default_rng(0)
    factor, train, replicates, units = rng.standard_normal((20, 4)), 12, 2, 64
    drawn = numerics.Particles(
        rng.standard_normal((replicates, 4, units)),
        rng.standard_normal((replicates, units)),
        np.zeros((replicates, train)),
    )
    zero = np.zeros((replicates, len(factor)))
    control = 0.01 * rng.standard_normal((replicates, len(factor), train))
    y = np.sign(factor[:train, 0])
    rates = numerics.StageRates(1.0, 0.05, 0.1, 0.0, 0.0).cast("float64")
    found = []
    for most in (10**6, 0):
        hidden = numerics.kept_hidden(drawn, factor, activation="tanh", most=most)
        assert (hidden is None) == (most == 0)
        frame = numerics.ParticleFrame(factor, zero, zero, control, None, hidden)
        moved = numerics.advance_particles(
            drawn, frame, y, rates, None, 5, activation="tanh", frozen=True
        )
        predictor = numerics.particle_predictor(moved, frame, rates.richness, activation="tanh")
        found.append((np.asarray(moved.z), np.asarray(moved.omega), predictor))
    for kept, made in zip(*found, strict=True):
        assert made == pytest.approx(kept, abs=1e-12)
    assert np.abs(found[0][0] - drawn.z).max() > 0.01


def test_starts_from_the_zero_predictor_and_keeps_it_without_steps() -> None:
    stage = Stage(data="target", richness=1.0, steps=0, dt=0.05)
    found = make("theory", "mean-field", samples=512).predict(problem(gaussian_data(), stage))
    assert np.abs(found[0, "output/test"].values).max() < 1e-5
    assert found[0, "loss/train"].values == pytest.approx([1.0], rel=1e-5)


def test_more_samples_are_taken_until_the_target_error_is_met() -> None:
    stage = Stage(data="target", richness=1.0, steps=20, dt=0.05)
    task = problem(gaussian_data(), stage)
    loose = make("theory", "mean-field", target_error=0.2).predict(task)
    tight = make("theory", "mean-field", target_error=0.002).predict(task)
    assert norm_error(tight, 0) < 0.002 or tight.notes["samples"] > loose.notes["samples"]
    assert tight.notes["samples"] > loose.notes["samples"]


@pytest.mark.parametrize(
    "options",
    [
        {"readout": "keep", "center": False, "richness": 2.0},
        {"readout": "reset", "decay": 0.5, "elastic": 0.7},
        {"readout": "zero", "trainable": "readout"},
    ],
    ids=lambda o: "-".join(f"{k}={v}" for k, v in o.items()),
)
def test_driven_samples_tell_what_trained_ones_miss(options: dict[str, Any]) -> None:
    """A fraction of the error of the samples that are trained, and equal to training as many."""
    source = Stage(data="source", richness=1.2, steps=100, dt=0.04)
    target = Stage(**{"data": "target", "richness": 0.8, "steps": 100, "dt": 0.04, **options})
    task = problem(gaussian_data(), source, target, activation="tanh")
    driven = make("theory", "mean-field", target_error=0.002).predict(task)
    few = make("theory", "mean-field", samples=8192).predict(task)
    many = make("theory", "mean-field", samples=65536, seed=1).predict(task)
    assert driven.notes["samples"] >= 65536
    for stage in (0, 1):
        for name, sigmas in (("output/test", 2), ("loss/train", 4), ("loss/test", 4)):
            ours, theirs = driven[stage, name], many[stage, name]
            error = np.hypot(np.linalg.norm(ours.stderr), np.linalg.norm(theirs.stderr))
            assert np.linalg.norm(ours.values - theirs.values) < sigmas * error
        assert norm_error(driven, stage) < norm_error(few, stage) / 2


@pytest.mark.parametrize(
    ("target_error", "option"),
    [(0.0015, {"temperature": 0.1, "decay": 1.0}), (0.0004, {"decay": 2.0})],
    ids=["noise", "long decay"],
)
def test_all_samples_are_trained_where_they_cannot_be_driven(
    target_error: float, option: dict[str, Any]
) -> None:
    """Only samples that are trained lower the error of the feature kernel."""
    stage = Stage(data="target", richness=3.0, steps=200, dt=0.1, **option)
    task = problem(gaussian_data(), stage, activation="tanh")
    few = make("theory", "mean-field", samples=8192).predict(task)
    found = make("theory", "mean-field", target_error=target_error).predict(task)
    assert found.notes["samples"] >= 32768
    before, after = (np.linalg.norm(t[0, "kernel/feature"].stderr) for t in (few, found))
    assert after < 0.75 * before


def test_divergence_is_an_error_that_names_dt() -> None:
    stage = Stage(data="target", richness=5.0, steps=200, dt=10.0)
    with pytest.raises(DivergenceError, match=r"dt = 10.*smaller dt"):
        make("theory", "mean-field", samples=256).predict(problem(gaussian_data(), stage))


def test_deep_networks_are_outside_its_domain() -> None:
    stage = Stage(data="target", richness=1.0, steps=1, dt=0.05)
    deep = problem(gaussian_data(), stage, depth=2)
    assert make("theory", "mean-field").supports(deep) == "describes one hidden layer, not 2"


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
        found = make("theory", "mean-field", samples=1024).predict(problem(data, stage))
        outputs.append(found[0, "output/test"].values)
    # a point twice is a point once at half the step
    assert outputs[0] == pytest.approx(outputs[1], rel=1e-3)
