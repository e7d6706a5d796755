"""Sampling errors of the initial kernels, whose limits are known: the control variate of units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from harness.numerics.kernels.activations import on_arrays
from harness.numerics.kernels.lazy import LazyKernels, lazy_kernels
from harness.numerics.mean_field.particles import Particles
from harness.numerics.mean_field.positions import hidden, pooled, spread
from harness.numerics.mean_field.units import ParticleStage, Units
from harness.numerics.threads import side_by_side

GRADIENTS = 2**22
"""Most numbers of the gradients that are held at once, for units at several positions."""

Array = NDArray[Any]


def exact_kernels(stages: Sequence[ParticleStage], activation: str) -> list[LazyKernels]:
    """Return every stage's initial kernels between its points and its training points."""
    found = []
    for stage in stages:
        # lazy_kernels divides x.x' by the input dimension
        scaled = stage.factor.astype(np.float64) * np.sqrt(stage.factor.shape[-1])
        train = scaled[: stage.train]
        found.append(
            lazy_kernels(scaled, train, activation=activation, depth=1, pooling=stage.pooling)
        )
    return found


def kernel_errors(
    stages: Sequence[ParticleStage],
    units: Units,
    exact: Sequence[LazyKernels],
    activation: str,
) -> list[Array]:
    """Return the sampling errors of the kernels of lazy learning.

    Args:
        stages: of the problem.
        units: fresh draws.
        exact: from `exact_kernels`.
        activation: name of phi.

    Returns:
        For every stage, (replicates, points, train); zero from the first noisy stage on, as noise
        erases the initial draw, and with it the contribution of its error.
    """
    particles, found, noisy = units.particles(), [], False
    for index, (stage, kernels) in enumerate(zip(stages, exact, strict=True)):
        if index in units.redrawn:
            particles = particles._replace(omega=units.redrawn[index])
        of_features, of_hidden = initial_kernel_error(
            particles, stage.factor, kernels, activation=activation, pooling=stage.pooling
        )
        noisy |= stage.noisy
        parts = [] if stage.fixed else [of_features]
        parts += [] if stage.frozen or stage.readout == "zero" else [of_hidden]
        error = sum(parts[1:], parts[0]) if parts else np.zeros_like(of_features)
        found.append(np.zeros_like(error) if noisy else error)
    return found


def initial_kernel_error(
    particles: Particles,
    factor: Float[np.ndarray, "points *positions rank"],
    exact: LazyKernels,
    *,
    activation: str,
    pooling: Float[np.ndarray, "features positions"] | None = None,
) -> tuple[
    Float[np.ndarray, "replicates points train"], Float[np.ndarray, "replicates points train"]
]:
    """Return sampled minus exact initial kernels: of the features, and of the hidden weights.

    The error of the features' kernel is <psi psi> - Phi, averaged over the features of a unit. That
    of the hidden weights' kernel is <g g> - (Theta - Phi), g being the gradients of the features
    times z with respect to omega, averaged over outputs; at one position they are z phi' E. Both
    add up to the error of the neural tangent kernel. Particles must be fresh draws.

    Args:
        particles: units.
        factor: E on all points, the training points first.
        exact: kernels between all points and the training points.
        activation: name of phi.
        pooling: map from positions to a unit's features; None for all of them.
    """
    phi, slope = on_arrays(activation)
    train = exact.ntk.shape[1]
    of_features, of_hidden = exact.features[0], exact.ntk - exact.features[0]
    alone = factor.ndim == 2

    def one(replicate: int) -> tuple[Array, Array]:
        omega, z, _ = particles.replicate(replicate)
        h, units = hidden(factor, omega), z.shape[-1]
        features, slopes = pooled(phi(h), pooling), slope(h)
        feature_error = features @ features[:train].T / units - of_features
        # one readout of a unit counts by its size alone, however many outputs it has
        several = z.ndim > 1 and units > omega.shape[1]
        sizes = z if several else [z if z.ndim == 1 else np.sqrt(np.mean(z**2, axis=0))]
        each = [spread(size, pooling) * slopes for size in sizes]
        parts = [gradient_kernel(factor, forces, forces[:train], units) for forces in each]
        kernel = sum(parts[1:], parts[0]) / len(parts)
        hidden_error = kernel - of_hidden
        return feature_error.astype(factor.dtype), hidden_error.astype(factor.dtype)

    numbers = 3 * len(factor) * particles.samples
    if not alone:
        numbers = numbers * factor.shape[1] + GRADIENTS
    features, gradients = zip(*side_by_side(one, len(particles.z), numbers), strict=True)
    return np.stack(features), np.stack(gradients)


def gradient_kernel(
    factor: Float[np.ndarray, "points *positions rank"],
    forces: Float[np.ndarray, "points units"],
    others: Float[np.ndarray, "train units"],
    units: int,
) -> Float[np.ndarray, "points train"]:
    """Return sum_s G_s(x).G'_s(x') / units over samples s, with G_s(x) = sum_p E(x_p) force_s(x_p).

    Args:
        factor: E on all points, the training points first.
        forces: on all points, (position, sample) in the last axis.
        others: those of G' on the training points.
        units: number by which the sum is divided.
    """
    train = len(others)
    if factor.ndim == 2:
        return forces @ others.T / units * (factor @ factor[:train].T)
    points, positions, rank = factor.shape
    left, right = (f.reshape(len(f), positions, -1) for f in (forces, others))
    size = max(1, GRADIENTS // (points * rank))
    total = np.zeros((points, train), factor.dtype)
    for first in range(0, left.shape[-1], size):
        taken = slice(first, first + size)
        rows = (factor.swapaxes(1, 2) @ left[..., taken]).reshape(points, -1)
        columns = (factor[:train].swapaxes(1, 2) @ right[..., taken]).reshape(train, -1)
        total += rows @ columns.T
    return total / units
