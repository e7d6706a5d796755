"""Cost of the two-layer theory beside networks and a public solver: printed, never asserted.

Run with `make bench`. Brute force is the ensemble of networks, at its best width, that knows the
predictor on the test points to the theory's standard error. The public solver takes plain draws,
so that it is a network of that many units: its error follows from the spread of networks.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np
import pytest
from brute_force import ensembles, print_ratio, seconds
from problems import gaussian_data, make, norm_error, problem

from harness import Dataset, Problem, Protocol, Stage, TransferData
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


def photographs(points: int) -> TransferData:
    """Return images 32 x 32 x 3 with amplitudes of 1 / frequency, labelled by two regions."""
    rng = np.random.default_rng(0)
    across, down = np.meshgrid(np.fft.fftfreq(32), np.fft.fftfreq(32))
    frequency = (np.hypot(across, down) + 1 / 32)[:, :, None]
    sets: Any = {}
    for name in ("source", "source_test", "target", "target_test"):
        waves = np.fft.fft2(rng.standard_normal((points, 32, 32, 3)), axes=(1, 2)) / frequency
        x = np.fft.ifft2(waves, axes=(1, 2)).real
        region = x[:, :16] if name.startswith("source") else x[:, 8:24, 8:24]
        sets[name] = Dataset(x / x.std(), np.sign(region.mean(axis=(1, 2)) @ [1.0, 0.5, 0.0]))
    return TransferData(**sets)


def test_patches_of_images() -> None:
    source = Stage(data="source", richness=1.0, steps=200, dt=0.012)
    target = Stage(data="target", richness=1.0, steps=200, dt=0.012)
    architecture = make("architecture", "conv", patch=8)
    task = Problem(photographs(100), architecture, Protocol((source, target)))
    wall, busy = time.perf_counter(), time.process_time()
    found = make("theory", "mean-field", target_error=0.01).predict(task)
    wall, busy = time.perf_counter() - wall, time.process_time() - busy
    print(
        f"\n100 + 100 images 32 x 32 x 3, 16 patches, 200 + 200 steps: {wall:.0f} s with"
        f" compilation, {busy:.0f} CPU s, error {norm_error(found, 1):.2%},"
        f" {found.notes['samples']} samples"
    )
