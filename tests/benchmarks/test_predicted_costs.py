"""What theories say they take beside what they took: printed, never asserted.

Run with `make bench`. The first prediction is from counts alone, the second from the cases of the
same theory before it, as a machine's history would have them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from brute_force import seconds
from problems import gaussian_data, make, problem

from harness import Problem, ProblemSize, Stage
from harness.execution.cost.estimates import Estimates
from harness.execution.cost.history import Finished

pytestmark = pytest.mark.benchmark

RICH = Stage(data="source", richness=1.0, steps=200, dt=0.05)
FROZEN = Stage(
    data="target", richness=1.0, steps=200, dt=0.05, readout="reset", trainable="readout"
)
SHORT = Stage(data="target", richness=1.0, steps=60, dt=0.05)
NOISY = Stage(
    data="target", richness=1.0, steps=2000, dt=0.02, decay=1.0, temperature=0.5, center=False
)
COUPLED = replace(NOISY, elastic=1.0)


@pytest.fixture(scope="module")
def history() -> list[Finished]:
    return []


@pytest.mark.parametrize(
    ("theory", "dimension", "points", "activation", "depth", "stages", "parameters"),
    [
        ("mean-field", 64, 60, "relu", 1, [RICH, FROZEN], {"samples": 8192}),
        ("mean-field", 30, 60, "linear", 1, [RICH, FROZEN], {"samples": 8192}),
        ("mean-field", 10, 60, "relu", 1, [RICH], {"samples": 8192}),
        ("lazy-ntk", 64, 60, "relu", 1, [RICH, FROZEN], {}),
        ("linear-transfer", 30, 60, "linear", 1, [RICH, FROZEN], {}),
        ("dmft", 10, 5, "tanh", 1, [SHORT], {"samples": 2048}),
        ("dmft", 10, 5, "tanh", 2, [SHORT], {"samples": 2048}),
        ("dmft", 10, 10, "tanh", 2, [SHORT], {"samples": 2048}),
        ("dmft", 10, 20, "tanh", 2, [SHORT], {"samples": 2048}),
        ("dmft", 10, 5, "tanh", 3, [SHORT], {"samples": 2048}),
        ("dmft", 10, 5, "relu", 2, [SHORT], {"samples": 2048}),
        ("dmft", 10, 20, "linear", 4, [SHORT], {}),
        ("adaptive-kernel", 20, 12, "tanh", 1, [NOISY], {"units": 512}),
        ("adaptive-kernel", 20, 40, "tanh", 1, [NOISY], {"units": 512}),
        ("adaptive-kernel", 20, 12, "relu", 1, [NOISY], {"units": 2048}),
        ("adaptive-kernel", 20, 12, "tanh", 1, [COUPLED], {"units": 512}),
        ("adaptive-kernel", 20, 6, "tanh", 2, [NOISY], {"units": 512}),
        ("adaptive-kernel", 20, 20, "tanh", 2, [NOISY], {"units": 512}),
        ("adaptive-kernel", 20, 8, "tanh", 3, [NOISY], {"units": 512}),
    ],
)
def test_predicted_cost_beside_measured(
    history: list[Finished],
    theory: str,
    dimension: int,
    points: int,
    activation: str,
    depth: int,
    stages: Sequence[Stage],
    parameters: dict[str, Any],
) -> None:
    data = gaussian_data(dimension=dimension, points=points)
    task: Problem = problem(data, *stages, activation=activation, depth=depth)
    solver = make("theory", theory, **parameters)
    solver.predict(task)
    taken = seconds(lambda: solver.predict(task), 1)
    work = solver.cost(ProblemSize.of(task))
    counted = Estimates().cost(theory, work).seconds
    learnt = Estimates(history).cost(theory, work).seconds
    assert counted is not None
    assert learnt is not None
    history.append(Finished(theory, 1, counted, taken, 0.0, 0, 0))
    print(
        f"\n{theory}, {activation}, L = {depth}, P = {points}, D = {dimension}: {taken:.3f} s;"
        f" {counted / taken:.2f} of that from counts, {learnt / taken:.2f} from those before"
    )
