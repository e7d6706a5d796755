"""Predicted time and memory of cells, and the jobs that follow from them."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from harness.execution.jobs import Job
from harness.execution.machine import Rates
from harness.records import Work
from harness.suites import Cell
from harness.suites.cells import Solver, digest

SHORT = 1.0
"""Seconds up to which the seeds of a job are not split among workers."""

SHARES = 4
"""Jobs that the networks of one width are split into for every worker, if they take long."""

MIB = 2.0**20


@dataclass
class Estimates:
    """What is known of the cost of a plan's cells.

    Attributes:
        rates: of this machine.
        seeds: networks of a width, where an experiment has no seeds of its own.
        works: by experiment and `solver_name`, as far as they are known.
        measured: of finished cells, by kind: seconds, and those predicted where work is known.
    """

    rates: Rates
    seeds: int = 1
    works: dict[tuple[str, str], Work | None] = field(default_factory=dict)
    measured: dict[str, list[tuple[float, float | None]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _ratios: dict[str, float] = field(default_factory=dict)

    def add_works(
        self, experiment: str, solvers: Iterable[Solver], works: Iterable[Work | None]
    ) -> None:
        """Take in what solving an experiment takes."""
        for solver, work in zip(solvers, works, strict=True):
            self.works[experiment, solver_name(solver)] = work

    def add_measured(self, cell: Cell, seconds: float) -> None:
        """Take in what a finished cell took; its experiment's works come before."""
        self.measured[kind(cell.solver)].append((seconds, self._predicted(cell)))
        self._ratios.clear()

    def seconds(self, cell: Cell) -> float | None:
        """Return the time of a cell on one worker, compilation aside; None if it is not known.

        Finished cells of the same kind correct it; without a known work, their median is taken.
        """
        predicted, name = self._predicted(cell), kind(cell.solver)
        found = self.measured.get(name, [])
        if predicted is None:
            return statistics.median(s for s, _ in found) if found else None
        if name not in self._ratios:
            ratios = [s / expected for s, expected in found if expected is not None]
            self._ratios[name] = statistics.median(ratios) if ratios else 1.0
        return predicted * self._ratios[name]

    def bytes(self, cell: Cell) -> float | None:
        """Return the memory of a worker that computes a cell; None if it is not known."""
        work = self._work(cell)
        return None if work is None else self.rates.worker_bytes + work.bytes

    def _predicted(self, cell: Cell) -> float | None:
        """Return the time by work and rates alone."""
        work, own = self._work(cell), cell.experiment.seeds
        if work is None:
            return None
        seeds = self.seeds if own is None else len(own)
        return self.rates.seconds(work, seeds if cell.solver.theory is None else 1)

    def _work(self, cell: Cell) -> Work | None:
        return self.works.get((cell.experiment.name, solver_name(cell.solver)))


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
    balances the workers. Cells whose time is not known come first. A job that would not fit in
    memory carries the reason why it is refused.

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
    longest = max(SHORT, total / (SHARES * workers))
    jobs = []
    for name, group in groups.items():
        each, held = times[name], estimates.bytes(group[0])
        size = len(group) if not each else max(1, int(longest / each))
        for i in range(0, len(group), size):
            part = tuple(group[i : i + size])
            jobs.append(
                Job(
                    part,
                    seconds=None if each is None else each * len(part),
                    bytes=held or 0.0,
                    refusal=_refusal(group[0], held, estimates.rates, memory),
                )
            )
    return sorted(jobs, key=lambda job: -(float("inf") if job.seconds is None else job.seconds))


def _refusal(cell: Cell, held: float | None, rates: Rates, memory: float | None) -> str:
    if held is None or memory is None or held <= memory:
        return ""
    smaller = (
        "fewer units, layers or points"
        if cell.solver.theory is None
        else "fewer samples or points, or its memory_gib"
    )
    return (
        f"needs about {held / MIB:,.0f} MiB ({rates.worker_bytes / MIB:,.0f} of them for its"
        f" worker), and the workers together may use {memory / MIB:,.0f} MiB; not started: give a"
        f" larger --memory, or {smaller}"
    )
