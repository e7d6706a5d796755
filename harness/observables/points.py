"""Positions of a problem's sets among all its points, and of a stage's sets among its own."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int64
from numpy.typing import DTypeLike, NDArray

from harness.records import Stage, TransferData

KERNEL_POINTS = 100
"""Feature kernels are kept on at most this many training and as many test points of a stage."""

Bounds = tuple[int, int]


@dataclass(frozen=True)
class Sets:
    """Positions of a stage's sets in its array of points; hashable, for compiled code.

    `probe` holds the source task's training and test set (the stage's own while it trains on
    the source), or None for a single-task problem. `loss` is the name of the stage's loss, and
    `classes` says whether its labels name classes, so that outputs have an accuracy.
    """

    train: Bounds
    test: Bounds
    probe: tuple[Bounds, Bounds] | None
    loss: str = "squared"
    classes: bool = False

    @property
    def blocks(self) -> list[tuple[Bounds, Bounds]]:
        """Blocks of the feature kernel that curves need, by bounds of rows and columns."""
        found = [(self.train, self.train)]
        if self.probe is not None:
            source, held_out = self.probe
            found += [(source, source), (held_out, source)]
        return list(dict.fromkeys(found))  # a stage on the source has one block for two observables

    @property
    def kept(self) -> NDArray[np.int64]:
        """Indices of the points on which feature kernels are kept."""
        return np.concatenate([np.arange(*b)[:KERNEL_POINTS] for b in (self.train, self.test)])


class Labels(NamedTuple):
    """Labels of a stage's sets, each (points,) or (points, outputs).

    Attributes:
        train, test: of the sets that the stage trains on and tests.
        source, held_out: of the source probe's sets; None without a probe.
    """

    train: Any
    test: Any
    source: Any = None
    held_out: Any = None

    def astype(self, dtype: DTypeLike) -> Labels:
        """Return the labels in a precision."""
        return Labels(*(None if y is None else y.astype(dtype) for y in self))

    def part(self, output: Any, points: slice) -> Any:
        """Return some points of an output, (..., points) or (..., points, outputs)."""
        return output[..., points] if self.train.ndim == 1 else output[..., points, :]


def set_indices(data: TransferData) -> dict[str, Int64[np.ndarray, " set"]]:
    """Return each set's indices in one array of all points, set after set, by name."""
    sets = data.sets()
    ends = np.cumsum([0, *(len(d) for d in sets.values())])
    return {name: np.arange(*ends[i : i + 2]) for i, name in enumerate(sets)}


def stage_sets(data: TransferData, stage: Stage) -> Sets:
    """Return the positions of a stage's sets in its array of points, in `sets_seen` order."""
    sets = data.sets()
    ends = np.cumsum([0, *(len(sets[name]) for name in stage.sets_seen(sets))]).tolist()
    bounds = list(itertools.pairwise(ends))
    probe = None if data.source is None else (bounds[-2], bounds[-1])
    labels = sets[stage.data].y
    one_hot = labels.ndim == 2 and bool(
        np.isin(labels, (0, 1)).all() and (labels.sum(1) == 1).all()
    )
    return Sets(bounds[0], bounds[1], probe, stage.loss, stage.loss != "squared" or one_hot)


def stage_labels(data: TransferData, stage: Stage) -> Labels:
    """Return the labels of a stage's sets."""
    seen = [data.sets()[name].y for name in stage.sets_seen(data.sets())]
    # a stage on the source is its own probe
    return Labels(*seen[:2], *(() if data.source is None else seen[-2:]))


def stage_points(
    data: TransferData, stage: Stage
) -> tuple[Float[np.ndarray, "points ..."], Labels, Sets]:
    """Return the inputs of all points that a stage observes, its sets' labels and positions.

    The training set comes first, then the others in the order of `Stage.sets_seen`.
    """
    sets = data.sets()
    x = np.concatenate([sets[name].x for name in stage.sets_seen(sets)])
    return x, stage_labels(data, stage), stage_sets(data, stage)
