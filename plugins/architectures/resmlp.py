"""Residual fully-connected networks with depth-muP scaling."""

import functools
import math
from typing import Any

from pydantic import Field

import harness
from harness import ActivationName, Architecture, Params, architecture


class ResMLP(Params):
    """Parameters of `resmlp`."""

    depth: int = Field(default=2, ge=1, le=64)
    """Number of hidden layers L."""
    activation: ActivationName = "tanh"
    """phi: relu, tanh, erf, linear, gelu, or he1 ... he9 (normalised Hermite polynomials)."""
    branch_scale: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """b, scale of every residual branch; 0 leaves one layer of features."""


@architecture(
    "resmlp",
    version="1",
    tags={"residual"},
    citation="Bordelon, Noci, Li, Hanin & Pehlevan, arXiv:2309.16620 (ICLR 2024)",
)
def resmlp(params: ResMLP) -> Architecture:
    """Residual network: h^1 = W^0 x / sqrt(D), h^{l+1} = h^l + (b / sqrt(L N)) W^l phi(h^l).

    Branches of size 1 / sqrt(L) keep a limit of infinite depth, and the same step for all depths
    (depth-muP). All weights start as independent N(0, 1), there are no biases, and images are
    flattened. The predictor is f = w . phi(h^L) / (gamma N).
    """
    return Architecture(
        network=lambda width: _module()(
            width, params.depth, params.activation, params.branch_scale
        ),
        depth=params.depth,
        activation=params.activation,
        branch_scale=params.branch_scale,
    )


@functools.cache
def _module() -> Any:
    """Define the Flax module once, when a network is first built, so that listing stays fast."""
    from flax import linen as nn

    class ResidualPerceptron(nn.Module):
        width: int
        depth: int
        activation: str
        branch_scale: float

        @nn.compact
        def __call__(self, x: Any) -> harness.networks.Layers:
            phi = harness.numerics.activation(self.activation)
            scale = self.branch_scale / math.sqrt(self.depth)
            h = harness.networks.MeanFieldDense(self.width)(x.reshape(len(x), -1))
            preactivations, features = [h], [phi(h)]
            for _ in range(self.depth - 1):
                h = h + scale * harness.networks.MeanFieldDense(self.width)(features[-1])
                preactivations.append(h)
                features.append(phi(h))
            return harness.networks.Layers(tuple(preactivations), tuple(features))

    return ResidualPerceptron
