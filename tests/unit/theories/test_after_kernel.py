"""`after-kernel`: regression with the kernel that training has adapted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fixed_points import single
from problems import gaussian_data, images, make, norm_error, problem, relative

from harness import Problem, Stage, Trajectory
from harness.numerics import lazy_kernels
from harness.numerics.mean_field.after_kernel import regression

RICH = Stage(data="target", richness=1.5, steps=150, dt=0.1)


def predicted(task: Problem, **parameters: Any) -> Trajectory:
    theory = make("theory", "after-kernel", **{"samples": 4096, **parameters})
    assert theory.supports(task) is None
    found: Trajectory = theory.predict(task)
    return found


def test_small_richness_is_the_lazy_limit_at_convergence() -> None:
    task = problem(single(), replace(RICH, richness=1e-3), activation="tanh")
    x = np.concatenate([task.data.target.x, task.data.target_test.x])
    ntk, y = lazy_kernels(x, x, activation="tanh", depth=1).ntk, task.data.target.y
    lazy = ntk[len(y) :, : len(y)] @ np.linalg.solve(ntk[: len(y), : len(y)], y)
    found = predicted(task)
    assert relative(found[-1, "output/test"].values[0], lazy) < 2e-3
    assert found[-1, "loss/train"].values[-1] < 1e-8
    assert found[-1, "loss/train"].steps.tolist() == [150]


def test_the_kernel_is_that_of_trained_units() -> None:
    """Units in plain NumPy, whose kernel is that of the gradients of their own predictor."""
    task = problem(single(), RICH, activation="tanh")
    data, gamma, dt = task.data, RICH.richness, RICH.step_size
    x = np.concatenate([data.target.x, data.target_test.x]) / np.sqrt(data.target.x.shape[1])
    y, units = data.target.y, 4096
    train = x[: len(y)]
    rng = np.random.default_rng(5)
    w, z = rng.standard_normal((units // 2, x.shape[1])), rng.standard_normal(units // 2)
    w, z = np.concatenate([w, w]), np.concatenate([z, -z])
    for _ in range(RICH.steps):
        phi = np.tanh(w @ train.T)
        delta = y - z @ phi / (gamma * units)
        force = z[:, None] * (1 - phi**2) * delta
        w, z = w + dt * gamma * force @ train, z + dt * gamma * phi @ delta
    phi = np.tanh(w @ x.T)
    g = z[:, None] * (1 - phi**2)
    kernel = (phi.T @ phi + g.T @ g * (x @ x.T)) / units
    expected = kernel[len(y) :, : len(y)] @ np.linalg.solve(kernel[: len(y), : len(y)], y)
    found = predicted(task)
    outputs = found[-1, "output/test"]
    assert relative(outputs.values[0], expected) < 6 * norm_error(found, 0)
    field = make("theory", "mean-field", samples=4096).predict(task)
    assert relative(field[-1, "output/test"].values[0], expected) > 0.1


def test_linear_networks_have_the_kernel_of_their_moments() -> None:
    """K = Phi + <z^2> K_x with Phi = K_x + chi n n^T along the predictor and <z^2> = 1 + chi."""
    task = problem(single(gaussian_data(points=6)), RICH, activation="linear")
    exact = make("theory", "linear-transfer").predict(task)
    data = task.data
    x = np.concatenate([data.target.x, data.target_test.x])
    gram, y = x @ x.T / x.shape[1], data.target.y
    phi = exact[-1, "kernel/feature"].values[0, 0]
    along = np.linalg.pinv(x) @ (phi - gram) @ np.linalg.pinv(x).T * x.shape[1]
    kernel = phi + (1.0 + np.trace(along)) * gram
    expected = kernel[len(y) :, : len(y)] @ np.linalg.solve(kernel[: len(y), : len(y)], y)
    found = predicted(task)
    assert relative(found[-1, "output/test"].values[0], expected) < 3 * norm_error(found, 0) + 2e-3


def test_frozen_features_are_exact_for_long_training() -> None:
    """A readout trained for long on moved features is the regression with their kernel."""
    tune = Stage(
        data="target", richness=1.0, steps=3000, dt=0.5, readout="zero", trainable="readout"
    )
    source = replace(RICH, data="source")
    task = problem(gaussian_data(points=4), source, tune, activation="relu")
    trained = make("theory", "mean-field", samples=4096).predict(task)
    after = predicted(task)
    assert relative(after[1, "output/test"].values[0], trained[1, "output/test"].values[0]) < 0.02


def test_regression_leaves_out_directions_without_variance() -> None:
    root = np.random.default_rng(0).standard_normal((9, 4))
    kernel, y = (root @ root.T)[:, :6], np.arange(6.0)
    expected = root @ np.linalg.lstsq(root[:6], y, rcond=None)[0]
    assert relative(regression(kernel, y, 1e-12), expected) < 1e-9


def test_patches_are_supported() -> None:
    task = Problem(
        images(points=4), make("architecture", "conv", patch=3), problem(images(), RICH).protocol
    )
    found = predicted(task, samples=256)
    assert found[-1, "loss/train"].values[-1] < 1e-6


@pytest.mark.parametrize(
    ("stages", "reason"),
    [
        ([replace(RICH, decay=0.1)], "describes gradient flow without decay (0.1)"),
        ([replace(RICH, temperature=0.1)], "describes gradient flow without temperature (0.1)"),
        (
            [RICH, replace(RICH, center=False)],
            "describes stages that start from the zero predictor",
        ),
        ([replace(RICH, loss="logistic")], "describes the squared loss, not the logistic one"),
    ],
)
def test_other_stages_are_refused(stages: list[Stage], reason: str) -> None:
    task = problem(gaussian_data(), *stages, activation="tanh")
    assert make("theory", "after-kernel").supports(task).startswith(reason)


def test_deep_networks_are_refused() -> None:
    task = problem(single(), RICH, depth=2)
    assert make("theory", "after-kernel").supports(task) == "describes one hidden layer, not 2"
