"""Fully-connected networks in the mean-field parameterisation."""

import functools
from typing import Any

from pydantic import Field

import harness
from harness import ActivationName, Architecture, Params, architecture


class MLP(Params):
    """Parameters of `mlp`."""

    depth: int = Field(default=1, ge=1, le=64)
    """Number of hidden layers L."""
    activation: ActivationName = "relu"
    """phi: relu, tanh, erf, linear, gelu, or he1 ... he9 (normalised Hermite polynomials)."""


@architecture(
    "mlp",
    version="1",
    tags={"dense"},
    citation="Yang & Hu, Feature Learning in Infinite-Width Neural Networks, ICML 2021",
)
def mlp(params: MLP) -> Architecture:
    """Multilayer perceptron: h^1 = W^0 x / sqrt(D), h^{l+1} = W^l phi(h^l) / sqrt(N).

    All weights start as independent N(0, 1), there are no biases, and images are flattened. The
    predictor is f = w . phi(h^L) / (gamma N).
    """
    return Architecture(
        network=lambda width: _module()(width, params.depth, params.activation),
        depth=params.depth,
        activation=params.activation,
    )


@functools.cache
def _module() -> Any:
    """Define the Flax module once, when a network is first built, so that listing stays fast."""
    from flax import linen as nn

    class MultilayerPerceptron(nn.Module):
        width: int
        depth: int
        activation: str

        @nn.compact
        def __call__(self, x: Any) -> harness.networks.Layers:
            phi = harness.numerics.activation(self.activation)
            preactivations, features = [], []
            x = x.reshape(len(x), -1)
            for _ in range(self.depth):
                h = harness.networks.MeanFieldDense(self.width)(x)
                x = phi(h)
                preactivations.append(h)
                features.append(x)
            return harness.networks.Layers(tuple(preactivations), tuple(features))

    return MultilayerPerceptron
