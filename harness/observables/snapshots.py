"""Snapshots at the end of a stage: predictor, kernels, laws of pre-activations.

All code is NumPy, which needs no compiled program for each shape; JAX arrays are accepted too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import DTypeLike, NDArray
from scipy.special import ndtr, ndtri

from harness.observables.points import Labels, Sets
from harness.observables.recorded import AnyArray, feature_kernel, observing, stacked

DENSITY_EDGES = np.linspace(-6.0, 6.0, 121)
"""Bin edges of pre-activation densities; values outside count in the outermost bins."""


def unit_snapshot(
    sets: Sets,
    labels: Labels,
    output: AnyArray,
    preactivations: Sequence[AnyArray],
    features: Sequence[AnyArray],
) -> dict[str, NDArray[Any]]:
    """Return the snapshot at the end of a stage for a solver made of hidden units.

    Args:
        sets: positions of the stage's sets.
        labels: labels of the stage's sets.
        output: centred predictor, (points,) or (points, outputs).
        preactivations: of each layer, (points, units), or (points, positions, units).
        features: of each layer, (points, units).

    Returns:
        ``output/test`` (test points x outputs,), point after point; ``kernel/feature`` (L, points
        kept, points kept), and the `preactivation_laws` on the stage's training points.
    """
    train, kept = slice(*sets.train), [np.asarray(phi)[sets.kept] for phi in features]
    return {
        "output/test": np.asarray(output)[slice(*sets.test)].reshape(-1),
        "kernel/feature": np.stack([feature_kernel(phi, phi) for phi in kept]),
        **preactivation_laws([h[train] for h in preactivations], labels.train),
    }


def preactivation_laws(preactivations: Sequence[AnyArray], y: AnyArray) -> dict[str, NDArray[Any]]:
    """Return the distribution of every layer's pre-activations over units.

    Args:
        preactivations: h of each layer on a training set, (points, units), or (points, positions,
            units).
        y: its labels, (points,) or (points, outputs).

    Returns:
        ``preactivation/density`` (L, bins), over points, positions and units. For the projection
        h.y of each unit on the labels, standardised over units: ``preactivation/excess-kurtosis``
        (L,), its fourth moment minus 3, and ``preactivation/wasserstein`` (L,), its 1-Wasserstein
        distance from a standard Gaussian; both averaged over outputs and positions. Both vanish for
        Gaussian pre-activations, whatever their covariance over points; n units drawn from a
        Gaussian give distances of about 1 / sqrt(n).
    """
    layers, labels = [np.asarray(h) for h in preactivations], np.asarray(y)
    outputs = [labels] if labels.ndim == 1 else list(labels.T)
    projections = [
        [_standardised(along @ h[:, p]) for along in outputs for p in _positions(h)] for h in layers
    ]

    def over_layers(law: Callable[[NDArray[Any]], Any]) -> NDArray[Any]:
        return np.stack([np.mean([law(s) for s in own], axis=0) for own in projections])

    return {
        "preactivation/density": np.stack([preactivation_density(h) for h in layers]),
        "preactivation/excess-kurtosis": over_layers(lambda s: np.mean(s**4) - 3.0),
        "preactivation/wasserstein": over_layers(_from_gaussian),
    }


def replicate_laws(
    preactivations: Sequence[AnyArray], y: AnyArray
) -> dict[str, Float[np.ndarray, "replicates ..."]]:
    """Return `preactivation_laws` of every replicate.

    Args:
        preactivations: h of each layer on a training set, (replicates, points, units).
        y: its labels, (points,) or (points, outputs).
    """
    layers = [np.asarray(h) for h in preactivations]
    with observing():
        return stacked(
            [preactivation_laws([h[r] for h in layers], y) for r in range(len(layers[0]))]
        )


def _positions(h: NDArray[Any]) -> list[Any]:
    """Return indices of the positions of pre-activations, after that of points."""
    return [slice(None)] if h.ndim == 2 else list(range(h.shape[1]))


def _standardised(values: Float[np.ndarray, " units"]) -> Float[np.ndarray, " units"]:
    """Return values with mean 0 and variance 1; Gaussian quantiles if all are equal."""
    centred = values - values.mean()
    spread = np.sqrt(np.mean(centred**2))
    if spread <= 100 * np.finfo(values.dtype).eps * np.max(np.abs(values)):
        gaussian = _gaussian_quantiles(len(values), values.dtype)
        return gaussian / np.sqrt(np.mean(gaussian**2))
    return centred / spread


def _from_gaussian(values: Float[np.ndarray, " units"]) -> np.floating[Any]:
    """Return the 1-Wasserstein distance of standardised values from N(0, 1)."""
    return np.mean(np.abs(np.sort(values) - _gaussian_quantiles(len(values), values.dtype)))


def _gaussian_quantiles(count: int, dtype: DTypeLike) -> Float[np.ndarray, " units"]:
    """Return the quantiles of N(0, 1) at (i + 1/2) / count."""
    return ndtri((np.arange(count) + 0.5) / count).astype(dtype)


def preactivation_density(h: AnyArray) -> Float[np.ndarray, " bins"]:
    """Return the density of pre-activations over points and units, in bins of `DENSITY_EDGES`.

    Args:
        h: pre-activations, (points, units), or (points, positions, units).
    """
    first, last = DENSITY_EDGES[[0, -1]]
    inside = np.clip(np.asarray(h).ravel(), first, last)
    bins = len(DENSITY_EDGES) - 1
    return np.histogram(inside, bins, (first, last), density=True)[0]


def gaussian_snapshot(
    sets: Sets,
    output: Float[np.ndarray, " points *outputs"],
    variances: Float[np.ndarray, "layers points *positions"],
    kernels: Float[np.ndarray, "layers points points"],
) -> dict[str, NDArray[Any]]:
    """Return the entries of `unit_snapshot` for Gaussian pre-activations of known variance."""
    kept = sets.kept
    edges = DENSITY_EDGES.copy()
    edges[[0, -1]] = -np.inf, np.inf
    # a point without variance, such as a zero input, has all its mass around zero
    spread = np.sqrt(np.maximum(variances, np.finfo(np.float64).tiny))
    mass = np.diff(ndtr(edges / spread[:, slice(*sets.train), ..., None]), axis=-1)
    return {
        "output/test": np.asarray(output)[slice(*sets.test)].reshape(-1),
        "kernel/feature": np.asarray(kernels[:, kept][:, :, kept]),
        "preactivation/density": mass.mean(axis=tuple(range(1, variances.ndim)))
        / np.diff(DENSITY_EDGES),
        "preactivation/excess-kurtosis": np.zeros(len(variances)),
        "preactivation/wasserstein": np.zeros(len(variances)),
    }
