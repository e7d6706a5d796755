"""my-architecture: an architecture for limitbench."""

import functools
from typing import Any

from harness import ActivationName, Architecture, Params, architecture


class MyArchitecture(Params):
    """Parameters, as suites give them."""

    activation: ActivationName = "relu"
    """Activation of the hidden layer."""


@architecture("my-architecture", version="1")  # raise the version whenever results change
def my_architecture(params: MyArchitecture) -> Architecture:
    """One hidden layer in the mean-field parameterisation."""
    # theories read the structure, here one dense layer; the trainer builds `network` for a width
    return Architecture(
        network=lambda width: module()(width, params.activation),
        depth=1,
        activation=params.activation,
    )


@functools.cache  # one class, so that compiled programs are reused
def module() -> Any:
    """Return the class of the network."""
    from flax import linen as nn  # imported late, so that `limitbench list` stays fast

    from harness import networks, numerics

    class Network(nn.Module):
        width: int
        activation: str

        @nn.compact
        def __call__(self, x: Any) -> networks.Layers:
            h = networks.MeanFieldDense(self.width)(x.reshape(len(x), -1))
            # outputs of every layer, each (points, units); the trainer adds the readout
            return networks.Layers((h,), (numerics.activation(self.activation)(h),))

    return Network
