"""Theories against each other and against networks, at full size: a table, printed.

The same checks are tests at small size in `tests/unit`. A row gives how far two predictors on the
test points of the last stage are apart, relative to their norm, and the combined standard error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from problems import gaussian_data, make, norm_error, problem, relative

from harness import Problem, Stage, Trajectory, networks

pytestmark = pytest.mark.benchmark

SOURCE = Stage(data="source", richness=1.2, steps=60, dt=0.03)
TARGET = Stage(data="target", richness=0.8, steps=60, dt=0.03)
DATA = gaussian_data(points=20, dimension=20)
SMALL = gaussian_data(points=6, dimension=15)
WIDTH, SEEDS = 1024, 300
"""Of deep networks: their bias, about 1 / N, is a fifth of what is left of their spread."""


def predict(name: str, task: Problem) -> Trajectory:
    """Solve with a sampling error well below 1 %."""
    found: Trajectory = make("theory", name, target_error=0.004).predict(task)
    return found


def row(name: str, one: Trajectory, other: Trajectory, stage: int) -> str:
    apart = relative(one[stage, "output/test"].values, other[stage, "output/test"].values)
    combined = np.hypot(norm_error(one, stage), norm_error(other, stage))
    return f"| {name} | {apart:.2g} | {combined:.2g} |"


def against_networks(name: str, theory: Trajectory, task: Problem) -> str:
    stage = len(task.protocol.stages) - 1
    runs = np.stack(
        [t[stage, "output/test"].values[0] for t in networks.train(task, WIDTH, range(SEEDS))]  # type: ignore[index]
    )
    prediction = theory[stage, "output/test"].values[0]
    size = np.linalg.norm(prediction)
    spread = np.linalg.norm(runs.std(axis=0, ddof=1)) / np.sqrt(SEEDS) / size
    combined = np.hypot(spread, norm_error(theory, stage))
    return f"| {name} | {relative(runs.mean(axis=0), prediction):.2g} | {combined:.2g} |"


def theories() -> Iterator[str]:
    for activation in ("relu", "tanh", "linear"):
        task = problem(DATA, SOURCE, TARGET, activation=activation)
        field, particles = (predict(t, task) for t in ("dmft", "mean-field"))
        yield row(f"`dmft` at L = 1, `mean-field`, {activation}", field, particles, 1)
    exact = make("theory", "linear-transfer").predict(task)
    yield row("`dmft`, `linear-transfer`", field, exact, 1)
    yield row("`mean-field`, `linear-transfer`", particles, exact, 1)
    for depth, activation in ((1, "tanh"), (2, "tanh"), (3, "relu")):
        lazy = [replace(stage, richness=0.01) for stage in (SOURCE, TARGET)]
        task = problem(SMALL, *lazy, activation=activation, depth=depth)
        one, other = predict("dmft", task), make("theory", "lazy-ntk").predict(task)
        yield row(f"`dmft` at gamma = 0.01, `lazy-ntk`, {activation}, L = {depth}", one, other, 1)


def deep_networks() -> Iterator[str]:
    for depth, activation, richness, stages in (
        (2, "tanh", 0.5, 1),
        (2, "tanh", 2.0, 2),
        (2, "relu", 1.0, 2),
        (3, "tanh", 2.0, 1),
        (3, "relu", 0.5, 1),
        (3, "linear", 1.0, 2),
    ):
        protocol = [replace(stage, richness=richness) for stage in (SOURCE, TARGET)][:stages]
        task = problem(SMALL, *protocol, activation=activation, depth=depth)
        name = f"`dmft`, {SEEDS} networks of width {WIDTH}, {activation}, L = {depth}"
        name += f", gamma = {richness:g}"
        name += ", two stages" if stages == 2 else ""
        yield against_networks(name, predict("dmft", task), task)


@pytest.mark.parametrize("rows", [theories, deep_networks], ids=lambda rows: rows.__name__)
def test_table(rows: Any) -> None:
    print("\n| what, against | apart | combined standard error |\n|---|---|---|")
    for line in rows():
        print(line, flush=True)
