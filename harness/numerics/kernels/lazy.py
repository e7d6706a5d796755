"""Kernels of infinitely wide networks at initialisation: NNGP and NTK of any depth."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from harness.numerics.kernels.dual_activations import OfPoints, as_rows, dual_activation
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
        ntk: neural tangent kernel of all weights, (rows, columns).
        variances: <(h^l)^2> of the rows for l = 1 ... L, shape (L, rows).
    """

    features: tuple[Float[np.ndarray, "rows columns"], ...]
    ntk: Float[np.ndarray, "rows columns"]
    variances: Float[np.ndarray, "layers rows"]


def input_kernel(x: Float[Any, "rows inputs"], z: Float[Any, "columns inputs"]) -> Any:
    """Return K_x(x, z) = x.z / D, shape (rows, columns)."""
    return x @ z.T / x.shape[1]


def lazy_kernels(
    x: Float[Any, "rows inputs"],
    z: Float[Any, "columns inputs"],
    *,
    activation: str,
    depth: int,
    every_layer: bool = True,
) -> LazyKernels:
    """Return the kernels of h^1 = W x / sqrt(D), h^{l+1} = W phi(h^l) / sqrt(N), f = w.phi(h^L).

    Phi^l = <phi phi> and Phi'^l = <phi' phi'> under the Gaussian of covariance Phi^{l-1}
    (Phi^0 = K_x); NTK^1 = Phi^1 + Phi'^1 K_x, NTK^l = Phi^l + Phi'^l NTK^{l-1}
    (Jacot et al., NeurIPS 2018). Each tile passes all layers before the next one, so that
    arithmetic bounds the time, not memory. For kernels within one set of points, only the tiles on
    and above the diagonal are computed.

    Args:
        x: inputs of the rows, (rows, D).
        z: inputs of the columns, (columns, D); where it is `x` itself, kernels are symmetric.
        activation: name of phi.
        depth: number of hidden layers L.
        every_layer: whether to return the feature kernels of all layers, or of the last alone.
    """
    symmetric, large = x is z, depth * len(x) * len(z) >= COMPILED
    dual = dual_activation(activation, compiled=large)
    inputs, others = (np.asarray(a, np.float64) for a in (x, z))

    def through_layers(x: Float[np.ndarray, "points inputs"]) -> tuple[Array, list[OfPoints]]:
        """Return every layer's pre-activation variances, and the quantities that pairs need."""
        found = [np.sum(x**2, axis=1) / x.shape[1]]
        for _ in range(depth - 1):
            found.append(dual.diagonal(found[-1]))
        return np.stack(found), [dual.of_points(variances) for variances in found]

    variances, rows = through_layers(inputs)
    columns = rows if symmetric else through_layers(others)[1]
    ntk = np.asarray(input_kernel(inputs, others))
    features = [np.empty_like(ntk) for _ in range(depth if every_layer else 1)]
    tiles = _tiles(len(inputs), len(others), symmetric)

    def fill(number: int) -> None:
        tile = tiles[number]
        cross = own = ntk[tile]
        kept = []
        for layer in range(depth):
            left, right = (
                tuple(a[..., part] for a in points[layer])
                for points, part in zip((rows, columns), tile, strict=True)
            )
            cross, slope = dual.of_pairs(cross, as_rows(left), right)
            slope *= own
            slope += cross
            own = slope
            kept.append(cross)
        found = [*(kept if every_layer else kept[-1:]), own]
        for whole, part in zip([*features, ntk], found, strict=True):
            whole[tile] = part
            if symmetric and tile[0] != tile[1]:
                whole[tile[1], tile[0]] = part.T

    side_by_side(fill, len(tiles), 8 * SIDE**2)
    return LazyKernels(tuple(features), ntk, variances)


def _tiles(rows: int, columns: int, symmetric: bool) -> list[tuple[slice, slice]]:
    """Return the tiles of a kernel, only those on and above the diagonal if it is symmetric."""
    return [
        (slice(a, min(a + SIDE, rows)), slice(b, min(b + SIDE, columns)))
        for a in range(0, rows, SIDE)
        for b in range(a if symmetric else 0, columns, SIDE)
    ]
