"""Stages whose fixed points `adaptive-kernel` is asked for, and how far answers are apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from problems import gaussian_data, make, problem

from harness import Problem, Stage, Trajectory, TransferData, networks

BAYES = Stage(
    data="target", richness=1.5, steps=1000, dt=0.02, decay=1.0, temperature=0.5, center=False
)
SOURCE = replace(BAYES, data="source", richness=1.2)
COLD = Stage(data="target", richness=2.0, steps=24000, dt=0.02, decay=0.5)

UNITS = 512  # the same everywhere, with the same points, so that solvers are compiled once


def single(data: TransferData | None = None) -> TransferData:
    both = data or gaussian_data()
    return TransferData(target=both.target, target_test=both.target_test)


def solved(task: Problem, **parameters: Any) -> Trajectory:
    theory = make("theory", "adaptive-kernel", **parameters)
    assert theory.supports(task) is None
    found: Trajectory = theory.predict(task)
    return found


def sampled(*stages: Stage, data: TransferData | None = None, **parameters: Any) -> Trajectory:
    task = problem(data or gaussian_data(), *stages, activation="tanh")
    return solved(task, units=UNITS, **parameters)


def norm(values: Any) -> float:
    return float(np.linalg.norm(values))


def against_networks(task: Problem, prediction: Trajectory, width: int, seeds: int) -> None:
    """Assert that networks agree with a prediction, up to the biases of steps and width."""
    runs = [t for t in networks.train(task, width, range(seeds)) if isinstance(t, Trajectory)]
    last = len(task.protocol.stages) - 1
    expected = prediction[last, "output/test"]
    outputs = np.stack([t[last, "stationary/output-test"].values[0] for t in runs])
    stderr = norm(outputs.std(axis=0, ddof=1)) / np.sqrt(seeds)
    error = np.hypot(stderr, 0.0 if expected.stderr is None else norm(expected.stderr))
    stage = task.protocol.stages[last]
    # steps shift variances by dt lambda / 2, finite width the kernel by order P / N a layer
    stiffness = stage.decay + stage.elastic
    bias = stage.step_size * stiffness / 2 + len(task.data.target) / width
    gap = norm(outputs.mean(axis=0) - expected.values[0])
    assert gap < 3 * error + bias * norm(expected.values)
