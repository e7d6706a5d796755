"""Cost of the two-layer theory beside networks and a public solver: printed, never asserted.

Run with `make bench`. Brute force is the ensemble of networks, at its best width, that knows the
predictor on the test points to the theory's standard error. The public solver takes plain draws,
so that it is a network of that many units: its error follows from the spread of networks.
"""

from __future__ import annotations

from functools import partial

import pytest
from brute_force import ensembles, print_ratio, seconds
from problems import gaussian_data, make, norm_error, problem

from harness import Problem, Stage
from harness.numerics.mean_field import frozen_signal

pytestmark = pytest.mark.benchmark

PUBLISHED_SAMPLES = 10_000
PUBLISHED_SECONDS = 0.035
"""Of a step: ReLU with decay, 100 + 100 points, one core of a machine of this kind."""


def transfer(activation: str, points: int, steps: int, dt: float, decay: float = 0.0) -> Problem:
    source, target = (
        Stage(data=data, richness=1.0, steps=steps, dt=dt, decay=decay)
        for data in ("source", "target")
    )
    data = gaussian_data(points=points, dimension=20)
    return problem(data, source, target, activation=activation)


@pytest.mark.parametrize(
    ("activation", "points", "steps", "dt"),
    [
        ("tanh", 5, 200, 0.1),
        ("tanh", 30, 200, 0.02),
        ("tanh", 30, 2000, 0.002),
        ("relu", 30, 200, 0.02),
    ],
)
def test_beside_brute_force(activation: str, points: int, steps: int, dt: float) -> None:
    task = transfer(activation, points, steps, dt)
    print(f"\n{activation}, P={points}+{points}, {steps}+{steps} steps")
    known = []
    for target in (0.001, 0.0025, 0.01):
        solver = make("theory", "mean-field", target_error=target)
        found = solver.predict(task)
        known.append((found, seconds(partial(solver.predict, task), 2)))
    measured = ensembles(task, known[0][0], 1, "output/test", (128, 512, 1024, 4096))
    for found, cost in known:
        error = norm_error(found, 1)
        print(
            f"  mean-field {cost:.2f} s, standard error {error:.2%},"
            f" {found.notes['samples']} samples"
        )
        print_ratio(measured, error, cost)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_blocks_of_driven_samples(activation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    task = transfer(activation, 30, 200, 0.02)
    few = make("theory", "mean-field", samples=8192).predict(task)
    print(f"\n{activation}, P=30+30: 8192 trained samples, error {norm_error(few, 1):.2%}")
    solver = make("theory", "mean-field", target_error=0.004)
    for blocks in (4, 8, 12, 24):
        monkeypatch.setattr(frozen_signal, "BLOCKS", blocks)
        found = solver.predict(task)
        print(
            f"  {blocks} blocks: {found.notes['samples']} driven, error {norm_error(found, 1):.2%},"
            f" {seconds(lambda: solver.predict(task), 2):.2f} s"
        )


def test_beside_a_public_solver() -> None:
    steps, samples, width = 100, 8192, 2048
    task = transfer("relu", 100, steps, 0.01, decay=0.1)
    solver = make("theory", "mean-field", samples=samples)
    found = solver.predict(task)
    error, step = norm_error(found, 1), seconds(lambda: solver.predict(task), 2) / (2 * steps)
    (network,) = ensembles(task, found, 1, "output/test", (width,))
    plain = network.spread * (width / PUBLISHED_SAMPLES) ** 0.5
    ratio = PUBLISHED_SECONDS / step * (plain / error) ** 2
    print(
        f"\nrelu with decay, P=100+100: {1e3 * step:.1f} ms a step with {samples} samples, recorded"
        f" steps included, error {error:.2%}; published {1e3 * PUBLISHED_SECONDS:.0f} ms with"
        f" {PUBLISHED_SAMPLES} plain ones, error {plain:.2%}: {ratio:.0f} times for the same error"
    )
