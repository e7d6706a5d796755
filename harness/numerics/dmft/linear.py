"""Infinitely wide deep linear networks: mean-field theory by exact covariance propagation.

With a linear activation every field is a linear combination of independent Gaussians: the initial
weights along the directions that training explores. A field is then the vector of its
coefficients, averages are scalar products, and `harness.numerics.dmft.causal_pass` runs on these
vectors as it runs on samples, without sampling error (arXiv:2205.09653, deep linear networks).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

from harness.numerics.dmft.causal_pass import (
    RankError,
    StageSolution,
    branch_of,
    pass_through,
)
from harness.numerics.dmft.fields import Program
from harness.numerics.dmft.noise import Draws, Dtype, Start
from harness.numerics.problem import StageArrays

QUANTILES = 256
"""Draws of a pre-activation in a solution: evenly spread quantiles of its Gaussian law."""


def _identity(x: Float[Any, "*shape"]) -> Float[Any, "*shape"]:
    return x


class ExactNoise:
    """Noise as unit vectors: the last axis of every array runs over independent Gaussians.

    Args:
        reserved: coordinates for queries, first-layer weights and readouts.
        capacity: room for directions of features, and of gradients.
        queries: largest number of queries of a stage.
        outputs: largest number of outputs of a stage.
        pairs: of layers, with skips: the noise of all meets at the same units, so that each
            takes coordinates of its own; None without skips.
    """

    def __init__(
        self,
        reserved: int,
        capacity: int,
        queries: int,
        outputs: int,
        pairs: int | None = None,
    ) -> None:
        self.reserved: int | None = reserved
        self.entropy = 0
        self.limit = capacity
        self._queries, self._outputs, self._pairs = queries, outputs, pairs
        self._size = reserved + 2 * capacity * (pairs or 1)

    def _unit(self, first: int, rows: int) -> NDArray[np.float64]:
        unit: NDArray[np.float64] = np.sqrt(self._size) * np.eye(self._size)[first : first + rows]
        return unit

    def start(
        self, rank: int, depth: int, train: int, points: int, outputs: tuple[int, ...]
    ) -> Start:
        """Return the initial unit vectors, and nodes +-1, which suffice for linear fields."""
        met = 0 if depth > 1 and self._pairs is None else rank
        w = self._readouts(self._queries + met, outputs)
        nodes = np.ones((depth, 2, self._size)) * np.array([1.0, -1.0])[None, :, None]
        return Start(self._unit(self._queries, rank), w, nodes)

    def untrained(
        self, points: int, depth: int, dtype: Dtype | np.dtype[Any]
    ) -> tuple[NDArray[Any], ...]:
        """Return no draws: directions take coordinates as they come."""
        return (np.zeros((), dtype),) * (depth - 1)

    def block(self, stage: int, train: int, depth: int, dtype: Dtype | np.dtype[Any]) -> Draws:
        """Return no draws."""
        nothing = self.untrained(train, depth, dtype)
        return nothing, nothing

    def looks(self, shape: tuple[int, int, int], dtype: Dtype | np.dtype[Any]) -> NDArray[Any]:
        """Return the unit vectors at the front of the reserve, the same in every layer."""
        unit = self._unit(0, shape[1]).astype(dtype)
        return np.broadcast_to(unit, shape)

    def readout(
        self, stage: int, history: Sequence[Array], outputs: tuple[int, ...]
    ) -> NDArray[Any]:
        """Return unused unit vectors, taken from the reserve's end."""
        assert self.reserved is not None
        return self._readouts(self.reserved - stage * self._outputs, outputs)

    def _readouts(self, first: int, outputs: tuple[int, ...]) -> NDArray[np.float64]:
        return self._unit(first, math.prod(outputs)).reshape(*outputs, self._size)


def solve_deep_linear(
    gram: Float[np.ndarray, "points points"],
    stages: Sequence[StageArrays],
    *,
    depth: int,
    branch_scale: float | None = None,
    tolerance: float = 1e-12,
    capacity: int = 128,
    dtype: Dtype = "float64",
    responses: bool = True,
) -> list[StageSolution]:
    """Solve the mean-field theory of a deep linear network.

    Args:
        gram: K_x = x.x'/D between all points that any stage trains on or observes.
        stages: in the order in which they are trained, on one history.
        depth: hidden layers L, at least 1.
        branch_scale: b of layers with skips; None without skips.
        tolerance: relative variance below which a direction of the history is dropped.
        capacity: initial room for directions; doubled, and the solution restarted, when it is
            exhausted.
        dtype: precision; "float64" needs JAX's 64-bit mode.
        responses: whether to keep the response functions A and B.

    Returns:
        One solution per stage, without sampling error. The draws of its pre-activations are
        `QUANTILES` quantiles of their Gaussian law.
    """
    queries = max(len(s.query) + len(s.probe) for s in stages)
    points = len(np.unique(np.concatenate([s.train for s in stages])))
    outputs = max(math.prod(s.outputs) for s in stages)
    reserved = queries + points + (len(stages) + 1) * outputs
    capacity = max(capacity, 2 * max(len(s.train) for s in stages))
    branch = branch_of(depth, branch_scale)
    pairs = None if branch is None else depth - 1
    while True:
        program = Program(
            _identity, jnp.ones_like, tolerance, reserved, branch=branch, responses=responses
        )
        noise = ExactNoise(reserved, capacity, queries, outputs, pairs)
        try:
            (found,) = pass_through(gram, stages, depth, program, [noise], capacity, dtype)
        except RankError:
            capacity *= 2
            continue
        return [s._replace(preactivations=_quantiles(s.kernels)) for s in found]


def _quantiles(kernels: Float[np.ndarray, "layers points points"]) -> NDArray[np.float64]:
    from scipy.special import ndtri

    variance = np.maximum(np.diagonal(kernels, axis1=1, axis2=2), 0.0)
    z = ndtri((np.arange(QUANTILES) + 0.5) / QUANTILES)
    spread: NDArray[np.float64] = np.sqrt(variance)[:, :, None] * (z / np.sqrt(np.mean(z**2)))
    return spread
