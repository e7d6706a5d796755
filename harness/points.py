"""All points of a problem in one array: where its sets lie, and in which order a stage takes them.

Theories of several stages solve on all points at once, since features that one stage learns are
looked at, on its own points, in the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray

from harness.numerics.sampling.gaussian import gram_factor
from harness.records import Problem, Stage


@dataclass(frozen=True, eq=False)
class Points:
    """All points of a problem, its sets one after the other.

    Attributes:
        x: inputs as the first layer sees them, (points, D).
        where: indices into them by name of the set.
        trained: which of them any stage trains on, (points,).
    """

    x: Float64[np.ndarray, "points inputs"]
    where: Mapping[str, Int64[np.ndarray, " set"]]
    trained: NDArray[np.bool_]

    @property
    def gram(self) -> Float64[np.ndarray, "points points"]:
        """K_x between all points."""
        return np.asarray(self.x @ self.x.T / self.x.shape[1])


@dataclass(frozen=True, eq=False)
class StageOrder:
    """All points of a problem, those that a stage looks at first.

    Attributes:
        indices: into the points of the problem, (points,); the first `seen` are those of
            `observables.stage_points`, the first `train` of these the stage's training points.
        seen: how many points the stage looks at.
        train: how many it trains on.
    """

    indices: Int64[np.ndarray, " points"]
    seen: int
    train: int

    def restored(self, values: NDArray[Any], *axes: int) -> NDArray[Any]:
        """Return values in the order of the problem, from this order along the given axes."""
        back = np.argsort(self.indices)
        for axis in axes:
            values = np.take(values, back, axis)
        return values


def stacked_points(problem: Problem) -> Points:
    """Return all points of a problem."""
    sets = problem.data.sets()
    x = np.concatenate([problem.architecture.input_map(d.x) for d in sets.values()])
    ends = np.cumsum([0, *(len(d) for d in sets.values())])
    where = {name: np.arange(a, b) for name, a, b in zip(sets, ends[:-1], ends[1:], strict=True)}
    trained = np.zeros(len(x), bool)
    for stage in problem.protocol.stages:
        trained[where[stage.data]] = True
    return Points(x, where, trained)


def stage_order(points: Points, stage: Stage) -> StageOrder:
    """Return the order in which a stage takes the points of its problem."""
    where = points.where
    seen = np.concatenate([where[name] for name in stage.sets_seen(where)])
    rest = np.setdiff1d(np.arange(len(points.x)), seen)
    return StageOrder(np.concatenate([seen, rest]), len(seen), len(where[stage.data]))


def trained_factor(points: Points) -> tuple[Float64[np.ndarray, "points rank"], int]:
    """Return E with E E^T = K_x, and how many leading columns hold all that is trained on."""
    factor = gram_factor(points.x, np.eye(len(points.x))[:, points.trained])
    return factor, min(int(points.trained.sum()), factor.shape[1])
