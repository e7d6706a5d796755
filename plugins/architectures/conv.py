"""Convolutional networks of one hidden layer in the mean-field parameterisation."""

import functools
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

import harness
from harness import ActivationName, Architecture, Params, architecture


class Conv(Params):
    """Parameters of `conv`."""

    patch: int = Field(ge=1)
    """Height and width of a patch, in pixels."""
    stride: int | None = Field(default=None, ge=1)
    """Pixels from one patch to the next; that of the patch when not given, without overlap."""
    activation: ActivationName = "relu"
    """phi: relu, tanh, erf, linear, gelu, or he1 ... he9 (normalised Hermite polynomials)."""
    readout: Literal["flatten", "mean"] = "flatten"
    """Whether the readout has a weight for every patch, or sees the mean of phi over patches."""


@architecture("conv", version="1", tags={"convolutional"}, citation="arXiv:2507.04448")
def conv(params: Conv) -> Architecture:
    """One convolutional layer on images (H, W, C): h_p = W^0 x_p / sqrt(D) on patches x_p.

    Filters are shared by the n patches. The predictor is sum_p w_p . phi(h_p) / (gamma N sqrt(n))
    with the readout "flatten", and w . mean_p phi(h_p) / (gamma N) with "mean" (global average
    pooling). All weights start as independent N(0, 1), and there are no biases; rows and columns
    that no whole patch reaches are left out.
    """
    stride = params.stride or params.patch
    return Architecture(
        network=lambda width: _module()(
            width, params.patch, stride, params.activation, params.readout
        ),
        depth=1,
        activation=params.activation,
        pooling=mean_of if params.readout == "mean" else None,
        input_map=functools.partial(patches, patch=params.patch, stride=stride),
    )


def mean_of(positions: int) -> NDArray[np.float64]:
    """Return the map from positions to their mean, (1, positions)."""
    return np.full((1, positions), 1.0 / positions)


def patches(x: Any, patch: int, stride: int) -> Any:
    """Return the patches of images, (P, n, patch * patch * C), from left to right and downward.

    Args:
        x: images (P, H, W, C), a NumPy or JAX array.
        patch: height and width of a patch.
        stride: pixels from one patch to the next.

    Raises:
        ValueError: if the inputs are no images, or smaller than a patch.
    """
    if x.ndim != 4:
        raise ValueError(
            f"conv needs images (H, W, C); inputs have shape {x.shape[1:]}; use a task of images"
            " with flatten = false, or the architecture mlp"
        )
    height, width, channels = x.shape[1:]
    if patch > min(height, width):
        raise ValueError(
            f"patch = {patch} is larger than the images, {height} x {width}; use a patch of at"
            f" most {min(height, width)}"
        )
    rows, columns = (
        np.arange(0, size - patch + 1, stride)[:, None] + np.arange(patch)
        for size in (height, width)
    )
    found = x[:, rows[:, None, :, None], columns[None, :, None, :]]
    return found.reshape(len(x), len(rows) * len(columns), patch * patch * channels)


@functools.cache
def _module() -> Any:
    """Define the Flax module once, when a network is first built, so that listing stays fast."""
    from flax import linen as nn

    class Convolution(nn.Module):
        width: int
        patch: int
        stride: int
        activation: str
        readout: str

        @nn.compact
        def __call__(self, x: Any) -> harness.networks.Layers:
            phi = harness.numerics.activation(self.activation)
            seen = patches(x, self.patch, self.stride)
            h = harness.networks.MeanFieldDense(self.width)(seen.reshape(-1, seen.shape[-1]))
            h = h.reshape(*seen.shape[:2], self.width)
            features = phi(h)
            if self.readout == "mean":
                features = features.mean(axis=1)
            return harness.networks.Layers((h,), (features.reshape(len(x), -1),))

    return Convolution
