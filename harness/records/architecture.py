"""Facts of a network that theories and the trainer need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import InitVar, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

if TYPE_CHECKING:
    from flax import linen as nn

ActivationName = Literal[
    "relu",
    "tanh",
    "erf",
    "linear",
    "gelu",
    "he1",
    "he2",
    "he3",
    "he4",
    "he5",
    "he6",
    "he7",
    "he8",
    "he9",
]
"""An activation: relu, tanh, erf, linear, gelu, or he1 ... he9 (normalised Hermite)."""

DENSE = "dense"
"""Connectivity of a network without positions, in plugins of earlier versions."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Architecture:
    """A network of any width in the mean-field parameterisation, and the structure of its limit.

    Theories read the structure alone, so that one of the same structure needs no new theory. A
    unit of the first layer has weights W_i that it shares between positions p of the input, such
    as the patches of an image: h^1_{ip} = W_i . x_p / sqrt(D). Dense layers have one position.
    Layers follow as h^{l+1} = W^l phi(h^l) / sqrt(N), or with skips as
    h^{l+1} = h^l + (b / sqrt(L N)) W^l phi(h^l). The K features psi_{ik} that a unit of the last
    layer shows to the readout are a linear map of phi(h^L) at its positions, and
    f = sum_{ik} w_{ik} psi_{ik} / (gamma N sqrt(K)).

    Args:
        network: makes the Flax module for a width. Applied to inputs it returns
            `harness.networks.Layers`: pre-activations and features of every hidden layer; the
            trainer adds the readout.
        depth: number of hidden layers L.
        activation: name of phi, known to `harness.numerics.activation`.
        branch_scale: b, scale of the branches beside skips; None without skips.
        pooling: makes the linear map from positions to a unit's features, (K, positions), for a
            number of positions; None where the readout sees phi(h) at all of them.
        other: a part of the network that this structure leaves out, in words such as "attention";
            theories that do not know it refuse. None if there is none.
        input_map: maps inputs (P, ...) to (P, D), or to (P, positions, D).
        connectivity: of plugins of earlier versions: any word but "dense" is `other`.
    """

    network: Callable[[int], nn.Module]
    depth: int
    activation: str
    branch_scale: float | None = None
    pooling: Callable[[int], Float[np.ndarray, "features positions"]] | None = None
    other: str | None = None
    input_map: Callable[[NDArray[Any]], Float[np.ndarray, "points *positions inputs"]] = lambda x: (
        np.asarray(x).reshape(len(x), -1)
    )
    connectivity: InitVar[str] = DENSE

    def __post_init__(self, connectivity: str) -> None:
        if connectivity != DENSE and self.other is None:
            object.__setattr__(self, "other", connectivity)
        if self.depth < 1:
            raise ValueError(f"depth = {self.depth}; at least one hidden layer is needed")

    def inputs(self, x: NDArray[Any]) -> Float[np.ndarray, "points *positions inputs"]:
        """Return the first layer's inputs, (P, D), or (P, positions, D) for several positions."""
        found = np.asarray(self.input_map(x))
        alone = found.ndim == 3 and found.shape[1] == 1
        if alone and (self.pooling is None or np.array_equal(self.pooling(1), [[1.0]])):
            return found[:, 0]
        return found

    def pooled(
        self, inputs: Float[np.ndarray, "points *positions inputs"]
    ) -> Float[np.ndarray, "features positions"] | None:
        """Return the map from positions to a unit's features; None where the readout sees all.

        Args:
            inputs: of the first layer, from `inputs`.
        """
        if self.pooling is None or inputs.ndim == 2:
            return None
        return np.asarray(self.pooling(inputs.shape[1]))
