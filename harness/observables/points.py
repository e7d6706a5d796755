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

    `probes` holds the training and test set of every task that the stage probes, by name (the
    stage's own if it is among them). `loss` is the name of the stage's loss, and `classes` says
    whether its labels name classes, so that outputs have an accuracy.
    """

    train: Bounds
    test: Bounds
    probes: tuple[tuple[str, Bounds, Bounds], ...] = ()
    loss: str = "squared"
    classes: bool = False

    @property
    def blocks(self) -> list[tuple[Bounds, Bounds]]:
        """Blocks of the feature kernel that curves need, by bounds of rows and columns."""
        found = [(self.train, self.train)]
        for _, known, held_out in self.probes:
            found += [(known, known), (held_out, known)]
        return list(dict.fromkeys(found))  # a stage on the source has one block for two observables

    @property
    def kept(self) -> NDArray[np.int64]:
        """Indices of the points on which feature kernels are kept."""
        return np.concatenate([np.arange(*b)[:KERNEL_POINTS] for b in (self.train, self.test)])


class Labels(NamedTuple):
    """Labels of a stage's sets, each (points,) or (points, outputs).

    Attributes:
        train, test: of the sets that the stage trains on and tests.
        probes: of the training and the test set of every probed task.
    """

    train: Any
    test: Any
    probes: tuple[tuple[Any, Any], ...] = ()

    def astype(self, dtype: DTypeLike) -> Labels:
        """Return the labels in a precision."""
        probes = tuple((y.astype(dtype), y_test.astype(dtype)) for y, y_test in self.probes)
        return Labels(self.train.astype(dtype), self.test.astype(dtype), probes)

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
    seen = stage.sets_seen(sets)
    ends = np.cumsum([0, *(len(sets[name]) for name in seen)]).tolist()
    at = dict(zip(seen, itertools.pairwise(ends), strict=True))
    probed = stage.tasks_probed(sets)
    probes = tuple((name, at[name], at[f"{name}_test"]) for name in probed)
    labels = sets[stage.data].y
    one_hot = labels.ndim == 2 and bool(
        np.isin(labels, (0, 1)).all() and (labels.sum(1) == 1).all()
    )
    own = at[stage.data], at[f"{stage.data}_test"]
    return Sets(*own, probes, stage.loss, stage.loss != "squared" or one_hot)


def stage_labels(data: TransferData, stage: Stage) -> Labels:
    """Return the labels of a stage's sets."""
    probed = stage.tasks_probed(data.sets())
    probes = tuple((data.train(name).y, data.test(name).y) for name in probed)
    return Labels(data.train(stage.data).y, data.test(stage.data).y, probes)


def stage_points(
    data: TransferData, stage: Stage
) -> tuple[Float[np.ndarray, "points ..."], Labels, Sets]:
    """Return the inputs of all points that a stage observes, its sets' labels and positions.

    The training set comes first, then the others in the order of `Stage.sets_seen`.
    """
    sets = data.sets()
    x = np.concatenate([sets[name].x for name in stage.sets_seen(sets)])
    return x, stage_labels(data, stage), stage_sets(data, stage)
