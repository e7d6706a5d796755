"""Averages over a stationary window of a noisy trajectory, with autocorrelation-aware errors.

A window of many steps is averaged during the run, in a fixed number of blocks, so that memory does
not grow with its length. The initial positive sequence (Geyer, Statistical Science 1992) of the
block means' autocorrelation gives the error of the mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

BLOCKS = 32
"""Blocks into which a window is divided."""

BLOCK_OBSERVATIONS = 32
"""Most observations of a block; a longer window is observed less often."""

Blocks = Float64[np.ndarray, "blocks ..."]


def window_steps(steps: int) -> Int64[np.ndarray, " observations"]:
    """Return the observed steps of a stage's window: evenly spread over its last half.

    The number of observations is a multiple of `BLOCKS`, at most `BLOCKS` x `BLOCK_OBSERVATIONS`;
    the last one is the stage's last step. A stage of less than 2 x `BLOCKS` steps has no window.

    Args:
        steps: number of steps of the stage.
    """
    length = steps - steps // 2
    stride = max(1, length // (BLOCKS * BLOCK_OBSERVATIONS))
    observations = BLOCKS * (length // (BLOCKS * stride))
    return steps - stride * np.arange(observations - 1, -1, -1, dtype=np.int64)


class BlockMeans:
    """Means of arrays over the blocks of a window, accumulated per observation.

    Args:
        steps: number of steps of the stage; 0 gives no window.
    """

    def __init__(self, steps: int) -> None:
        self.at = window_steps(steps)
        self._due = {int(step): i for i, step in enumerate(self.at)}
        self._means: dict[str, Blocks] = {}

    def due(self, step: int) -> bool:
        """Return whether the window is observed after `step` steps."""
        return step in self._due

    def add(self, step: int, values: Mapping[str, Any]) -> None:
        """Add the observation of a step at which one is due."""
        per_block = len(self.at) // BLOCKS
        for name, value in values.items():
            observed = np.asarray(value, np.float64)
            means = self._means.setdefault(name, np.zeros((BLOCKS, *observed.shape)))
            means[self._due[step] // per_block] += observed / per_block

    @property
    def means(self) -> dict[str, Blocks]:
        """Block means by name, each (blocks, ...); empty before the first observation."""
        return dict(self._means)


def autocorrelation_time(blocks: Blocks) -> float:
    """Return tau = 1 + 2 sum_k rho_k in blocks, by Geyer's initial positive sequence.

    rho_k is the autocorrelation of block means k apart, pooled over all components; sums of pairs
    rho_2k + rho_2k+1 of a reversible chain are positive, and the first that is not ends the sum.
    The result lies between 1, for independent blocks, and half the number of blocks.
    """
    deviation = blocks.reshape(len(blocks), -1)
    deviation = deviation - deviation.mean(axis=0)
    covariance = np.array(
        [np.sum(deviation[: len(blocks) - k] * deviation[k:]) for k in range(len(blocks) // 2)]
    )
    if covariance[0] <= 0:
        return 1.0
    rho = covariance / covariance[0]
    pairs = rho[0::2] + rho[1::2]
    positive = pairs[: int(np.argmax(pairs <= 0)) if (pairs <= 0).any() else len(pairs)]
    return float(np.clip(2.0 * positive.sum() - 1.0, 1.0, len(blocks) / 2))


def window_mean(blocks: Blocks) -> tuple[Float64[Any, ...], Float64[Any, ...]]:
    """Return the mean over a window and its standard error, from block means (blocks, ...).

    The variance of the mean of B correlated blocks of variance s^2 is s^2 tau / B, and s^2, taken
    about the mean of the same blocks, comes out too small by 1 - tau / B. A window of only ten
    correlation times still understates its error, by a tenth.
    """
    tau = autocorrelation_time(blocks)
    stderr = np.sqrt(blocks.var(axis=0) * tau / (len(blocks) - tau))
    return blocks.mean(axis=0), stderr


def halves_ratio(blocks: Blocks) -> float:
    """Return the distance of the means of a window's halves, in units of its expectation.

    About 1 if the window is stationary, and more if it drifts. The expectation comes from the
    fluctuations within each half.
    """
    halves = np.split(blocks, 2)
    (first, first_error), (second, second_error) = (window_mean(half) for half in halves)
    expected = np.hypot(np.linalg.norm(first_error), np.linalg.norm(second_error))
    return float(np.linalg.norm(second - first) / expected) if expected > 0 else 0.0
