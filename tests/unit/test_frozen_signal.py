"""Units driven by a given error signal, against the training that the signal comes from."""

from __future__ import annotations

import numpy as np
import pytest
from problems import relative

from harness import numerics, recorded_steps
from harness.numerics.mean_field import frozen_signal


def trained(
    steps: int, activation: str, frozen: bool, decay: float, elastic: float
) -> tuple[numerics.Particles, numerics.Particles, np.ndarray, np.ndarray, numerics.StageRates]:
    """Return units before and after training, E, the impulses at recorded steps, the rates."""
    rng = np.random.default_rng(0)
    factor, y = rng.standard_normal((9, 4)) / 2.0, np.sign(rng.standard_normal(6))
    omega, z = numerics.antithetic_gaussian(512, 4, (0,))
    start = numerics.Particles(omega.T[None], z.T, np.zeros((1, len(y))))
    rates = numerics.StageRates(*(np.float64(r) for r in (1.5, 6.0 / steps, decay, elastic, 0.0)))
    nothing = np.zeros((1, len(factor)))
    frame = numerics.ParticleFrame(
        factor,
        nothing,
        nothing,
        np.zeros((1, len(factor), len(y))),
        start.omega if elastic > 0 else None,
    )
    particles, totals = start, []
    records = recorded_steps(steps)
    for count in np.diff(records, prepend=0):
        particles = numerics.advance_particles(
            particles, frame, y, rates, None, int(count), activation=activation, frozen=frozen
        )
        totals.append(particles.impulse[0])
    return start, particles, factor, np.stack(totals), rates


def follow(
    start: numerics.Particles,
    factor: np.ndarray,
    signal: numerics.FrozenSignal,
    rates: numerics.StageRates,
    activation: str,
    frozen: bool,
) -> tuple[numerics.Particles, np.ndarray]:
    """Return driven units and their centred predictor at the knots, without a control variate."""
    control = np.zeros((1, len(factor), signal.impulse.shape[1]))
    units, outputs = numerics.follow_signal(
        start,
        factor,
        control,
        signal,
        rates,
        activation=activation,
        frozen=frozen,
        center=True,
    )
    return units, np.asarray(outputs)


@pytest.mark.parametrize("options", [(False, 0.0, 0.0), (True, 0.3, 0.0), (False, 0.2, 0.4)])
def test_a_block_for_every_step_is_training(options: tuple[bool, float, float]) -> None:
    start, end, factor, totals, rates = trained(30, "tanh", *options)
    signal, weights = numerics.frozen_signal(
        totals, recorded_steps(30), factor[:6], rates, blocks=10_000
    )
    assert np.array_equal(weights, np.eye(31))
    driven, outputs = follow(start, factor, signal, rates, "tanh", options[0])
    assert relative(driven.omega, end.omega) < 1e-12
    assert relative(driven.z, end.z) < 1e-12
    final = np.tanh(factor @ np.asarray(end.omega[0])) @ np.asarray(end.z[0]) / (1.5 * 512)
    assert outputs[0, 0] == pytest.approx(0.0)
    assert outputs[0, -1] == pytest.approx(final, abs=1e-12)


@pytest.mark.parametrize(("activation", "order"), [("tanh", 2), ("relu", 1)])
def test_few_blocks_follow_many_steps(activation: str, order: int) -> None:
    """Blocks leave a part of the units' motion that falls with the order of Heun's method.

    It is two where phi is smooth. A unit that crosses the kink of ReLU within a block has the
    wrong slope for a part of it, which costs an order.
    """
    steps = 400
    start, end, factor, totals, rates = trained(steps, activation, False, 0.1, 0.0)
    moved = np.linalg.norm(np.asarray(end.omega - start.omega))
    counts, left = [], []
    for blocks in (6, frozen_signal.BLOCKS, 24):
        signal, weights = numerics.frozen_signal(
            totals, recorded_steps(steps), factor[:6], rates, blocks=blocks
        )
        assert blocks <= len(signal.steps) <= blocks + 2
        assert np.asarray(signal.steps).sum() == steps
        assert weights.sum(axis=1) == pytest.approx(1.0)
        driven, _ = follow(start, factor, signal, rates, activation, False)
        counts.append(len(signal.steps))
        left.append(np.linalg.norm(np.asarray(driven.omega - end.omega)) / moved)
    # nearer to this order than to the next lower one
    assert np.log(left[0] / left[2]) / np.log(counts[2] / counts[0]) > order - 0.5
    # 1.6 sqrt(steps) units are driven for each that is trained (docs/theory.md, section 3): less
    # than half the error of so many adds less than an eighth to it
    assert left[1] < 0.5 / np.sqrt(1.6 * np.sqrt(steps))


def test_without_steps_there_is_nothing_to_drive() -> None:
    rates = numerics.StageRates(*(np.float64(r) for r in (1.0, 0.1, 0.0, 0.0, 0.0)))
    signal, weights = numerics.frozen_signal(
        np.zeros((1, 3)), recorded_steps(0), np.ones((3, 2)), rates
    )
    assert signal.impulse.shape == (0, 3)
    assert np.array_equal(weights, [[1.0]])
