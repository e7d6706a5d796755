"""The sizes of a problem and the work of solving it, for predictions of cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from harness.records.architecture import Architecture
from harness.records.problem import Problem
from harness.records.protocol import Stage

HELD_WEIGHTS, HELD_FEATURES = 3, 5
"""Number of arrays that training holds, of the size of the weights and of all points' features."""

TRAINING_PROGRAMS = 2
"""Number of programs compiled to train a network: for steps, and for hidden layers."""

STAGE_CALLS = 25.0
"""Time of a stage for the smallest network, in compiled calls."""


@dataclass(frozen=True)
class Work:
    """Work of a computation, in counts that do not depend on the machine.

    Attributes:
        flops: floating-point operations of matrix products and factorisations.
        elements: numbers that pass through everything else, such as activations and updates.
        calls: compiled calls, each of which has a fixed cost in time.
        bytes: memory held at once.
        programs: number of programs that a job compiles before it can compute.
    """

    flops: float
    elements: float = 0.0
    calls: float = 0.0
    bytes: float = 0.0
    programs: float = 0.0

    def __add__(self, other: Work) -> Work:
        """Return the work of both in sequence; memory is the larger of the two."""
        return Work(
            self.flops + other.flops,
            self.elements + other.elements,
            self.calls + other.calls,
            max(self.bytes, other.bytes),
            self.programs + other.programs,
        )

    def times(self, count: float) -> Work:
        """Return the work of so many repetitions in sequence."""
        return replace(
            self,
            flops=self.flops * count,
            elements=self.elements * count,
            calls=self.calls * count,
        )


@dataclass(frozen=True, kw_only=True)
class ProblemSize:
    """A problem without its data: enough to predict the work of solving it.

    Attributes:
        inputs: D, dimension of an input of the first layer, at each position.
        positions: of the input, that a unit of the first layer sees.
        readouts: K, readout weights of a unit.
        points: number of points by set, as in `TransferData.sets`.
        depth, activation, branch_scale, other: facts of the architecture.
        stages: stages of the protocol; dt may still be "auto".
    """

    inputs: int
    positions: int
    readouts: int
    points: Mapping[str, int]
    depth: int
    activation: str
    branch_scale: float | None
    other: str | None
    stages: tuple[Stage, ...]

    @classmethod
    def of(cls, problem: Problem) -> ProblemSize:
        """Return the size of a problem."""
        data = problem.data
        points = {name: len(points) for name, points in data.sets().items()}
        shape = data.target.x.shape[1:]
        return cls.measured(problem.architecture, shape, points, problem.protocol.stages)

    @classmethod
    def measured(
        cls,
        architecture: Architecture,
        shape: tuple[int, ...],
        points: Mapping[str, int],
        stages: tuple[Stage, ...],
    ) -> ProblemSize:
        """Return the size of a problem from the shape of its inputs, without data."""
        inputs = architecture.inputs(np.zeros((1, *shape)))
        pooling, seen = architecture.pooled(inputs), math.prod(inputs.shape[1:-1])
        return cls(
            inputs=inputs.shape[-1],
            positions=seen,
            readouts=seen if pooling is None else len(pooling),
            points=points,
            depth=architecture.depth,
            activation=architecture.activation,
            branch_scale=architecture.branch_scale,
            other=architecture.other,
            stages=stages,
        )

    @property
    def total(self) -> int:
        """Number of points in all sets."""
        return sum(self.points.values())

    def train(self, stage: Stage) -> int:
        """Return the number of points on which a stage trains."""
        return self.points[stage.data]

    def seen(self, stage: Stage) -> int:
        """Return the number of points that a stage uses: see `observables.stage_points`."""
        return sum(self.points[name] for name in stage.sets_seen(self.points))

    def training(self, units: int, inputs: int | None = None, itemsize: int = 4) -> Work:
        """Return the work of training hidden layers through all stages, once.

        This is the work of a network, and of particles that represent one; recorded steps, some
        tens among hundreds, are not counted separately.

        Args:
            units: number of units of every hidden layer.
            inputs: D, if it differs from that of the problem.
            itemsize: bytes of a number.
        """
        first, later = (inputs or self.inputs) * units, (self.depth - 1) * units**2
        shown, met = self.readouts * units, self.positions * first
        hidden = units * (self.depth - 1 + self.positions)
        found = Work(0.0, programs=TRAINING_PROGRAMS)
        for stage in self.stages:
            points = self.train(stage)
            flops, elements = 4.0 * points * shown, float(points * shown)
            if stage.trainable != "readout":  # linearised networks too
                flops += 4.0 * points * met + 6.0 * points * later
                elements += 3.0 * points * hidden + 2.0 * (first + later)
            found += Work(
                stage.steps * flops + 2.0 * self.seen(stage) * (met + later + shown * self.total),
                stage.steps * elements,
                STAGE_CALLS,
            )
        features = max(self.seen(stage) for stage in self.stages) * hidden
        data = self.total * self.positions * (inputs or self.inputs)
        weights = (HELD_WEIGHTS + any(stage.elastic > 0 for stage in self.stages)) * (first + later)
        held = itemsize * (weights + HELD_FEATURES * features + data) + 8 * data
        return replace(found, bytes=held)
