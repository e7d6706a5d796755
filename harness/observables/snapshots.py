"""What is kept at the end of a stage: predictor, kernels, laws of pre-activations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtri
from jaxtyping import Array, Float
from numpy.typing import NDArray

from harness.observables.recorded import feature_kernel
from harness.observables.sets import Sets

DENSITY_EDGES = np.linspace(-6.0, 6.0, 121)
"""Bin edges of pre-activation densities; what lies outside counts in the outermost bins."""


def unit_snapshot(
    sets: Sets,
    y: Float[Array, " points"],
    output: Float[Array, " points"],
    preactivations: Sequence[Float[Array, "points units"]],
    features: Sequence[Float[Array, "points units"]],
) -> dict[str, Array]:
    """Return what is kept at the end of a stage by a solver made of hidden units.

    Returns:
        ``output/test`` (test points,), ``kernel/feature`` (L, points kept, points kept), and what
        `preactivation_laws` tells of the stage's training points.
    """
    kept, train = sets.kept, slice(*sets.train)
    return {
        "output/test": output[slice(*sets.test)],
        "kernel/feature": jnp.stack([feature_kernel(phi[kept], phi[kept]) for phi in features]),
        **preactivation_laws([h[train] for h in preactivations], y[train]),
    }


@jax.jit
def preactivation_laws(
    preactivations: Sequence[Float[Array, "points units"]],
    y: Float[Array, " points"] | Float[np.ndarray, " points"],
) -> dict[str, Array]:
    """Return how the pre-activations of every layer are distributed over units.

    Args:
        preactivations: h of each layer on a training set.
        y: its labels.

    Returns:
        ``preactivation/density`` (L, bins), over points and units. Of the projection h.y of each
        unit on the labels, standardised over units: ``preactivation/excess-kurtosis`` (L,), its
        fourth moment less 3, and ``preactivation/wasserstein`` (L,), its 1-Wasserstein distance
        from a standard Gaussian. Both vanish for Gaussian pre-activations, whatever their
        covariance over points; n units drawn from a Gaussian give distances of about 1 / sqrt(n).
    """
    labels = jnp.asarray(y)
    projections = [_standardised(labels @ h) for h in preactivations]
    return {
        "preactivation/density": jnp.stack([preactivation_density(h) for h in preactivations]),
        "preactivation/excess-kurtosis": jnp.stack([jnp.mean(s**4) - 3.0 for s in projections]),
        "preactivation/wasserstein": jnp.stack([_from_gaussian(s) for s in projections]),
    }


@jax.jit
def replicate_laws(
    preactivations: Sequence[Float[Array, "replicates points units"]],
    y: Float[Array, " points"],
) -> dict[str, Float[Array, "replicates ..."]]:
    """Return `preactivation_laws` of every replicate."""
    return jax.vmap(preactivation_laws, (0, None))(preactivations, y)


def _standardised(values: Float[Array, " units"]) -> Float[Array, " units"]:
    """Return values with mean 0 and variance 1; Gaussian quantiles if all are equal."""
    centred = values - values.mean()
    spread = jnp.sqrt(jnp.mean(centred**2))
    scale = jnp.max(jnp.abs(values))
    tiny = spread <= 100 * np.finfo(values.dtype).eps * scale
    gaussian = _gaussian_quantiles(len(values), values.dtype)
    return jnp.where(
        tiny, gaussian / jnp.sqrt(jnp.mean(gaussian**2)), centred / jnp.where(tiny, 1.0, spread)
    )


def _from_gaussian(values: Float[Array, " units"]) -> Float[Array, ""]:
    """Return the 1-Wasserstein distance of standardised values from N(0, 1)."""
    return jnp.mean(jnp.abs(jnp.sort(values) - _gaussian_quantiles(len(values), values.dtype)))


def _gaussian_quantiles(count: int, dtype: Any) -> Float[Array, " units"]:
    """Return the quantiles of N(0, 1) at (i + 1/2) / count."""
    return ndtri((jnp.arange(count) + 0.5) / count).astype(dtype)


def preactivation_density(h: Float[Array, "points units"]) -> Float[Array, " bins"]:
    """Return the density of pre-activations over points and units, in bins of `DENSITY_EDGES`."""
    edges = jnp.asarray(DENSITY_EDGES, dtype=h.dtype)
    inside = jnp.clip(h.ravel(), edges[0], edges[-1])
    return jnp.histogram(inside, bins=edges, density=True)[0]


@partial(jax.jit, static_argnames=("sets", "evaluate"))
def replicate_snapshots(
    sets: Sets,
    y: Float[Array, " points"],
    evaluate: Callable[..., tuple[Array, Array, Array]],
    replicates: tuple[Any, ...],
    shared: tuple[Any, ...],
) -> dict[str, Float[Array, "replicates ..."]]:
    """Return `unit_snapshot` of every replicate: see `replicate_curves`."""

    def one(entry: tuple[Any, ...]) -> dict[str, Array]:
        output, h, features = evaluate(*entry, *shared)
        return unit_snapshot(sets, y, output, (h,), (features,))

    return jax.lax.map(one, replicates)


def gaussian_snapshot(
    sets: Sets,
    output: Float[np.ndarray, " points"],
    variances: Float[np.ndarray, "layers points"],
    kernels: Float[np.ndarray, "layers points points"],
) -> dict[str, NDArray[Any]]:
    """Return the same as `unit_snapshot` for Gaussian pre-activations of known variance."""
    from scipy.special import ndtr

    kept = sets.kept
    edges = DENSITY_EDGES.copy()
    edges[[0, -1]] = -np.inf, np.inf
    # a point without variance, such as a zero input, has all its mass around zero
    spread = np.sqrt(np.maximum(variances, np.finfo(np.float64).tiny))
    mass = np.diff(ndtr(edges / spread[:, slice(*sets.train), None]), axis=-1)
    return {
        "output/test": np.asarray(output[slice(*sets.test)]),
        "kernel/feature": np.asarray(kernels[:, kept][:, :, kept]),
        "preactivation/density": mass.mean(axis=1) / np.diff(DENSITY_EDGES),
        "preactivation/excess-kurtosis": np.zeros(len(variances)),
        "preactivation/wasserstein": np.zeros(len(variances)),
    }
