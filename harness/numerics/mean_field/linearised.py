"""Stages of richness 0: the tangent kernel of the units at the start moves the predictor.

The limit of vanishing richness leaves units as they are, and f <- f + dt K Delta with
K = <psi psi> + <g g>, g being the gradients of z psi with respect to omega; K is the kernel that
the earlier stages have learned (docs/theory.md, sections 1 and 3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from harness.numerics.kernels.activations import on_arrays
from harness.numerics.losses import error_signal
from harness.numerics.mean_field.kernel_errors import gradient_kernel
from harness.numerics.mean_field.particles import Particles
from harness.numerics.mean_field.positions import as_rows, hidden, pooled, spread
from harness.numerics.mean_field.units import ParticleStage
from harness.numerics.problem import UnitView
from harness.numerics.threads import side_by_side

Array = NDArray[Any]


def run_linearised(
    stage: ParticleStage,
    particles: Particles,
    control: Float[np.ndarray, "replicates points train"],
    activation: str,
    show: Callable[..., None],
) -> Float[np.ndarray, "records train *outputs"]:
    """Move the predictor through a stage of richness 0, and show its recorded steps.

    Args:
        stage: the stage.
        particles: units at its start, which do not move.
        control: sampling errors of the initial kernel, which are taken off that of the units.
        activation: name of phi.
        show: receives every recorded step: `Observe` without the stage's number.

    Returns:
        Integral of Delta at the recorded steps, averaged over replicates.
    """
    phi, slope = on_arrays(activation)
    factor, train = stage.factor, stage.train
    outputs = stage.y.shape[1:]

    def one(replicate: int) -> tuple[Array, Array, Array, Array]:
        own = particles.on_host(replicate)
        h = hidden(factor, own.omega)
        features = pooled(phi(h), stage.pooling)
        kernel = tangent_kernel(own.z, slope(h), features, stage)
        same = np.eye(len(kernel), dtype=kernel.dtype)
        kernel -= control[replicate][None, :, None] * same[:, None, :, None]
        moved, signals = _march(kernel, stage)
        return h, features, moved, signals

    numbers = 4 * len(as_rows(factor)) * particles.samples
    found = side_by_side(one, len(particles.z), numbers)

    for number, step in enumerate(stage.recorded.tolist()):

        def view(replicate: int, number: int = number) -> UnitView:
            h, features, moved, _ = found[replicate]
            apart = h.reshape(*factor.shape[:-1], particles.samples)
            return UnitView(moved[number], [apart], [features])

        show(step, view, len(found), numbers)
    signals = np.mean([signal for *_, signal in found], axis=0)
    return signals.reshape(len(stage.recorded), train, *outputs)


def tangent_kernel(
    z: Float[np.ndarray, "*outputs readouts"],
    slopes: Float[np.ndarray, "points hidden"],
    features: Float[np.ndarray, "points readouts"],
    stage: ParticleStage,
) -> Float[np.ndarray, "outputs points outputs train"]:
    """Return the kernel of the trained weights, between outputs on all and on training points.

    Args:
        z: readouts of the units.
        slopes: phi'(h) on all points.
        features: psi on all points.
        stage: whose trained weights and points count.
    """
    rows, train = z.reshape(-1, z.shape[-1]), stage.train
    count, units = rows.shape
    kernel = np.zeros((count, len(features), count, train), features.dtype)
    if not stage.fixed:
        of_features = features @ features[:train].T / units
        for c in range(count):
            kernel[c, :, c] += of_features
    if not stage.frozen:
        forces = [spread(row, stage.pooling) * slopes for row in rows]
        for c in range(count):
            for other in range(count):
                others = forces[other][:train]
                kernel[c, :, other] += gradient_kernel(stage.factor, forces[c], others, units)
    return kernel


def _march(
    kernel: Float[np.ndarray, "outputs points outputs train"], stage: ParticleStage
) -> tuple[Float[np.ndarray, "records points *outputs"], Float[np.ndarray, "records signals"]]:
    """Return the predictor, and the integral of Delta, at the recorded steps."""
    count, points, _, train = kernel.shape
    flat = kernel.transpose(1, 0, 3, 2).reshape(points * count, train * count)
    own, dt = flat[: train * count], float(stage.rates.dt)
    signal, found, signals = np.zeros(train * count, flat.dtype), [], []
    with np.errstate(all="ignore"):  # the observer reports divergence
        for interval in np.diff(stage.recorded, prepend=0).tolist():
            for _ in range(interval):
                output = (own @ signal).reshape(stage.y.shape)
                delta = error_signal(stage.loss, stage.y, output)
                signal = signal + (dt * delta.reshape(-1)).astype(flat.dtype)
            found.append((flat @ signal).reshape(points, *stage.y.shape[1:]))
            signals.append(signal)
    return np.stack(found), np.stack(signals)
