"""Dynamical mean-field theory against other theories, networks, and networks of other code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shared_files
from problems import gaussian_data, make, norm_error, problem, relative

from harness import Dataset, Problem, Stage, Trajectory, TransferData, networks

SOURCE = Stage(data="source", richness=1.2, steps=25, dt=0.05)
TARGET = Stage(data="target", richness=0.8, steps=20, dt=0.05)


def small_data() -> TransferData:
    return gaussian_data(points=5, dimension=10)


def agrees_with_networks(
    task: Problem, theory: Trajectory, width: int = 1024, seeds: int = 8
) -> None:
    ensemble = [t for t in networks.train(task, width, range(seeds)) if isinstance(t, Trajectory)]
    assert len(ensemble) == seeds
    for stage in range(len(task.protocol.stages)):
        runs = np.stack([t[stage, "output/test"].values[0] for t in ensemble])
        prediction = theory[stage, "output/test"]
        noise = np.linalg.norm(runs.std(axis=0, ddof=1)) / np.sqrt(seeds)
        error = np.hypot(noise, norm_error(theory, stage) * np.linalg.norm(prediction.values))
        # bias of order 1 / N beside the sampling errors of both sides
        bias = 10 * np.linalg.norm(runs.mean(axis=0)) / width
        assert np.linalg.norm(runs.mean(axis=0) - prediction.values[0]) < 2 * error + bias


def test_matches_reference_networks_of_two_layers() -> None:
    with np.load(shared_files.reference("C_tanh_deep_joint.npz")) as found:
        r = {name: found[name] for name in found.files}
    data = TransferData(
        source=Dataset(r["X1"], r["y1"]),
        source_test=Dataset(r["Xt"], r["yt1"]),
        target=Dataset(r["X2"], r["y2"]),
        target_test=Dataset(r["Xt"], r["yt2"]),
    )
    task = problem(
        data,
        Stage(data="source", richness=1.0, steps=30, dt=0.1),
        Stage(data="target", richness=0.8, steps=30, dt=0.1),
        activation="tanh",
        depth=2,
    )
    theory = make("theory", "dmft", target_error=0.005, samples=4096).predict(task)
    for stage in (0, 1):
        assert norm_error(theory, stage) < 0.01
        for name, key in (("loss/train", "train"), ("loss/test", "testloss")):
            curve = theory[stage, name]
            assert relative(curve.values, r[f"{key}{stage}"][:, curve.steps].mean(axis=0)) < 0.01
        reference = r[f"ftest{stage}"][-1]
        spread = np.linalg.norm(r[f"ftest{stage}_sd"]) / np.sqrt(len(r[f"train{stage}"]))
        combined = np.hypot(spread / np.linalg.norm(reference), norm_error(theory, stage))
        assert relative(theory[stage, "output/test"].values[0], reference) < 1.5 * combined
        kernel = theory[stage, "kernel/feature"]
        assert kernel.stderr is not None
        last, diagonal = kernel.values[0, -1], np.diag(kernel.values[0, -1])
        # products of two features of 6 networks of width 2048 scatter like those of Gaussians
        scatter = np.sum(np.outer(diagonal, diagonal) + last**2) / (6 * 2048)
        allowed = 1.5 * np.sqrt(scatter + np.sum(kernel.stderr[0, -1] ** 2))
        assert np.linalg.norm(last - r[f"K{stage}"]) < allowed


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_one_hidden_layer_equals_the_particle_system(activation: str) -> None:
    task = problem(small_data(), SOURCE, TARGET, activation=activation)
    ours = make("theory", "dmft", samples=4096).predict(task)
    theirs = make("theory", "mean-field", samples=65536).predict(task)
    for stage in (0, 1):
        combined = np.hypot(norm_error(ours, stage), norm_error(theirs, stage))
        one, two = (t[stage, "output/test"].values for t in (ours, theirs))
        assert relative(one, two) < 2 * combined
        losses = [t[stage, "loss/train"].values for t in (ours, theirs)]
        assert relative(*losses) < 0.01


@pytest.mark.parametrize(
    "options",
    [
        {"readout": "reset"},
        {"readout": "zero", "trainable": "readout"},
        {"readout": "zero"},
        {"decay": 0.4, "elastic": 0.6},
        {"center": False},
    ],
    ids=str,
)
def test_deep_networks_approach_it_under_every_option(options: dict[str, Any]) -> None:
    from dataclasses import replace

    task = problem(small_data(), SOURCE, replace(TARGET, **options), activation="tanh", depth=2)
    agrees_with_networks(task, make("theory", "dmft", samples=2048).predict(task))


def test_three_relu_layers_approach_it() -> None:
    task = problem(small_data(), SOURCE, activation="relu", depth=3)
    agrees_with_networks(task, make("theory", "dmft", samples=2048).predict(task))


@pytest.mark.parametrize("depth", [1, 3])
def test_deep_linear_networks_are_solved_without_sampling(depth: int) -> None:
    task = problem(small_data(), SOURCE, TARGET, activation="linear", depth=depth)
    theory = make("theory", "dmft").predict(task)
    assert theory[0, "output/test"].stderr is None
    agrees_with_networks(task, theory)


def test_deep_linear_at_one_layer_equals_the_particle_system() -> None:
    """Linear particles with exact second moments have no sampling error either."""
    task = problem(small_data(), SOURCE, TARGET, activation="linear")
    exact = make("theory", "dmft").predict(task)
    particles = make("theory", "mean-field", samples=4096, precision="float64").predict(task)
    for stage in (0, 1):
        for name in ("output/test", "loss/train", "loss/test"):
            one, two = (t[stage, name].values for t in (exact, particles))
            assert relative(one, two) < 1e-6


@pytest.mark.parametrize(("activation", "depth"), [("tanh", 2), ("relu", 2)])
def test_lazy_limit(activation: str, depth: int) -> None:
    from dataclasses import replace

    # what is left of the error is that of kernels, not of an initial predictor over the richness
    stages = [replace(stage, richness=1e-3) for stage in (SOURCE, TARGET)]
    task = problem(small_data(), *stages, activation=activation, depth=depth)
    ours = make("theory", "dmft", samples=2048).predict(task)
    lazy = make("theory", "lazy-ntk").predict(task)
    for stage in (0, 1):
        one, two = (t[stage, "output/test"].values for t in (ours, lazy))
        assert norm_error(ours, stage) < 0.01
        assert relative(one, two) < 2 * norm_error(ours, stage)


def test_noise_is_outside_its_domain() -> None:
    from dataclasses import replace

    task = problem(small_data(), replace(SOURCE, temperature=0.1), depth=2)
    assert "without noise" in make("theory", "dmft").supports(task)
