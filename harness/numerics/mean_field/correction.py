"""The control variate of a trained sample: a larger sample under its frozen error signal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from harness.numerics.kernels.lazy import LazyKernels
from harness.numerics.mean_field.frozen_signal import FrozenSignal, follow_signal, frozen_signal
from harness.numerics.mean_field.kernel_errors import kernel_errors
from harness.numerics.mean_field.units import ParticleStage, Units

Array = NDArray[Any]
StageSignal = tuple[FrozenSignal, Array]
"""A stage's frozen error signal, and the weights that interpolate its knots to recorded steps."""


def frozen_signals(stages: Sequence[ParticleStage], signals: Sequence[Array]) -> list[StageSignal]:
    """Return every stage's frozen error signal; none where units cannot follow one.

    Noise moves units whatever the signal, linearised stages have a march of their own, and a block
    of steps must not forget more than the whole of the weights.

    Args:
        stages: of the problem.
        signals: `Particles.impulse` at the recorded steps of each; empty if none is known.
    """
    if not signals or any(stage.noisy or stage.linearised for stage in stages):
        return []
    frozen = []
    for stage, impulses in zip(stages, signals, strict=True):
        rates, factor = stage.rates, stage.factor[: stage.train]
        signal, weights = frozen_signal(impulses, stage.recorded, factor, rates)
        forgotten = float(rates.dt) * float(rates.decay + rates.elastic) * signal.steps
        if (forgotten > 1.0).any():
            return []
        frozen.append((signal, weights))
    return frozen


def correction(
    stages: Sequence[ParticleStage],
    units: Units,
    errors: Sequence[Array],
    many: Units,
    exact: Sequence[LazyKernels],
    frozen: Sequence[StageSignal],
    activation: str,
) -> list[Float[np.ndarray, "records replicates points *outputs"]]:
    """Return the correction: the large sample's predictor minus the trained one's.

    Both samples move under the same frozen error signal.

    Args:
        stages: of the problem.
        units: the trained units.
        errors: sampling errors of their kernels, from `kernel_errors`.
        many: the large sample; its size is a multiple of theirs.
        exact: initial kernels, from `exact_kernels`.
        frozen: frozen error signal of every stage.
        activation: name of phi.

    Returns:
        The correction at the recorded steps of every stage, on its training and test points.
    """
    own = _followed(stages, units, errors, frozen, activation)
    size = units.samples
    parts = many.samples // size
    sums = [np.zeros_like(f) for f in own]
    for part in range(parts):
        some = many.part(slice(part * size, (part + 1) * size))
        own_errors = kernel_errors(stages, some, exact, activation)
        found = _followed(stages, some, own_errors, frozen, activation)
        sums = [a + b for a, b in zip(sums, found, strict=True)]
    return [
        np.einsum("tk,rk...->tr...", weights, total / parts - f)
        for total, f, (_, weights) in zip(sums, own, frozen, strict=True)
    ]


def _followed(
    stages: Sequence[ParticleStage],
    units: Units,
    errors: Sequence[Array],
    frozen: Sequence[StageSignal],
    activation: str,
) -> list[Array]:
    """Return the predictors at the knots, (replicates, knots, train and test, *outputs)."""
    particles, found = units.particles(), []
    for index, stage in enumerate(stages):
        particles, outputs = follow_signal(
            units.at_start(particles, index, stage),
            stage.factor[: stage.looked],
            errors[index][:, : stage.looked],
            frozen[index][0],
            stage.rates,
            activation=activation,
            frozen=stage.frozen,
            fixed=stage.fixed,
            pooling=stage.pooling,
            center=stage.center,
        )
        found.append(np.asarray(outputs, np.float64))
    return found
