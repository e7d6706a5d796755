"""Checks of contributed architectures: kinds of inputs, structure, and order of layers."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from checked_plugins import checks, failures, load

from harness.conformance.architecture import shapes_taken

ARCHITECTURE = '''
import functools
from typing import Any
from harness import Architecture, Params, architecture

class Own(Params):
    side: int = 2
    """Side of a patch."""

@architecture("own", version="1")
def make(params: Own) -> Architecture:
    """A network of a test."""
    return Architecture(
        network=lambda width: module()(width, params.side), depth=1, activation="relu",
        other="convolution",
    )

@functools.cache
def module() -> Any:
    import jax
    import jax.numpy as jnp
    from flax import linen as nn
    from harness import networks

    class Network(nn.Module):
        width: int
        side: int

        @nn.compact
        def __call__(self, x: Any) -> networks.Layers:
            {body}

    return Network
'''
CONVOLUTION = """
s = self.side
kernel = self.param("kernel", nn.initializers.normal(1.0), (s, s, x.shape[-1], self.width))
h = jax.lax.conv_general_dilated(
    x, kernel, (s, s), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
) / jnp.sqrt(s * s * x.shape[-1])
return networks.Layers(({h},), (nn.relu(h).mean(axis=(1, 2)),))
"""


def architecture_file(body: str) -> str:
    return ARCHITECTURE.replace("{body}", textwrap.indent(body, " " * 12).strip())


def test_a_network_for_images_is_checked_on_images(tmp_path: Path) -> None:
    good = architecture_file(CONVOLUTION.replace("{h}", "h.reshape(len(x), -1)"))
    own = load(tmp_path, good).get("architecture", "own")
    assert failures(own) == {}
    unchecked = checks(own)["has the structure that it declares"].unchecked
    assert unchecked == "its structure leaves out convolution"
    found = shapes_taken(own, {"side": 20})
    assert found == [(3, 28, 28, 1)], "larger images are tried too"


def test_a_network_of_an_earlier_version_is_checked_as_then(tmp_path: Path) -> None:
    text = architecture_file(CONVOLUTION.replace("{h}", "h.reshape(len(x), -1)"))
    text = text.replace('other="convolution"', 'connectivity="convolutional"')
    own = load(tmp_path, text).get("architecture", "own")
    assert failures(own) == {}
    assert checks(own)[STRUCTURE].unchecked == "its structure leaves out convolutional"


def test_a_fault_on_images_is_found_and_named(tmp_path: Path) -> None:
    own = load(tmp_path, architecture_file(CONVOLUTION.replace("{h}", "h")))
    found = failures(own.get("architecture", "own"))
    assert found == {
        "gives pre-activations and features of every layer": "ValueError: preactivations of shape"
        " (3, 4, 4, 32), not (P, units) or (P, positions, units), on inputs of shape (3, 8, 8, 1)"
    }


def test_a_network_of_another_structure_than_it_declares_is_caught(tmp_path: Path) -> None:
    dense = "h = networks.MeanFieldDense(self.width)(x.reshape(len(x), -1))\n"
    text = architecture_file(dense + "return networks.Layers((h,), (jnp.maximum(h, 0.2 * h),))")
    own = load(tmp_path, text.replace('other="convolution",', ""))
    found = failures(own.get("architecture", "own"))
    assert list(found) == ["has the structure that it declares"]
    assert (
        "away from that of depth, activation, branch_scale, pooling and input_map"
        in (found["has the structure that it declares"])
    )


STRUCTURE, ORDER = "has the structure that it declares", "makes weights in the order of its layers"
FLAT_INPUTS = "x = x.reshape(len(x), -1)\n"
ONE_LAYER = "return networks.Layers((h,), (jnp.maximum(h, 0),))"
ONE_MATRIX_TWICE = (
    "dense = networks.MeanFieldDense(self.width)\n"
    "one = networks.MeanFieldDense(self.width)(x)\n"
    "two = dense(jnp.maximum(one, 0))\n"
    "h = dense(jnp.maximum(two, 0))\n"
    "return networks.Layers((one, two, h), tuple(jnp.maximum(l, 0) for l in (one, two, h)))"
)


@pytest.mark.parametrize(
    ("body", "depth", "fault"),
    [
        (
            "h = networks.MeanFieldDense(self.width)(x)\n"
            "h = h + self.param('b', nn.initializers.zeros, (1, self.width), x.dtype)\n"
            + ONE_LAYER,
            1,
            "the tangent kernel at width 512 is ",
        ),
        (
            "h = networks.MeanFieldDense(self.width)(x)\n"
            "h = h * self.param('gain', nn.initializers.ones, (1, self.width), x.dtype)\n"
            + ONE_LAYER,
            1,
            "the tangent kernel at width 512 is ",
        ),
        (ONE_MATRIX_TWICE, 3, "has 268,288 hidden weights, where 3 layers without biases on 12"),
    ],
    ids=["a bias that begins at zero", "a gain that begins at one", "one matrix for two layers"],
)
def test_weights_that_the_structure_lacks_are_caught(
    body: str, depth: int, fault: str, tmp_path: Path
) -> None:
    text = architecture_file(FLAT_INPUTS + body).replace('other="convolution",', "")
    own = load(tmp_path, text.replace("depth=1", f"depth={depth}")).get("architecture", "own")
    found = failures(own)
    assert list(found) == [STRUCTURE]
    assert fault in found[STRUCTURE]


def test_layers_that_are_made_in_another_order_are_caught(tmp_path: Path) -> None:
    body = FLAT_INPUTS + (
        "later = self.param('later', networks.standard_normal, (self.width,) * 2, x.dtype)\n"
        "one = networks.MeanFieldDense(self.width)(x)\n"
        "two = jnp.maximum(one, 0) @ later / self.width**0.5\n"
        "return networks.Layers((one, two), (jnp.maximum(one, 0), jnp.maximum(two, 0)))"
    )
    text = architecture_file(body).replace('other="convolution",', "").replace("depth=1", "depth=2")
    found = failures(load(tmp_path, text).get("architecture", "own"))
    assert list(found) == [ORDER]
    assert (
        "'later' are the first that the module makes, and layer 2 uses them first" in found[ORDER]
    )


def test_a_network_that_runs_on_nothing_says_why_of_each_kind(tmp_path: Path) -> None:
    own = load(tmp_path, architecture_file("raise RuntimeError(f'no {x.ndim}')"))
    assert set(failures(own.get("architecture", "own")).values()) == {
        "ValueError: runs on none of: flat inputs of shape (3, 12) (RuntimeError: no 2);"
        " images of shape (3, 8, 8, 1) (RuntimeError: no 4)"
    }
