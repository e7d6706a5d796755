"""Calls: what workers are asked to do, and what they return."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from harness.records import Work
from harness.suites import Cell, Experiment, Solver


@dataclass(frozen=True)
class Job:
    """Cells that share a problem: networks of one width and several seeds, or one theory.

    Attributes:
        cells: which.
        seconds: of computing that the job is expected to take; None if that is not known.
        compiling: seconds that it is expected to spend on compiling before.
        bytes: of memory that its worker is expected to need; 0 if that is not known.
        refusal: why it is not to be started; empty if it is.
    """

    cells: tuple[Cell, ...]
    seconds: float | None = None
    compiling: float = 0.0
    bytes: float = 0.0
    refusal: str = ""

    @property
    def total(self) -> float:
        """Seconds that it is expected to take; infinitely many if that is not known."""
        return math.inf if self.seconds is None else self.seconds + self.compiling

    @property
    def title(self) -> str:
        """What progress calls it."""
        first = self.cells[0]
        if first.solver.width is None:
            return first.title
        seeds = "1 seed" if len(self.cells) == 1 else f"{len(self.cells)} seeds"
        return f"{first.experiment.name} · width {first.solver.width} × {seeds}"


@dataclass(frozen=True)
class Inspection:
    """A task of which it is to be found out which data it makes now.

    Attributes:
        experiment: one that has the task.
    """

    experiment: Experiment


@dataclass(frozen=True)
class Inspected:
    """The data that a task makes: their digest, and their sizes.

    Attributes:
        digest: as `TransferData.digest` has it.
        shape: of one input.
        points: numbers of points by set.
    """

    digest: str
    shape: tuple[int, ...]
    points: dict[str, int]


@dataclass(frozen=True)
class Pilot:
    """A look at an experiment before its jobs: its steps, and the work that solving it takes.

    Attributes:
        experiment: which.
        data: digest of its data.
        dts: the step of every stage, if they are known; else a pilot network may find them.
        solvers: whose work is wanted.
    """

    experiment: Experiment
    data: str
    dts: tuple[float, ...] | None
    solvers: tuple[Solver, ...]


@dataclass(frozen=True)
class Spent:
    """What a call took.

    Attributes:
        seconds: of computing.
        compiling: seconds of tracing and compiling.
        compiled: programs that were compiled.
        loaded: programs that an earlier call had compiled and kept.
    """

    seconds: float = 0.0
    compiling: float = 0.0
    compiled: int = 0
    loaded: int = 0

    def __add__(self, other: Spent) -> Spent:
        """Return what both took."""
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
        dts: the steps.
        works: of solvers; None where it is not known.
        trained: whether a pilot network was trained, to find a step.
        spent: on all that.
    """

    dts: tuple[float, ...]
    works: tuple[Work | None, ...]
    trained: bool = False
    spent: Spent = Spent()


@dataclass(frozen=True)
class CellReport:
    """What became of a cell, in short; the first of a job says what the job took."""

    key: str
    status: Literal["done", "failed", "not-applicable"]
    message: str = ""
    spent: Spent = Spent()


Call = Job | Pilot | Inspection
"""A job to run, a pilot of an experiment, or an inspection of a task's data."""
