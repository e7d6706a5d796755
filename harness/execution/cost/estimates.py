"""Cost of cells: plain counts of their work, at the rates of jobs finished on this machine."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.execution.cost.history import Finished
from harness.execution.cost.work import kind, solver_name
from harness.records import Work
from harness.suites import Cell
from harness.suites.cells import Solver

if TYPE_CHECKING:
    from harness.execution.calls import Spent

FLOP, ELEMENT, CALL, PROGRAM = 2e-11, 1.5e-9, 4e-4, 0.3
"""Seconds for a unit of each kind of work, and to compile a program, on a server's processor."""

LOADING = 0.3
"""Time to load a kept program, as a share of the time to compile it."""

IDLE_WORKER_BYTES = 350 * 2**20
"""Memory of a worker before its first job."""

NEAREST = 9
"""Number of finished jobs behind a prediction: those of most similar work, then the last ones."""


@dataclass(frozen=True)
class Cost:
    """Time and memory of a cell.

    Attributes:
        seconds: seconds on one worker, without compilation; None if not known.
        compiling: seconds that its job spends on compiling, or on loading programs.
        bytes: memory of its worker in bytes; None if not known.
    """

    seconds: float | None
    compiling: float
    bytes: float | None


@dataclass
class Estimates:
    """Knowledge of the cost of a plan's cells.

    Attributes:
        history: jobs finished on this machine; they correct the counts.
        works: known works by experiment and `solver_name`.
    """

    history: Sequence[Finished] = ()
    works: dict[tuple[str, str], Work | None] = field(default_factory=dict)
    _known: dict[tuple[str, Work | None], Cost] = field(default_factory=dict)

    def add_works(
        self, experiment: str, solvers: Iterable[Solver], works: Iterable[Work | None]
    ) -> None:
        """Add the work of solving an experiment."""
        for solver, work in zip(solvers, works, strict=True):
            self.works[experiment, solver_name(solver)] = work

    def work(self, cell: Cell) -> Work | None:
        """Return the work of a cell; None if not known."""
        return self.works.get((cell.experiment.name, solver_name(cell.solver)))

    def of(self, cell: Cell) -> Cost:
        """Return the cost of a cell."""
        return self.cost(kind(cell.solver), self.work(cell))

    def cost(self, name: str, work: Work | None) -> Cost:
        """Return the cost of work of a kind, by finished jobs of that kind, the last ones first."""
        if (name, work) not in self._known:
            alike = [job for job in reversed(self.history) if job.kind == name]
            self._known[name, work] = Cost(
                _seconds(alike, _counts(work)),
                _compiling(alike, _counts(work), PROGRAM * work.programs if work else 0.0),
                None if work is None else IDLE_WORKER_BYTES + work.bytes,
            )
        return self._known[name, work]

    def finished(self, cells: Sequence[Cell], spent: Spent) -> Finished:
        """Return the history entry of a job that computed cells."""
        counts = _counts(self.work(cells[0]))
        return Finished.of(kind(cells[0].solver), len(cells), counts, spent)


def _counts(work: Work | None) -> float:
    return FLOP * work.flops + ELEMENT * work.elements + CALL * work.calls if work else 0.0


def _seconds(alike: Sequence[Finished], counts: float) -> float | None:
    known = [job for job in alike if bool(job.counts) == bool(counts)]
    if not known:
        return counts or None
    if not counts:
        return statistics.median(job.seconds for job in known[:NEAREST])
    known.sort(key=lambda job: abs(math.log(job.counts / counts)))
    return counts * statistics.median(job.seconds / job.counts for job in known[:NEAREST])


def _compiling(alike: Sequence[Finished], counts: float, programs: float) -> float:
    cold = [job.compiling for job in alike if job.compiled][:NEAREST]
    usual = statistics.median(cold) if cold else programs
    if not any(math.isclose(job.counts, counts) for job in alike):
        return usual
    warm = [job.compiling for job in alike if job.loaded and not job.compiled][:NEAREST]
    return statistics.median(warm) if warm else LOADING * usual
