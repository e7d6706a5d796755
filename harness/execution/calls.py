"""Calls to workers, and their results."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from harness.records import Work
from harness.suites import Cell, Experiment, Solver


@dataclass(frozen=True)
class Job:
    """Cells that share a problem: networks of one width and several seeds, or one theory.

    Attributes:
        cells: cells of the job.
        seconds: expected seconds of computing; None if not known.
        compiling: expected seconds of compiling, before computing.
        bytes: expected memory of its worker in bytes; 0 if not known.
        refusal: reason why the job must not be started; empty if it may.
    """

    cells: tuple[Cell, ...]
    seconds: float | None = None
    compiling: float = 0.0
    bytes: float = 0.0
    refusal: str = ""

    @property
    def total(self) -> float:
        """Expected seconds of the job; infinity if not known."""
        return math.inf if self.seconds is None else self.seconds + self.compiling

    @property
    def title(self) -> str:
        """Name of the job in progress output."""
        first = self.cells[0]
        if first.solver.width is None:
            return first.title
        seeds = "1 seed" if len(self.cells) == 1 else f"{len(self.cells)} seeds"
        return f"{first.experiment.name} · width {first.solver.width} × {seeds}"


@dataclass(frozen=True)
class Inspection:
    """A call to find the data that a task makes now, and whether its experiments fit them.

    Attributes:
        experiments: the experiments that have the task, at least one.
    """

    experiments: tuple[Experiment, ...]


@dataclass(frozen=True)
class Inspected:
    """The data that a task makes: their digest, and their sizes.

    Attributes:
        digest: digest of the data, as in `TransferData.digest`.
        shape: shape of one input.
        points: number of points by set.
        faults: reason why an experiment's parts do not fit each other, by its name.
    """

    digest: str
    shape: tuple[int, ...]
    points: dict[str, int]
    faults: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pilot:
    """A call, before the jobs of an experiment, to find its steps and the work of solving it.

    Attributes:
        experiment: the experiment.
        data: digest of its data.
        dts: step of every stage, if known; else a pilot network may find them.
        solvers: solvers whose work is wanted.
    """

    experiment: Experiment
    data: str
    dts: tuple[float, ...] | None
    solvers: tuple[Solver, ...]


@dataclass(frozen=True)
class Spent:
    """Time and programs that a call took.

    Attributes:
        seconds: seconds of computing.
        compiling: seconds of tracing and compiling.
        compiled: number of programs that were compiled.
        loaded: number of programs that an earlier call had compiled and kept.
    """

    seconds: float = 0.0
    compiling: float = 0.0
    compiled: int = 0
    loaded: int = 0

    def __add__(self, other: Spent) -> Spent:
        """Return the sum of both."""
        return Spent(
            self.seconds + other.seconds,
            self.compiling + other.compiling,
            self.compiled + other.compiled,
            self.loaded + other.loaded,
        )


@dataclass(frozen=True)
class Piloted:
    """The answer to a pilot: the step of every stage, and the work of solvers.

    Attributes:
        dts: step of every stage.
        works: work of each solver; None where not known.
        trained: whether a pilot network was trained to find a step.
        spent: time and programs of the pilot.
    """

    dts: tuple[float, ...]
    works: tuple[Work | None, ...]
    trained: bool = False
    spent: Spent = Spent()


@dataclass(frozen=True)
class CellReport:
    """Outcome of a cell in short; the first report of a job carries the time of the job."""

    key: str
    status: Literal["done", "failed", "not-applicable"]
    message: str = ""
    spent: Spent = Spent()


Call = Job | Pilot | Inspection
"""A job to run, a pilot of an experiment, or an inspection of a task's data."""
