"""Facts of a network that theories and the trainer need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Architecture:
    """A network of any width in the mean-field parameterisation, f = w . phi(h^L) / (gamma N).

    Args:
        network: makes the Flax module for a width. Applied to inputs it returns
            `harness.networks.Layers` (pre-activations and features of every hidden layer, each
            (P, units)); the trainer adds the readout.
        depth: number of hidden layers L.
        activation: name of phi, known to `harness.numerics.activation`.
        connectivity: wiring of the layers: "dense" for fully connected ones in sequence, else
            a word of your own, such as "residual"; theories check it.
        input_map: maps inputs (P, ...) to (P, D) with first-layer kernel K_x = x.x' / D.
    """

    network: Callable[[int], nn.Module]
    depth: int
    activation: str
    connectivity: str = "dense"
    input_map: Callable[[NDArray[Any]], Float[np.ndarray, "points inputs"]] = lambda x: np.asarray(
        x
    ).reshape(len(x), -1)

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise ValueError(f"depth = {self.depth}; at least one hidden layer is needed")
