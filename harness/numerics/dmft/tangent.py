"""The neural tangent kernel of sampled hidden units, from their features and gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxtyping import Float

from harness.numerics.dmft.history import Array, average


class Signals(NamedTuple):
    """Signals of some points, each (points, samples).

    Attributes:
        features: phi(h^l) of every layer.
        gradients: g^l of every layer, or none if the readout alone is trained.
    """

    features: Sequence[Array]
    gradients: Sequence[Array]


def tangent_kernel(
    rows: Signals, columns: Signals, inputs: Float[Any, "rows columns"]
) -> Float[Any, "rows columns"]:
    """Return Phi^L + sum_l G^l Phi^{l-1} over l = 1 ... L, or without gradients Phi^L.

    Args:
        rows: of the points of the rows.
        columns: of those of the columns.
        inputs: Phi^0 = K_x.
    """
    pairs = zip(rows.features, columns.features, strict=True)
    *below, kernel = (average(a, b) for a, b in pairs)
    gradients = zip(rows.gradients, columns.gradients, strict=True)
    for (a, b), phi in zip(gradients, [inputs, *below], strict=False):
        kernel += average(a, b) * phi
    return kernel
