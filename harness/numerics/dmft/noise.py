"""Gaussian noise that drives the fields of sampled hidden units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from harness.numerics.dmft.history import Array
from harness.numerics.sampling.gaussian import sobol_gaussian

Matrix = NDArray[np.float64]
Dtype = Literal["float32", "float64"]

NODES = 6
"""Nodes, in every sample, of the average over the part of a query's field beyond the history."""

SPACING = 1.5
"""Distance of these nodes in standard deviations; a smooth integrand's error is below 1e-5."""

SAMPLES_PER_DIRECTION = 4
"""Samples needed for each direction of the history: fewer cannot be white and orthogonal to it."""


class Start(NamedTuple):
    """Initial noise.

    Attributes:
        omega: first-layer weights, (rank, samples).
        w: readouts, (*outputs, samples).
        nodes: (layers, nodes, samples).
    """

    omega: Matrix
    w: Matrix
    nodes: Matrix


Draws = tuple[tuple[NDArray[Any], ...], tuple[NDArray[Any], ...]]


def _white_noise(raw: Matrix, *history: NDArray[Any]) -> Matrix:
    """Return `history.white_noise` of NumPy arrays; it is drawn too seldom to compile."""
    raw = _apart(raw, *history)
    factor = np.linalg.cholesky(raw @ raw.T / raw.shape[1])
    return np.asarray(np.linalg.solve(factor, raw))


def _apart(raw: Matrix, *history: NDArray[Any]) -> Matrix:
    """Return draws without their components along sets of rows, each orthonormal."""
    for rows in history:
        raw = raw - (raw @ rows.T / raw.shape[1]) @ rows
    return raw


def _centred(raw: Matrix) -> Matrix:
    return np.asarray(raw - raw.mean(axis=1, keepdims=True))


@runtime_checkable
class Noise(Protocol):
    """Source of the Gaussian noise of a solution.

    Attributes:
        reserved: as in `Program`.
        entropy: seed of the solution's random keys.
        limit: directions that the history may hold.
    """

    reserved: int | None
    entropy: int
    limit: int

    def start(
        self, rank: int, depth: int, train: int, points: int, outputs: tuple[int, ...]
    ) -> Start:
        """Return initial noise for a rank of input space, and hidden layers.

        Args:
            rank: directions of input space.
            depth: hidden layers.
            train: points of the largest stage.
            points: points of all stages.
            outputs: () for one output, or (C,).
        """

    def untrained(
        self, points: int, depth: int, dtype: Dtype | np.dtype[Any]
    ) -> tuple[NDArray[Any], ...]:
        """Return draws for features of the untrained layers on the points of all stages."""

    def block(self, stage: int, train: int, depth: int, dtype: Dtype | np.dtype[Any]) -> Draws:
        """Return draws for a stage's first block of features, and of gradients."""

    def looks(self, shape: tuple[int, int, int], dtype: Dtype | np.dtype[Any]) -> NDArray[Any]:
        """Return noise of observed points, (layers, points, samples)."""

    def readout(
        self, stage: int, history: Sequence[Array], outputs: tuple[int, ...]
    ) -> NDArray[Any]:
        """Return a fresh readout, (*outputs, samples), independent of rows of history."""


@dataclass
class SampledNoise:
    """Noise over a sample: scrambled Sobol points for the first stage's start.

    They cover the directions that matter most evenly. Later draws are plain, or Sobol points in an
    order of their own: designs that share an order are not independent of each other.

    Args:
        samples: S.
        seed: entropy; other seeds give independent replicates.
        skips: whether a unit is the same in all layers, and so meets the noise of all.
    """

    samples: int
    seed: tuple[int, ...]
    skips: bool = False

    def __post_init__(self) -> None:
        self.reserved: int | None = None
        self.limit = self.samples // SAMPLES_PER_DIRECTION
        self._rng = np.random.default_rng(self.seed)
        self.entropy = int(self._rng.integers(2**63))
        self._up: list[Matrix] = []
        self._down: list[Matrix] = []

    def start(
        self, rank: int, depth: int, train: int, points: int, outputs: tuple[int, ...]
    ) -> Start:
        """Return one design per layer: (w or r) and (omega or u) together.

        With skips, noise of different layers meets at the same units: (w, omega) have one design,
        and (r, u) of every pair of layers one in an order of its own, orthogonal to it.
        """
        count = math.prod(outputs)
        if self.skips:
            ends = self._sobol(count + rank)
            w, omega = ends[:count], ends[count:]
            pairs = [self._shuffled(train + points) for _ in range(depth - 1)]
            self._down = [d[:train] for d in pairs]
            self._up = [d[train:] for d in pairs]
        else:
            designs = [
                self._sobol(
                    (rank if layer == 0 else points) + (count if layer == depth - 1 else train)
                )
                for layer in range(depth)
            ]
            w, omega = designs[-1][:count], designs[0][len(designs[0]) - rank :]
            self._down = [d[:train] for d in designs[:-1]]
            self._up = [d[-points:] for d in designs[1:]]
        w = _centred(w)
        if rank:
            omega = _white_noise(_centred(omega))
        if self.skips or depth == 1:
            w = _white_noise(w, omega)
        elif count > 1:
            w = _white_noise(w)
        w = w / np.sqrt(np.mean(w**2, axis=1, keepdims=True))
        if self.skips:
            self._down, self._up = (
                [_apart(_centred(d), w, omega) for d in side] for side in (self._down, self._up)
            )
        return Start(omega, w.reshape(*outputs, self.samples), self._nodes(depth))

    def _nodes(self, depth: int) -> Matrix:
        """Return evenly spaced nodes, shifted at random so that kinks leave no bias."""
        shift = self._rng.uniform(size=(depth, 1, self.samples))
        nodes: Matrix = SPACING * (np.arange(NODES)[None, :, None] + shift - NODES / 2)
        return nodes

    def _sobol(self, rows: int) -> Matrix:
        return sobol_gaussian(self.samples, rows, self._rng).T

    def _shuffled(self, rows: int) -> Matrix:
        return self._sobol(rows)[:, self._rng.permutation(self.samples)]

    def untrained(
        self, points: int, depth: int, dtype: Dtype | np.dtype[Any]
    ) -> tuple[NDArray[Any], ...]:
        """Return the part of the first designs that belongs to features."""
        return tuple(design.astype(dtype) for design in self._up)

    def block(self, stage: int, train: int, depth: int, dtype: Dtype | np.dtype[Any]) -> Draws:
        """Return the rest of the first designs, or fresh designs in an order of their own."""
        if stage == 0:
            up, down = [d[-train:] for d in self._up], self._down
        else:
            both = [self._shuffled(2 * train) for _ in range(2 * (depth - 1))]
            up = [d[:train] for d in both[: depth - 1]]
            down = [d[:train] for d in both[depth - 1 :]]
        return (
            tuple(d.astype(dtype) for d in up),
            tuple(d.astype(dtype) for d in down),
        )

    def looks(self, shape: tuple[int, int, int], dtype: Dtype | np.dtype[Any]) -> NDArray[Any]:
        """Return independent draws."""
        return self._rng.standard_normal(shape, dtype)

    def readout(
        self, stage: int, history: Sequence[Array], outputs: tuple[int, ...]
    ) -> NDArray[Any]:
        """Return white noise orthogonal to the history of the last layer."""
        return self.white(math.prod(outputs), *history).reshape(*outputs, self.samples)

    def white(self, rows: int, *history: Array) -> Matrix:
        """Return fresh white noise, (rows, samples), orthogonal to rows of history."""
        draws = self._rng.standard_normal((rows, self.samples))
        return _white_noise(draws, *map(np.asarray, history)) if rows else draws
