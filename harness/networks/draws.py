"""Random numbers of networks: one counter-based stream for every seed, width and array.

NumPy's Philox makes them, which needs no compiled program for a shape. A stream depends on its
purpose alone, never on other draws: a network has the same bits whatever its companions, the
machine and the environment are. Networks of one seed and different widths share no randomness.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float
from numpy.typing import DTypeLike, NDArray

from harness.errors import LimitbenchError

THREEFRY = "threefry2x32"
"""JAX's generator of Langevin noise and of other initialisers than ours, whatever its default."""

_standard: ContextVar[list[Any] | None] = ContextVar("_standard", default=None)
"""Placeholders that `standard_normal` returned while an architecture's shapes are found."""


def standard_normal(key: Array, shape: tuple[int, ...], dtype: Any) -> Array:
    """Initialise weights with independent N(0, 1) numbers, as `flax.linen.Module.param` calls it.

    The trainer recognises such weights, and draws them without compiling.
    """
    found = _standard.get()
    if found is None:
        return jax.random.normal(key, shape, dtype)
    found.append(jnp.zeros(shape, dtype))
    return found[-1]


@contextmanager
def _noting() -> Iterator[list[Any]]:
    noted: list[Any] = []
    token = _standard.set(noted)
    try:
        yield noted
    finally:
        _standard.reset(token)


def stream(seed: int, width: int, purpose: str) -> np.random.Generator:
    """Return the stream of a network's seed and width for one purpose, such as "hidden/kernel"."""
    name = f"{seed}/{width}/{purpose}".encode()
    key = int.from_bytes(hashlib.blake2b(name, digest_size=16).digest(), "little")
    return np.random.Generator(np.random.Philox(key=key))


def normal(
    seed: int, width: int, purpose: str, shape: tuple[int, ...], dtype: DTypeLike
) -> NDArray[Any]:
    """Return N(0, 1) numbers of a stream; float64 holds exactly the same numbers."""
    drawn = stream(seed, width, purpose).standard_normal(shape, np.float32)
    return drawn.astype(dtype, copy=False)


def noise_key(seed: int, width: int, stage: int) -> NDArray[np.uint32]:
    """Return the Threefry key of a stage's Langevin noise, which compiled steps draw."""
    return stream(seed, width, f"noise/{stage}").integers(0, 2**32, 2, np.uint32)


class Layout(NamedTuple):
    """The weights of an architecture.

    Attributes:
        names: of its arrays, such as "MeanFieldDense_0/kernel".
        arrays: their shapes and precisions.
        standard: which of them `standard_normal` initialises.
        tree: how Flax nests them.
        features: number of features of its last layer.
        groups: its groups of weights, in the order in which the module makes them.
    """

    names: tuple[str, ...]
    arrays: tuple[jax.ShapeDtypeStruct, ...]
    standard: tuple[bool, ...]
    tree: Any
    features: int
    groups: tuple[str, ...]


def layout(module: nn.Module, x: Float[np.ndarray, "points ..."]) -> Layout:
    """Return the weights that a module has on inputs of this shape and precision."""
    return _layout(module, x.shape, x.dtype)


@functools.lru_cache(maxsize=64)
def _layout(module: nn.Module, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Layout:
    standard: list[bool] = []
    groups: list[str] = []

    def shapes(x: Array) -> tuple[Any, Any]:
        with _noting() as noted:
            found = module.init(jax.random.key(0, impl=THREEFRY), x)
        weights, known = found.get("params", {}), {id(array) for array in noted}
        standard.extend(id(leaf) in known for leaf in jax.tree.leaves(weights))
        groups.extend(weights)  # JAX's trees have their names in order of the alphabet
        layers: Any = module.apply({"params": weights}, x)
        return weights, layers.features[-1]

    weights, features = jax.eval_shape(shapes, jax.ShapeDtypeStruct(shape, dtype))
    named, tree = jax.tree_util.tree_flatten_with_path(weights)
    names = ("/".join(str(getattr(entry, "key", entry)) for entry in path) for path, _ in named)
    arrays = tuple(array for _, array in named)
    count = int(features.shape[1])
    return Layout(tuple(names), arrays, tuple(standard), tree, count, tuple(groups))


def layers_of(found: Layout, depth: int) -> list[int]:
    """Return the number of the layer that each array of hidden weights makes, from 1.

    Layers are the module's groups of weights in the order in which it makes them, whatever their
    names: the order of calls in a compact module.

    Raises:
        LimitbenchError: if there is not one group for each layer.
    """
    if len(found.groups) != depth:
        raise LimitbenchError(
            f"the architecture has {len(found.groups)} groups of weights"
            f" ({', '.join(found.groups)}) for {depth} hidden layers, so that layers have no"
            " numbers; give each layer one group, or train and draw afresh all weights or the"
            " readout"
        )
    return [found.groups.index(name.split("/")[0]) + 1 for name in found.names]


def initial_hidden(
    module: nn.Module,
    width: int,
    seed: int,
    x: Float[np.ndarray, "points ..."],
    purpose: str = "",
) -> Any:
    """Draw the parameters of an architecture's Flax module.

    Parameters with another initialiser than `standard_normal` come from that initialiser, in a
    program that is compiled for them.

    Args:
        module: the network.
        width: of the network.
        seed: of the network.
        x: an input of the shape and precision with which it trains.
        purpose: name of another draw than the first, such as "/1" for that of stage 1.
    """
    found = layout(module, x)
    others: list[Any] = []
    if not all(found.standard):
        key = stream(seed, width, f"initialisers{purpose}").integers(0, 2**32, 2, np.uint32)
        others = _initialise(module, found.standard, key, x)
    weights = [
        normal(seed, width, f"hidden{purpose}/{name}", array.shape, array.dtype)
        if standard
        else np.asarray(others.pop(0))
        for name, array, standard in zip(found.names, found.arrays, found.standard, strict=True)
    ]
    return jax.tree.unflatten(found.tree, weights)


@partial(jax.jit, static_argnames=("module", "standard"))
def _initialise(module: nn.Module, standard: tuple[bool, ...], key: Array, x: Array) -> list[Array]:
    """Return the arrays that the module's own initialisers draw."""
    found = module.init(jax.random.wrap_key_data(key, impl=THREEFRY), x)
    leaves = jax.tree.leaves(found.get("params", {}))
    return [leaf for leaf, ours in zip(leaves, standard, strict=True) if not ours]
