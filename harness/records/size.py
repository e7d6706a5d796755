"""The sizes of a problem, and the work that solving it takes: what predictions of cost rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness.records.problem import Problem
from harness.records.protocol import Stage, recorded_steps

KEPT_POINTS = 200
"""Points on which the kernels of every layer are kept at the end of a stage, at most."""

DENSITY_ELEMENTS = 30
"""Elements of work that sorting one pre-activation into its bin is worth."""

START_CALLS, STEP_CALLS, RECORD_CALLS = 10.0, 0.04, 0.1
"""Compiled calls that the start of training or of a stage, a step of a layer within a compiled
loop, and a recorded step are worth, whatever their sizes."""

START_PROGRAMS, STAGE_PROGRAMS = 1.0, 3.0
"""Compiled programs with which training starts, and those of a stage."""

WEIGHT_COPIES, FEATURE_COPIES = 3, 5
"""Arrays of the size of the weights, and of the features of all points, that training holds."""


@dataclass(frozen=True)
class Work:
    """What a computation takes, whatever the machine.

    Attributes:
        flops: floating-point operations of matrix products and factorisations.
        elements: numbers that pass through everything else, such as activations and updates.
        calls: compiled calls, each of which costs some time whatever it does.
        bytes: memory that is held at once.
        programs: compiled programs, which a job takes up once, whatever else it repeats; compiling
            them is not counted.
    """

    flops: float
    elements: float = 0.0
    calls: float = 0.0
    bytes: float = 0.0
    programs: float = 0.0

    def __add__(self, other: Work) -> Work:
        """Return the work of one after the other; the larger memory is that of both."""
        return Work(
            self.flops + other.flops,
            self.elements + other.elements,
            self.calls + other.calls,
            max(self.bytes, other.bytes),
            self.programs + other.programs,
        )

    def times(self, count: float) -> Work:
        """Return the work of so many one after the other."""
        return replace(
            self,
            flops=self.flops * count,
            elements=self.elements * count,
            calls=self.calls * count,
        )


@dataclass(frozen=True, kw_only=True)
class ProblemSize:
    """A problem without its data: enough to say what solving it takes.

    Attributes:
        inputs: D, numbers of an input as the first layer sees it.
        points: number of points by set: "source", "source_test", "target", "target_test".
        depth, activation, connectivity: of the architecture.
        stages: of the protocol; dt may still be "auto".
    """

    inputs: int
    points: Mapping[str, int]
    depth: int
    activation: str
    connectivity: str
    stages: tuple[Stage, ...]

    @classmethod
    def of(cls, problem: Problem) -> ProblemSize:
        """Return the size of a problem."""
        architecture = problem.architecture
        return cls(
            inputs=int(architecture.input_map(problem.data.target.x[:1]).shape[1]),
            points={name: len(data) for name, data in problem.data.sets().items()},
            depth=architecture.depth,
            activation=architecture.activation,
            connectivity=architecture.connectivity,
            stages=problem.protocol.stages,
        )

    @property
    def total(self) -> int:
        """Number of points of all sets."""
        return sum(self.points.values())

    def train(self, stage: Stage) -> int:
        """Return the number of points on which a stage trains."""
        return self.points[stage.data]

    def seen(self, stage: Stage) -> int:
        """Return the number of points that a stage looks at: see `observables.stage_points`."""
        return sum(self.points[name] for name in stage.sets_seen(self.points))

    def training(
        self,
        units: int,
        inputs: int | None = None,
        itemsize: int = 4,
        keeps_features: bool = True,
    ) -> Work:
        """Return the work of training dense hidden layers through all stages, once.

        Steps, the observables of recorded steps, and the kernels and densities at the end of each
        stage are counted. It is that of a network, and of particles that stand for one.

        Args:
            units: of every hidden layer.
            inputs: D, if it is not that of the problem.
            itemsize: bytes of a number.
            keeps_features: whether those that a stage does not change are computed once, or else at
                every recorded step.
        """
        first, later = (inputs or self.inputs) * units, (self.depth - 1) * units**2
        found = Work(0.0, calls=START_CALLS, programs=START_PROGRAMS)
        for stage in self.stages:
            points, seen = self.train(stage), self.seen(stage)
            records = len(recorded_steps(stage.steps))
            looking = 2.0 * seen * (first + later) + 2.0 * units * (points**2 + _probe(self.points))
            looked = 2.0 * seen * units * self.depth
            if stage.trainable == "all":
                flops = 4.0 * points * (first + units) + 6.0 * points * later
                elements = 4.0 * points * units * self.depth + 2.0 * (first + later)
                looks, layers = records, self.depth
            else:
                # features and their kernels stay, and are computed once
                flops, elements = 4.0 * points * units, float(points * units)
                looks, layers = 1 if keeps_features else records, 1
            if stage.temperature > 0:
                elements += 20.0 * (first + later)  # random numbers
            kept = min(KEPT_POINTS, seen)
            found += Work(
                stage.steps * flops
                + looks * looking
                + records * 2.0 * seen * units
                + 2.0 * self.depth * kept**2 * units,
                stage.steps * elements
                + looks * looked
                + DENSITY_ELEMENTS * points * units * self.depth,
                START_CALLS + STEP_CALLS * stage.steps * layers + RECORD_CALLS * records,
                programs=STAGE_PROGRAMS,
            )
        weights = first + later + units
        features = self.depth * max(self.seen(stage) for stage in self.stages) * units
        data = self.total * (inputs or self.inputs)
        copies = WEIGHT_COPIES + any(stage.elastic > 0 for stage in self.stages)
        held = itemsize * (copies * weights + FEATURE_COPIES * features + data) + 8 * data
        return replace(found, bytes=held)


def _probe(points: Mapping[str, int]) -> float:
    """Return the entries of the kernels from which the source probe is taken."""
    source, test = points.get("source", 0), points.get("source_test", 0)
    return float(source * (source + test))
