"""`dmft-no-response`: the theory with A = B = 0, against networks with independent transposes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fixed_points import single
from problems import gaussian_data, make, norm_error, problem, relative

from harness import DivergenceError, Problem, Stage, Trajectory

RICH = Stage(data="target", richness=1.0, steps=20, dt=0.04)
SOURCE = replace(RICH, data="source")
SAMPLED = {"samples": 1024, "replicates": 4}


def predicted(name: str, task: Problem, **parameters: Any) -> Trajectory:
    theory = make("theory", name, **parameters)
    assert theory.supports(task) is None
    found: Trajectory = theory.predict(task)
    return found


def outputs(found: Trajectory, stage: int = -1) -> Any:
    return found[stage, "output/test"].values[0]


def with_independent_transposes(task: Problem, width: int, seed: int) -> tuple[Any, Any]:
    """Train two hidden layers whose gradients pass through matrices of their own.

    The forward pass has W + dW and the backward pass V + dW, with W and V drawn independently: no
    field responds to the noise of the other direction. The predictor follows the tangent kernel.
    Returns the test predictor at the end and the loss curve on the training points.
    """
    data, stage = task.data, task.protocol.stages[0]
    gamma, dt = stage.richness, stage.step_size
    x = np.concatenate([data.target.x, data.target_test.x]) / np.sqrt(data.target.x.shape[1])
    y = data.target.y
    p, gram = len(y), x @ x[: len(y)].T
    rng = np.random.default_rng(seed)
    first, readout = rng.standard_normal((width, x.shape[1])), rng.standard_normal(width)
    forth, back = rng.standard_normal((2, width, width))
    moved = np.zeros((width, width))
    f, losses = np.zeros(len(x)), []
    for _ in range(stage.steps + 1):
        losses.append(np.mean((y - f[:p]) ** 2))
        final, delta = f, y - f[:p]
        one = np.tanh(first @ x.T)
        two = np.tanh((forth + moved) @ one / np.sqrt(width))
        g2 = (1 - two**2) * readout[:, None]
        g1 = (1 - one**2) * ((back + moved).T @ g2 / np.sqrt(width))
        kernel = two.T @ two[:, :p] / width
        kernel += g2.T @ g2[:, :p] * (one.T @ one[:, :p]) / width**2
        kernel += g1.T @ g1[:, :p] * gram / width
        f = f + dt * kernel @ delta
        readout = readout + dt * gamma * two[:, :p] @ delta
        moved += dt * gamma * (g2[:, :p] * delta) @ one[:, :p].T / np.sqrt(width)
        first = first + dt * gamma * (g1[:, :p] * delta) @ x[:p]
    return final[p:], np.array(losses)


def test_networks_with_independent_transposes_approach_it() -> None:
    task = problem(single(gaussian_data(points=5)), RICH, depth=2, activation="tanh")
    runs = [with_independent_transposes(task, 600, seed) for seed in range(6)]
    tests, losses = (np.stack(each) for each in zip(*runs, strict=True))
    mean = tests.mean(axis=0)
    own = np.linalg.norm(tests.std(axis=0, ddof=1)) / np.sqrt(6) / np.linalg.norm(mean)
    found = predicted("dmft-no-response", task, **SAMPLED)
    assert relative(outputs(found), mean) < 3 * np.hypot(own, norm_error(found, 0)) + 5 / 600
    curve = found[0, "loss/train"]
    assert relative(curve.values, losses.mean(axis=0)[curve.steps]) < 0.02
    # and the responses matter here
    full = predicted("dmft", task, **SAMPLED)
    assert relative(outputs(full), mean) > 0.05


@pytest.mark.parametrize(("richness", "low", "high"), [(1e-3, 0.0, 1e-3), (1.0, 0.05, 0.5)])
def test_deep_linear_networks_agree_with_dmft_when_lazy(
    richness: float, low: float, high: float
) -> None:
    stages = [replace(s, richness=richness) for s in (SOURCE, RICH)]
    task = problem(gaussian_data(points=5), *stages, depth=2, activation="linear")
    found, full = (predicted(name, task) for name in ("dmft-no-response", "dmft"))
    assert found[-1, "output/test"].stderr is None
    for stage in range(2):
        assert low <= relative(outputs(found, stage), outputs(full, stage)) < high


def test_a_divergence_is_one_line() -> None:
    task = problem(
        single(gaussian_data(points=5)), replace(RICH, dt=3.0), depth=2, activation="linear"
    )
    with pytest.raises(DivergenceError, match="use a smaller dt"):
        predicted("dmft-no-response", task)


def test_a_readout_stage_follows_the_feature_kernel() -> None:
    tune = replace(RICH, readout="zero", trainable="readout")
    task = problem(
        gaussian_data(points=5), replace(SOURCE, richness=1e-3), tune, depth=2, activation="linear"
    )
    lazy = make("theory", "lazy-ntk").predict(task)
    assert relative(outputs(predicted("dmft-no-response", task)), outputs(lazy)) < 1e-3


@pytest.mark.parametrize(
    ("change", "depth", "reason"),
    [
        ({}, 1, "describes two hidden layers or more; one has no response functions to drop"),
        ({"decay": 0.1}, 2, "describes gradient flow without decay (0.1)"),
        (
            {"trainable": {2, "readout"}},
            2,
            "describes stages that train all weights or the readout",
        ),
        ({"loss": "logistic"}, 2, "describes the squared loss, not the logistic one"),
    ],
)
def test_other_problems_are_refused(change: dict[str, Any], depth: int, reason: str) -> None:
    task = problem(single(), replace(RICH, **change), depth=depth)
    assert make("theory", "dmft-no-response").supports(task).startswith(reason)
