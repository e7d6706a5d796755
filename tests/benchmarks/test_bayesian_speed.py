"""Cost of the Bayesian fixed point beside particles and networks: printed, never asserted.

Run with `make bench`. The case is tanh, D = 10, P = 12, gamma 1.5, lambda 1, T 0.5.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from brute_force import ensembles, print_ratio, seconds
from problems import make, problem, relative

from harness import Dataset, Stage, TransferData

pytestmark = pytest.mark.benchmark

STAGE = Stage(
    data="target", richness=1.5, steps=2000, dt=0.02, decay=1.0, temperature=0.5, center=False
)
WIDTHS = (128, 512, 2048)
PUBLISHED = 74_000.0
"""Seconds of the public research code on this case, which did not converge."""


def bayesian_case() -> TransferData:
    x = np.random.default_rng(0).standard_normal((32, 10))
    y = np.sign(x[:, 0] + 0.5 * x[:, 1])
    return TransferData(target=Dataset(x[:12], y[:12]), target_test=Dataset(x[12:], y[12:]))


def test_bayesian_fixed_point_against_particles_and_networks() -> None:
    task = problem(bayesian_case(), STAGE, activation="tanh")
    name = "stationary/output-test"
    exact = make("theory", "adaptive-kernel", target_error=2e-4).predict(task)
    print()
    found = ensembles(task, exact, 0, name, WIDTHS)
    for target in (0.01, 0.005, 0.001):
        solver = make("theory", "adaptive-kernel", target_error=target)
        cost = seconds(partial(solver.predict, task))
        output = solver.predict(task)[0, name]
        error = float(np.linalg.norm(output.stderr) / np.linalg.norm(output.values))
        print(
            f"adaptive-kernel to {target:.1%}: {cost:.2f} s, standard error {error:.2%};"
            f" {PUBLISHED / cost:.0f} times as fast as published"
        )
        print_ratio(found, error, cost)
    particles = make("theory", "mean-field", samples=8192)
    cost = seconds(lambda: particles.predict(task), 1)
    other = particles.predict(task)[0, name]
    error = float(np.linalg.norm(other.stderr) / np.linalg.norm(other.values))
    apart = relative(other.values, exact[0, name].values)
    print(f"noisy particles: {cost:.1f} s, standard error {error:.2%}, {apart:.2%} apart")
