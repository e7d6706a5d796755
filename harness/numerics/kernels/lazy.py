"""Kernels of infinitely wide networks at initialisation: NNGP and NTK of any depth."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from harness.numerics.kernels.dual_activations import OfPoints, as_rows, dual_activation
from harness.numerics.problem import trains
from harness.numerics.threads import side_by_side

SIDE = 128
"""Rows and columns of a tile, which passes all layers while it is in the cache."""

COMPILED = 2**20
"""Kernel entries of all layers beyond which compiling long expansions saves time."""

Array = NDArray[np.float64]


class LazyKernels(NamedTuple):
    """Kernels between two sets of points, before training.

    Attributes:
        features: feature kernels Phi^1 ... Phi^L, or Phi^L alone, each (rows, columns); the last
            is the NNGP kernel of a readout with unit prior variance.
        ntk: neural tangent kernel of the trained weights, (rows, columns).
        variances: <(h^l)^2> of the rows for l = 1 ... L, shape (L, rows), or (1, rows, positions).
    """

    features: tuple[Float[np.ndarray, "rows columns"], ...]
    ntk: Float[np.ndarray, "rows columns"]
    variances: Float[np.ndarray, "layers rows *positions"]


def input_kernel(x: Float[Any, "rows inputs"], z: Float[Any, "columns inputs"]) -> Any:
    """Return K_x(x, z) = x.z / D, shape (rows, columns)."""
    return x @ z.T / x.shape[1]


def lazy_kernels(
    x: Float[Any, "rows *positions inputs"],
    z: Float[Any, "columns *positions inputs"],
    *,
    activation: str,
    depth: int,
    branch_scale: float | None = None,
    pooling: Float[np.ndarray, "features positions"] | None = None,
    trained: Collection[int | str] | None = None,
    every_layer: bool = True,
) -> LazyKernels:
    """Return the kernels of the networks that `harness.Architecture` describes.

    With K^l the covariance of h^l, Phi^l = <phi phi> and Phi'^l = <phi' phi'> under it, and
    Theta^l the tangent kernel of h^l while all weights train: K^1 = Theta^1 = K_x, then for dense
    layers K^{l+1} = Phi^l, Theta^{l+1} = Phi^l + Phi'^l Theta^l (Jacot et al., NeurIPS 2018), and
    with skips
    K^{l+1} = K^l + s^2 Phi^l, Theta^{l+1} = Theta^l + s^2 (Phi^l + Phi'^l Theta^l) with
    s = b / sqrt(L) (arXiv:2309.16620); NTK = Phi^L + Phi'^L Theta^L. Weights that are not trained
    add nothing of their own: K_x to Theta^1, Phi^l to Theta^{l+1}, Phi^L to the NTK.

    For one hidden layer with units at several positions p, q, both terms are sums over pairs of
    positions, weighed by M_pq = sum_k A_kp A_kq / K with the pooling A (docs/theory.md, section 1).

    Each tile passes all layers before the next one, so that arithmetic bounds the time, not
    memory. For kernels within one set of points, only the tiles on and above the diagonal are
    computed.

    Args:
        x: inputs of the rows, (rows, D), or (rows, positions, D).
        z: inputs of the columns, alike; where it is `x` itself, kernels are symmetric.
        activation: name of phi.
        depth: number of hidden layers L; 1 for units at several positions.
        branch_scale: b of layers with skips; None without skips.
        pooling: map from positions to a unit's features; None where the readout sees all.
        trained: trained weights, numbers of hidden layers from 1 and "readout"; None for all.
        every_layer: whether to return the feature kernels of all layers, or of the last alone.

    Raises:
        ValueError: for more than one layer with units at several positions.
    """
    inputs, others = (np.asarray(a, np.float64) for a in (x, z))
    if inputs.ndim == 3:
        if depth > 1:
            raise ValueError(f"depth = {depth}; units at several positions need a depth of 1")
        return _of_positions(inputs, others, x is z, activation, pooling, trained)
    symmetric, large = x is z, depth * len(x) * len(z) >= COMPILED
    dual = dual_activation(activation, compiled=large)
    branch = None if branch_scale is None else branch_scale**2 / depth

    def through_layers(x: Float[np.ndarray, "points inputs"]) -> tuple[Array, list[OfPoints]]:
        """Return every layer's pre-activation variances, and the quantities that pairs need."""
        found = [np.sum(x**2, axis=1) / x.shape[1]]
        for _ in range(depth - 1):
            above = dual.diagonal(found[-1])
            found.append(above if branch is None else found[-1] + branch * above)
        return np.stack(found), [dual.of_points(variances) for variances in found]

    variances, rows = through_layers(inputs)
    columns = rows if symmetric else through_layers(others)[1]
    ntk = np.asarray(input_kernel(inputs, others))
    features = [np.empty_like(ntk) for _ in range(depth if every_layer else 1)]
    tiles = _tiles(len(inputs), len(others), symmetric)

    def fill(number: int) -> None:
        tile = tiles[number]
        cross = own = ntk[tile]
        if not trains(trained, 1):
            own = np.zeros_like(cross)
        kept = []
        for layer in range(depth):
            left, right = _of_tile(rows[layer], columns[layer], tile)
            found, slope = dual.of_pairs(cross, left, right)
            slope *= own
            if trains(trained, layer + 2 if layer < depth - 1 else "readout"):
                slope += found
            kept.append(found)
            if branch is None or layer == depth - 1:
                cross, own = found, slope
            else:
                cross, own = cross + branch * found, own + branch * slope
        _put([*features, ntk], tile, [*(kept if every_layer else kept[-1:]), own], symmetric)

    side_by_side(fill, len(tiles), 8 * SIDE**2)
    return LazyKernels(tuple(features), ntk, variances)


def _of_positions(
    x: Float[np.ndarray, "rows positions inputs"],
    z: Float[np.ndarray, "columns positions inputs"],
    symmetric: bool,
    activation: str,
    pooling: Float[np.ndarray, "features positions"] | None,
    trained: Collection[int | str] | None,
) -> LazyKernels:
    """Return the kernels of one layer whose units share their weights between positions."""
    positions = x.shape[1]
    if pooling is None:
        pooling = np.eye(positions)
    shares = pooling.T @ pooling / len(pooling)
    pairs = np.argwhere(shares)
    dual = dual_activation(activation, compiled=len(pairs) * len(x) * len(z) >= COMPILED)
    variances = np.sum(x**2, axis=-1) / x.shape[-1]
    rows = [dual.of_points(own) for own in variances.T]
    columns = rows
    if not symmetric:
        columns = [dual.of_points(own) for own in np.sum(z**2, axis=-1).T / z.shape[-1]]
    features, ntk = np.empty((2, len(x), len(z)))
    tiles = _tiles(len(x), len(z), symmetric)

    def fill(number: int) -> None:
        tile = tiles[number]
        shape = features[tile].shape
        of_features, of_hidden = np.zeros(shape), np.zeros(shape)
        for p, q in pairs:
            left, right = _of_tile(rows[p], columns[q], tile)
            inputs = input_kernel(x[tile[0], p], z[tile[1], q])
            own, slope = dual.of_pairs(inputs, left, right)
            of_features += shares[p, q] * own
            of_hidden += shares[p, q] * slope * inputs
        tangent = np.zeros(shape)
        for weights, part in (("readout", of_features), (1, of_hidden)):
            if trains(trained, weights):
                tangent += part
        _put([features, ntk], tile, [of_features, tangent], symmetric)

    side_by_side(fill, len(tiles), 8 * SIDE**2)
    return LazyKernels((features,), ntk, variances[None])


def _of_tile(
    rows: Iterable[Array], columns: Iterable[Array], tile: tuple[slice, slice]
) -> tuple[OfPoints, OfPoints]:
    """Return the quantities of a tile's points, to broadcast against each other."""
    left, right = (
        tuple(a[..., part] for a in points)
        for points, part in zip((rows, columns), tile, strict=True)
    )
    return as_rows(left), right


def _put(
    kernels: Sequence[Array], tile: tuple[slice, slice], found: Sequence[Array], symmetric: bool
) -> None:
    """Write a tile of each kernel, and its mirror image if they are symmetric."""
    for whole, part in zip(kernels, found, strict=True):
        whole[tile] = part
        if symmetric and tile[0] != tile[1]:
            whole[tile[1], tile[0]] = part.T


def _tiles(rows: int, columns: int, symmetric: bool) -> list[tuple[slice, slice]]:
    """Return the tiles of a kernel, only those on and above the diagonal if it is symmetric."""
    return [
        (slice(a, min(a + SIDE, rows)), slice(b, min(b + SIDE, columns)))
        for a in range(0, rows, SIDE)
        for b in range(a if symmetric else 0, columns, SIDE)
    ]
