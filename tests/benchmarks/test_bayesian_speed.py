"""Cost of the Bayesian fixed point beside particles and networks: printed, never asserted.

Run with `make bench`. The case is tanh, D = 10, P = 12, gamma 1.5, lambda 1, T 0.5.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from problems import make, problem, relative

from harness import Dataset, Stage, Trajectory, TransferData, networks

pytestmark = pytest.mark.benchmark

STAGE = Stage(
    data="target", richness=1.5, steps=2000, dt=0.02, decay=1.0, temperature=0.5, center=False
)
WIDTH, SEEDS = 2048, 4


def bayesian_case() -> TransferData:
    x = np.random.default_rng(0).standard_normal((32, 10))
    y = np.sign(x[:, 0] + 0.5 * x[:, 1])
    return TransferData(target=Dataset(x[:12], y[:12]), target_test=Dataset(x[12:], y[12:]))


def timed(run: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return a result, and the seconds of the first call and of one that compiles nothing."""
    taken = []
    for _ in range(2):
        start = time.perf_counter()
        found = run()
        taken.append(time.perf_counter() - start)
    return found, taken[0], taken[1]


def test_bayesian_fixed_point_against_particles_and_networks() -> None:
    task = problem(bayesian_case(), STAGE, activation="tanh")
    solvers: dict[str, Callable[[], Any]] = {
        "adaptive-kernel": lambda: make("theory", "adaptive-kernel").predict(task),
        "noisy particles": lambda: make("theory", "mean-field", samples=8192).predict(task),
        f"{SEEDS} networks of width {WIDTH}": lambda: networks.train(task, WIDTH, range(SEEDS)),
    }
    costs, outputs = {}, {}
    print()
    for name, run in solvers.items():
        found, first, again = timed(run)
        if isinstance(found, Trajectory):
            average = found[0, "stationary/output-test"]
            output, stderr = average.values[0], np.asarray(average.stderr)[0]
        else:
            runs = np.stack([t[0, "stationary/output-test"].values[0] for t in found])
            output, stderr = runs.mean(axis=0), runs.std(axis=0, ddof=1) / np.sqrt(SEEDS)
        error = float(np.linalg.norm(stderr) / np.linalg.norm(output))
        # errors fall as the square root of the work
        costs[name], outputs[name] = again * (error / 0.001) ** 2, output
        print(
            f"{name}: {first:.1f} s with compilation, {again:.2f} s after; standard error"
            f" {error:.2%}; {costs[name]:.1f} s for 0.1 %"
        )
    theory = "adaptive-kernel"
    for name, cost in costs.items():
        if name != theory:
            print(
                f"{name}: {cost / costs[theory]:.0f} times the cost of {theory} for the"
                f" same error; predictors {relative(outputs[name], outputs[theory]):.2%} apart"
            )
