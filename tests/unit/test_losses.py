"""Losses other than the squared one: in networks, in theories, and where labels do not fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import assert_near_networks, gaussian_data, make, norm_error, problem, relative

from harness import Dataset, Problem, Stage, Trajectory, networks, numerics
from harness.networks.automatic_dt import resolve_steps
from harness.networks.ensemble import Ensemble

LOGISTIC = Stage(data="target", richness=1.5, steps=40, dt=0.1, loss="logistic")


def two_stages(**target: Any) -> Problem:
    source = replace(LOGISTIC, data="source", richness=1.2)
    return problem(gaussian_data(), source, replace(LOGISTIC, **target), activation="tanh")


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_an_error_signal_is_minus_the_derivative_of_its_loss(loss: str) -> None:
    with jax.enable_x64(True):
        y, f = np.array([1.0, -1.0, 1.0, -1.0]), np.array([0.3, 2.0, -40.0, 1e3])

        def summed(f: jax.Array) -> jax.Array:
            # the squared loss is told without its half
            return 4 * numerics.mean_loss(loss, jnp.asarray(y), f) / (2 if loss == "squared" else 1)

        slope = jax.grad(summed)(jnp.asarray(f))
        curvature = jax.vmap(jax.grad(jax.grad(lambda v: summed(jnp.full(4, v)) / 4)))
        seen = np.asarray(curvature(jnp.linspace(-2.0, 2.0, 5)))
    found = numerics.error_signal(loss, y, f)
    np.testing.assert_allclose(found, -np.asarray(slope), atol=1e-12)
    assert seen.max() == pytest.approx(numerics.CURVATURE[loss])
    assert numerics.accuracy(y, f) == 0.25


def test_networks_take_the_steps_of_the_theory() -> None:
    """The steps of docs/theory.md, section 1, with Delta = y / (1 + e^(y f)), in plain NumPy."""
    stage = replace(LOGISTIC, steps=12, decay=0.05)
    task, width = problem(gaussian_data(), stage, activation="tanh"), 32
    ensemble = Ensemble(task, width, [0], "float64")
    (w0,) = (np.array(v[0]).T for v in jax.tree.leaves(ensemble.weights["hidden"]))
    readout = np.array(ensemble.weights["readout"])[0]
    (found,) = networks.train(task, width, [0], dtype="float64")
    assert isinstance(found, Trajectory)
    data, gamma, dt = task.data, stage.richness, stage.step_size
    x, y = data.target.x, data.target.y
    scale = np.sqrt(x.shape[1])

    def output(points: np.ndarray) -> np.ndarray:
        return np.tanh(points @ w0.T / scale) @ readout / (gamma * width)

    start, start_test = output(x), output(data.target_test.x)
    for _ in range(stage.steps):
        phi = np.tanh(x @ w0.T / scale)
        delta = y / (1 + np.exp(y * (output(x) - start)))
        pulled = (delta[:, None] * (1 - phi**2) * readout).T @ x / scale
        readout = readout + dt * (gamma * delta @ phi - stage.decay * readout)
        w0 = w0 + dt * (gamma * pulled - stage.decay * w0)
    end = output(data.target_test.x) - start_test
    np.testing.assert_allclose(found[0, "output/test"].values[0], end, rtol=1e-9, atol=1e-12)
    margin = data.target_test.y * end
    loss, right = found[0, "loss/test"].values[-1], found[0, "accuracy/test"].values[-1]
    np.testing.assert_allclose(loss, np.mean(np.log1p(np.exp(-margin))))
    assert right == np.mean(margin > 0)


def test_theories_agree_with_each_other_and_with_wide_networks() -> None:
    task = two_stages(readout="reset")
    theories = {
        "mean-field": make("theory", "mean-field").predict(task),
        "dmft": make("theory", "dmft", samples=2048).predict(task),
    }
    assert_near_networks(theories, task, 2048)


def test_lazy_limits_are_those_of_small_richness() -> None:
    task = two_stages(readout="zero", trainable="readout", decay=0.1)
    lazy = make("theory", "lazy-ntk").predict(task)
    stages = [replace(s, richness=1e-3) for s in task.protocol.stages]
    small = problem(task.data, *stages, activation="tanh")
    poor = make("theory", "mean-field").predict(small)
    for index in range(2):
        for name in ("output/test", "loss/train"):
            one, two = (t[index, name].values for t in (poor, lazy))
            assert relative(one, two) < 0.01 + 3 * norm_error(poor, index)


def test_a_linear_network_is_exact_for_any_loss() -> None:
    stage = replace(LOGISTIC, richness=1.0)
    task = problem(gaussian_data(), stage, activation="linear")
    exact = make("theory", "dmft").predict(task)
    sampled = make("theory", "mean-field").predict(task)
    one, two = (t[0, "output/test"].values[0] for t in (sampled, exact))
    assert relative(one, two) < 4 * norm_error(sampled, 0)
    assert exact[0, "output/test"].stderr is None


def test_automatic_steps_heed_the_curvature_of_the_loss() -> None:
    (squared,), (logistic,) = (
        resolve_steps(
            problem(
                gaussian_data(),
                Stage(data="target", richness=1.0, steps=0, loss=loss, trainable="readout"),
            )
        )
        for loss in ("squared", "logistic")
    )
    # rounded down to two digits each
    assert logistic == pytest.approx(4 * squared, rel=0.1)


@pytest.mark.parametrize("name", ["linear-transfer", "adaptive-kernel"])
def test_theories_of_the_squared_loss_say_so(name: str) -> None:
    stage = replace(LOGISTIC, decay=1.0, temperature=0.1, steps=400)
    reason = make("theory", name).supports(problem(gaussian_data(), stage, activation="linear"))
    assert "describes the squared loss, not the logistic one" in reason


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.arange(12) % 2, "labels of -1 and 1; those of the target go from 0 to 1"),
        (np.linspace(-2.0, 2.0, 12), "labels of -1 and 1; those of the target go from -2 to 2"),
        (np.ones(12), "needs two classes; all training labels of the target are 1"),
    ],
)
def test_labels_that_do_not_fit_the_loss_are_told_in_one_line(
    labels: np.ndarray, words: str
) -> None:
    data = gaussian_data()
    spoilt = replace(data, target=Dataset(data.target.x, labels))
    with pytest.raises(ValueError, match=words) as error:
        problem(spoilt, LOGISTIC)
    assert "\n" not in str(error.value)
    problem(spoilt, replace(LOGISTIC, loss="squared"))


def test_a_loss_that_is_unknown_is_named_with_those_allowed() -> None:
    with pytest.raises(ValueError, match="loss = 'hinge'; allowed are 'squared', 'logistic'"):
        Stage(data="target", richness=1.0, steps=1, loss="hinge")  # type: ignore[arg-type]
