"""The control variate of a trained sample: a larger sample under its frozen error signal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from harness.numerics.mean_field.frozen_signal import Drive, drive_particles, stage_drive
from harness.numerics.mean_field.units import ParticleStage, Units, kernel_errors

Array = NDArray[Any]
Driven = tuple[Drive, Array]
"""A stage's frozen error signal, and the weights that interpolate its knots to recorded steps."""


def stage_drives(stages: Sequence[ParticleStage], signals: Sequence[Array]) -> list[Driven]:
    """Return every stage's frozen error signal; none where units cannot follow one.

    Noise moves units whatever the signal, and a block of steps must not forget more than the whole
    of the weights.

    Args:
        stages: of the problem.
        signals: `Particles.impulse` at the recorded steps of each; empty if none is known.
    """
    if not signals or any(stage.noisy for stage in stages):
        return []
    drives = []
    for stage, signal in zip(stages, signals, strict=True):
        rates, factor = stage.rates, stage.factor[: stage.train]
        drive, weights = stage_drive(signal, stage.recorded, factor, rates)
        forgotten = float(rates.dt) * float(rates.decay + rates.elastic) * drive.steps
        if (forgotten > 1.0).any():
            return []
        drives.append((drive, weights))
    return drives


def correction(
    stages: Sequence[ParticleStage],
    units: Units,
    errors: Sequence[Array],
    many: Units,
    drives: Sequence[Driven],
    activation: str,
) -> list[Float[np.ndarray, "records replicates points"]]:
    """Return the correction: the large sample's predictor minus the trained one's.

    Both samples move under the same frozen error signal.

    Args:
        stages: of the problem.
        units: the trained units.
        errors: sampling errors of their kernels, from `kernel_errors`.
        many: the large sample; its size is a multiple of theirs.
        drives: frozen error signal of every stage.
        activation: name of phi.

    Returns:
        The correction at the recorded steps of every stage, on its training and test points.
    """
    own = _driven(stages, units, errors, drives, activation)
    size = units.z.shape[1]
    parts = many.z.shape[1] // size
    sums = [np.zeros_like(f) for f in own]
    for part in range(parts):
        some = many.part(slice(part * size, (part + 1) * size))
        found = _driven(stages, some, kernel_errors(stages, some, activation), drives, activation)
        sums = [a + b for a, b in zip(sums, found, strict=True)]
    return [
        np.einsum("tk,rkp->trp", weights, total / parts - f)
        for total, f, (_, weights) in zip(sums, own, drives, strict=True)
    ]


def _driven(
    stages: Sequence[ParticleStage],
    units: Units,
    errors: Sequence[Array],
    drives: Sequence[Driven],
    activation: str,
) -> list[Array]:
    """Return the predictors at the knots, (replicates, knots, train and test)."""
    particles, found = units.particles(), []
    for index, stage in enumerate(stages):
        particles, outputs = drive_particles(
            units.at_start(particles, index, stage),
            stage.factor[: stage.looked],
            errors[index][:, : stage.looked],
            drives[index][0],
            stage.rates,
            activation=activation,
            frozen=stage.frozen,
            center=stage.center,
        )
        found.append(np.asarray(outputs, np.float64))
    return found
