"""Predicted time and memory of cells, and the jobs that follow from them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from harness.execution.calls import Job, Spent
from harness.execution.history import Finished
from harness.records import Work
from harness.suites import Cell
from harness.suites.cells import Solver, digest

FLOP, ELEMENT, CALL, PROGRAM = 3e-11, 3e-10, 1e-4, 0.5
"""Seconds for a unit of each kind of work, and to compile a program, on a server's processor."""

LOADING = 0.2
"""Share of the time of compiling a program that taking up a kept one needs."""

WORKER_BYTES = 350 * 2**20
"""Memory of a worker before its first job."""

NEAREST = 9
"""Finished jobs, those of the most similar work or the last ones, that a prediction follows."""

SHARES = 4
"""Jobs that the networks of one width are split into for every worker, if they take long."""

MIB = 2.0**20


@dataclass
class Estimates:
    """What is known of the cost of a plan's cells.

    What finished on this machine says how far counts are off. A job of the same kind and work as a
    finished one finds its programs in the cache.

    Attributes:
        history: jobs that finished on this machine.
        works: by experiment and `solver_name`, as far as they are known.
    """

    history: Sequence[Finished] = ()
    works: dict[tuple[str, str], Work | None] = field(default_factory=dict)
    _known: dict[tuple[str, float], tuple[float | None, float]] = field(default_factory=dict)

    def add_works(
        self, experiment: str, solvers: Iterable[Solver], works: Iterable[Work | None]
    ) -> None:
        """Take in what solving an experiment takes."""
        for solver, work in zip(solvers, works, strict=True):
            self.works[experiment, solver_name(solver)] = work

    def seconds(self, cell: Cell) -> float | None:
        """Return the time of a cell on one worker, compilation aside; None if it is not known."""
        return self.times(kind(cell.solver), self._work(cell))[0]

    def compiling(self, cell: Cell) -> float:
        """Return the time that a job of such cells spends on compiling, or on loading programs."""
        return self.times(kind(cell.solver), self._work(cell))[1]

    def bytes(self, cell: Cell) -> float | None:
        """Return the memory of a worker that computes a cell; None if it is not known."""
        work = self._work(cell)
        return None if work is None else WORKER_BYTES + work.bytes

    def times(self, name: str, work: Work | None) -> tuple[float | None, float]:
        """Return the seconds of computing and of compiling that work of a kind takes."""
        counts = _counts(work)
        if (name, counts) not in self._known:
            alike = [job for job in self.history if job.kind == name]
            compiling = _compiling(alike, counts, PROGRAM * work.programs if work else 0.0)
            self._known[name, counts] = _seconds(alike, counts), compiling
        return self._known[name, counts]

    def finished(self, cells: Sequence[Cell], spent: Spent) -> Finished:
        """Return what there is to remember of a job that computed cells."""
        return Finished(
            kind=kind(cells[0].solver),
            cells=len(cells),
            counts=_counts(self._work(cells[0])),
            seconds=spent.seconds / len(cells),
            compiling=spent.compiling,
            compiled=spent.compiled,
            loaded=spent.loaded,
        )

    def _work(self, cell: Cell) -> Work | None:
        return self.works.get((cell.experiment.name, solver_name(cell.solver)))


def _counts(work: Work | None) -> float:
    """Return the time of a computation by plain counts; 0 if nothing is known."""
    return FLOP * work.flops + ELEMENT * work.elements + CALL * work.calls if work else 0.0


def _seconds(alike: Sequence[Finished], counts: float) -> float | None:
    """Return the seconds of a cell, by finished ones of its kind whose work is the most similar."""
    near = sorted(
        (abs(math.log(job.counts / counts)), job.seconds / job.counts)
        for job in alike
        if counts and job.counts and job.seconds
    )
    if near:
        return counts * statistics.median(ratio for _, ratio in near[:NEAREST])
    if counts or not alike:
        return counts or None
    return statistics.median(job.seconds for job in alike[-NEAREST:])


def _compiling(alike: Sequence[Finished], counts: float, programs: float) -> float:
    """Return the seconds that a job compiles, by the last ones that did, or did not have to."""
    is_kept = any(math.isclose(job.counts, counts, rel_tol=1e-9) for job in alike)
    cold = [job.compiling for job in alike if job.compiled][-NEAREST:]
    warm = [job.compiling for job in alike if not job.compiled][-NEAREST:]
    if is_kept and warm:
        return statistics.fmean(warm)
    return (statistics.fmean(cold) if cold else programs) * (LOADING if is_kept else 1.0)


def solver_name(solver: Solver) -> str:
    """Return a name that is the same for all seeds of a width."""
    if solver.theory is None:
        return f"network {solver.width} {solver.dtype}"
    return f"theory {digest(solver.theory.asked)}"


def kind(solver: Solver) -> str:
    """Return what a solver is, whatever its sizes: cells of one kind are mispredicted alike."""
    if solver.theory is None:
        return "network"
    return f"{solver.theory.name} {solver.theory.version}"


def distinct(solvers: Iterable[Solver]) -> tuple[Solver, ...]:
    """Return solvers, one seed for each width."""
    return tuple({solver_name(s): s for s in solvers}.values())


def jobs_of(
    cells: Sequence[Cell], estimates: Estimates, workers: int, memory: float | None
) -> list[Job]:
    """Group the networks of one problem and width into jobs, the longest jobs first.

    Seeds of one width share a job, and with it compiled programs; they are split where that
    balances the workers and takes longer than compiling. Cells whose time is not known come first.
    A job that would not fit in memory carries the reason why it is refused.

    Args:
        cells: what is to be computed.
        estimates: of their cost.
        workers: how many there are.
        memory: bytes that all workers may use together; None to refuse nothing.
    """
    groups: dict[str, list[Cell]] = {}
    for cell in {c.key: c for c in cells}.values():
        groups.setdefault(f"{cell.problem_key} {solver_name(cell.solver)}", []).append(cell)
    times = {name: estimates.seconds(group[0]) for name, group in groups.items()}
    total = sum((times[name] or 0.0) * len(group) for name, group in groups.items())
    jobs = []
    for name, group in groups.items():
        each, compiling = times[name], estimates.compiling(group[0])
        held = estimates.bytes(group[0])
        longest = max(compiling, total / (SHARES * workers))
        size = len(group) if not each else max(1, int(longest / each))
        for i in range(0, len(group), size):
            part = tuple(group[i : i + size])
            jobs.append(
                Job(
                    part,
                    seconds=None if each is None else each * len(part),
                    compiling=compiling,
                    bytes=held or 0.0,
                    refusal=_refusal(group[0], held, memory),
                )
            )
    return sorted(jobs, key=lambda job: job.total, reverse=True)


def _refusal(cell: Cell, held: float | None, memory: float | None) -> str:
    if held is None or memory is None or held <= memory:
        return ""
    smaller = (
        "fewer units, layers or points"
        if cell.solver.theory is None
        else "fewer samples or points, or its memory_gib"
    )
    return (
        f"needs about {held / MIB:,.0f} MiB ({WORKER_BYTES / MIB:,.0f} of them for its worker), and"
        f" the workers together may use {memory / MIB:,.0f} MiB; not started: give a larger"
        f" --memory, or {smaller}"
    )
