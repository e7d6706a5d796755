"""Observables of one recorded step: losses, the kernel's alignment, the source probe."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve
from jaxtyping import Array, Float

from harness.observables.sets import Sets

PROBE_RIDGE = 1e-2
"""Ridge of the source probe, as a fraction of the mean diagonal of the feature kernel."""

KernelBlock = Callable[[slice, slice], Float[Array, "rows columns"]]


def feature_kernel(
    rows: Float[Array, "rows units"], columns: Float[Array, "columns units"]
) -> Float[Array, "rows columns"]:
    """Return Phi = <phi phi>, the average over units (or samples) of products of features."""
    return rows @ columns.T / rows.shape[1]


def mean_squared_error(output: Float[Array, " points"], y: Float[Array, " points"]) -> Array:
    """Return the mean over points of (y - f)^2."""
    return jnp.mean((y - output) ** 2)


def kernel_alignment(kernel: Float[Array, "points points"], y: Float[Array, " points"]) -> Array:
    """Return <Phi, y y^T> / (|Phi| |y y^T|), the cosine of kernel and labels; 0 if one is zero."""
    size = jnp.linalg.norm(kernel) * (y @ y)
    return jnp.where(size > 0, y @ kernel @ y / jnp.where(size > 0, size, 1.0), 0.0)


def probe_loss(
    train: Float[Array, "source source"],
    cross: Float[Array, "source_test source"],
    y: Float[Array, " source"],
    y_test: Float[Array, " source_test"],
) -> Array:
    """Return the source test loss of the kernel predictor of the current features.

    The predictor is Phi(x, X) (Phi(X, X) + rho I)^{-1} y on the source training set, with rho =
    `PROBE_RIDGE` times the mean diagonal of Phi: what a readout could still say of the source.
    """
    ridge = PROBE_RIDGE * jnp.trace(train) / len(train)
    factor = jnp.linalg.cholesky(train + ridge * jnp.eye(len(train), dtype=train.dtype))
    weights = cho_solve((factor, True), y)
    return mean_squared_error(cross @ weights, y_test)


def curves(
    sets: Sets,
    y: Float[Array, " points"],
    output: Float[Array, " points"],
    kernel: KernelBlock,
) -> dict[str, Float[Array, ""]]:
    """Return the observables of one recorded step.

    Args:
        sets: where the stage's sets lie.
        y: labels of all points.
        output: centred predictor; only the stage's own sets are looked at.
        kernel: blocks of the last layer's feature kernel, by slices of points.
    """
    train, test = slice(*sets.train), slice(*sets.test)
    values = {
        "loss/train": mean_squared_error(output[train], y[train]),
        "loss/test": mean_squared_error(output[test], y[test]),
        "kernel/alignment": kernel_alignment(kernel(train, train), y[train]),
    }
    if sets.probe is not None:
        source, held_out = (slice(*bounds) for bounds in sets.probe)
        values["probe/source-loss"] = probe_loss(
            kernel(source, source), kernel(held_out, source), y[source], y[held_out]
        )
    return values


@partial(jax.jit, static_argnames=("sets",))
def recorded_curves(
    sets: Sets,
    y: Float[Array, " points"],
    outputs: Float[Array, "records points"],
    kernels: Float[Array, "*records points points"],
) -> dict[str, Float[Array, " records"]]:
    """Return `curves` at every recorded step.

    Args:
        sets: where the stage's sets lie.
        y: labels of all points.
        outputs: centred predictor at recorded steps.
        kernels: the last layer's feature kernel at each of them, or one that all share.
    """
    along = 0 if kernels.ndim == 3 else None
    return jax.vmap(lambda f, k: curves(sets, y, f, lambda a, b: k[a, b]), (0, along))(
        outputs, kernels
    )


def unit_curves(
    sets: Sets,
    y: Float[Array, " points"],
    output: Float[Array, " points"],
    features: Float[Array, "points units"],
) -> dict[str, Float[Array, ""]]:
    """Return `curves` for a solver made of hidden units, from their last-layer features."""
    return curves(sets, y, output, lambda a, b: feature_kernel(features[a], features[b]))


@partial(jax.jit, static_argnames=("sets", "evaluate"))
def replicate_curves(
    sets: Sets,
    y: Float[Array, " points"],
    evaluate: Callable[..., tuple[Array, Array, Array]],
    replicates: tuple[Any, ...],
    shared: tuple[Any, ...],
) -> dict[str, Float[Array, " replicates"]]:
    """Return `unit_curves` of every replicate of a two-layer solver, one at a time.

    Args:
        sets: where the stage's sets lie.
        y: labels of all points.
        evaluate: returns f (points,), h and phi(h), both (points, units), of one replicate.
        replicates: its arguments that each replicate has for itself, along their first axis.
        shared: its other arguments.
    """

    def one(entry: tuple[Any, ...]) -> dict[str, Array]:
        output, _, features = evaluate(*entry, *shared)
        return unit_curves(sets, y, output, features)

    return jax.lax.map(one, replicates)
