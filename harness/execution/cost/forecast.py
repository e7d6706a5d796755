"""The jobs of a plan, their expected cost, and the expected end of a run."""

from __future__ import annotations

import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.execution.calls import Inspected, Job
from harness.execution.cost.estimates import IDLE_WORKER_BYTES, Estimates
from harness.execution.cost.history import Finished
from harness.execution.cost.work import NETWORK, PILOT, distinct, kind, solver_name, works_of
from harness.execution.machine import MIB
from harness.records import PILOT_WIDTH, Architecture, ProblemSize, Work
from harness.registry import Registry
from harness.suites import Cell, Experiment, Resolved, cells_of, solvers_of
from harness.suites.build import build_protocol
from harness.suites.cells import UNRESOLVED

if TYPE_CHECKING:
    from harness.execution.plan import Plan

LOG = logging.getLogger("harness.execution")

SHARES = 4
"""Number of jobs for each worker into which long-running networks of one width are split."""

PILOT_TRIALS = 3
"""Usual number of times that a pilot run trains its network."""

OVERHEAD = 0.02
"""Seconds to send any job to its worker and back."""

AROUND = 10.0
"""Seconds of a run beside its jobs, to start processes and to write scores and a report."""


def jobs_of(
    cells: Sequence[Cell], estimates: Estimates, workers: int, memory: float | None
) -> list[Job]:
    """Group the networks of one problem, observables and width into jobs, the longest jobs first.

    Seeds of one width share a job, and so compiled programs; they are split where that balances
    the workers and they take longer than compiling. Cells whose time is not known come first. A
    job with the same work as another one finds its programs compiled. A job that would not fit in
    memory carries the reason why it is refused.

    Args:
        cells: cells to compute.
        estimates: estimates of their cost.
        workers: number of workers.
        memory: bytes that all workers may use together; None to refuse nothing.
    """
    groups: dict[str, list[Cell]] = {}
    for cell in {c.key: c for c in cells}.values():
        groups.setdefault(f"{cell.shared_key} {solver_name(cell.solver)}", []).append(cell)
    total = sum((estimates.of(group[0]).seconds or 0.0) * len(group) for group in groups.values())
    compiled: set[tuple[str, Work | None]] = set()
    jobs = []
    for group in groups.values():
        cost, program = estimates.of(group[0]), (kind(group[0].solver), estimates.work(group[0]))
        compiling = 0.0 if program in compiled else cost.compiling
        compiled |= {program} if program[1] else set()
        longest = max(compiling, total / (SHARES * workers))
        size = max(1, int(longest / cost.seconds)) if cost.seconds else len(group)
        refusal = _refusal(group[0], cost.bytes, memory)
        for i in range(0, len(group), size):
            part = tuple(group[i : i + size])
            seconds = None if cost.seconds is None else cost.seconds * len(part)
            jobs.append(Job(part, seconds, compiling, cost.bytes or 0.0, refusal))
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
        f"needs about {held / MIB:,.0f} MiB ({IDLE_WORKER_BYTES / MIB:,.0f} of them for its"
        f" worker), and the workers together may use {memory / MIB:,.0f} MiB; not started: give a"
        f" larger --memory, or {smaller}"
    )


def predicted_plan(
    plan: Plan, registry: Registry, history: Sequence[Finished], workers: int, memory: float
) -> dict[str, Any]:
    """Return every cell of a plan with its expected cost, and totals.

    Args:
        plan: plan of a suite, with the data inspected.
        registry: the components.
        history: jobs finished on this machine.
        workers: number of workers that share the cells.
        memory: bytes that they may use together.

    Returns:
        ``cells``: rows with "status" ("finished", "missing", "refused" where a cell would not fit
        in memory, "pilot" where a pilot run must find dt first, "failed" where the data cannot be
        made), "seconds" of computing on one worker, "compile_seconds", its share of its job's time
        of compiling, and "mebibytes" of its worker; null where nothing is known. ``total``: numbers
        of cells, seconds with compilation and compile_seconds of all missing cells on one worker,
        elapsed_seconds with all workers, from start to report, the largest memory, and the basis of
        these predictions.
    """
    estimates, cells = Estimates(history), []
    times: list[tuple[float, float]] = []
    missing = {cell.key for cell in plan.missing}
    for experiment in plan.suite.experiments:
        data, dts = plan.data.get(experiment.name), plan.dts.get(experiment.name)
        resolved = UNRESOLVED if data is None else Resolved(data.digest, dts or ())
        for cell in cells_of(experiment, plan.suite, resolved):
            known = "missing" if cell.key in missing else "finished"
            cells.append((cell, "failed" if data is None else "pilot" if dts is None else known))
        size = None if data is None else _size(experiment, data, registry)
        if size is not None:
            solvers = distinct(solvers_of(experiment, plan.suite))
            estimates.add_works(experiment.name, solvers, works_of(size, solvers, registry))
            if dts is None:
                pilot = estimates.cost(PILOT, None)
                if pilot.seconds is None:
                    pilot = estimates.cost(NETWORK, size.training(PILOT_WIDTH).times(PILOT_TRIALS))
                times.append((pilot.seconds or 0.0, pilot.compiling))
    ahead = [cell for cell, status in cells if status in {"pilot", "missing"}]
    jobs = jobs_of(ahead, estimates, workers, memory)
    job_of = {cell.key: job for job in jobs for cell in job.cells}
    rows = [_row(cell, status, job_of.get(cell.key), estimates) for cell, status in cells]
    times += [(j.seconds, j.compiling) for j in jobs if j.seconds is not None and not j.refusal]
    each = [computing + compiling for computing, compiling in times]
    wanted = [row for row in rows if row["status"] != "finished"]
    return {
        "cells": rows,
        "total": {
            "cells": len(rows),
            "to_compute": len(wanted),
            "refused": sum(row["status"] == "refused" for row in wanted),
            "unknown": sum(row["seconds"] is None for row in wanted),
            "pilots": sum(dts is None for dts in plan.dts.values()),
            "failed": len(plan.failed),
            "seconds": sum(each),
            "compile_seconds": sum(compiling for _, compiling in times),
            "workers": workers,
            "elapsed_seconds": (AROUND if wanted else 0.0) + max([sum(each) / workers, *each]),
            "mebibytes": max((row["mebibytes"] or 0.0 for row in wanted), default=0.0),
            "mebibytes_allowed": memory / MIB,
            "known": _known({kind(cell.solver) for cell in ahead}, history),
        },
    }


def _size(experiment: Experiment, data: Inspected, registry: Registry) -> ProblemSize | None:
    try:
        stages = build_protocol(experiment, registry).stages
        architecture: Architecture = experiment.architecture.make(
            registry, registry.get("architecture", experiment.architecture.name)
        )
        return ProblemSize.measured(architecture, data.shape, data.points, stages)
    except Exception as error:  # a plugin may raise anything: the run reports it where it matters
        LOG.warning("%s: no prediction (%s: %s)", experiment.name, type(error).__name__, error)
        return None


def _row(cell: Cell, status: str, job: Job | None, estimates: Estimates) -> dict[str, Any]:
    cost = estimates.of(cell)
    return {
        "experiment": cell.experiment.name,
        "solver": cell.solver.name,
        "width": cell.solver.width,
        "seed": cell.solver.seed,
        "cell": cell.title,
        "key": cell.key if status in {"missing", "finished"} else None,
        "status": "refused" if job and job.refusal else status,
        "seconds": cost.seconds,
        "compile_seconds": job.compiling / len(job.cells) if job else 0.0,
        "mebibytes": None if cost.bytes is None else cost.bytes / MIB,
    }


def _known(kinds: set[str], history: Sequence[Finished]) -> str:
    """Return in words the basis of predictions for these kinds of solvers."""
    cells = sum(job.cells for job in history if job.kind in kinds)
    if not cells:
        return "from counts; no run on this machine yet" if kinds else "nothing to predict"
    unmet = sorted(name.partition(" ")[0] for name in kinds - {job.kind for job in history})
    return f"from {cells} finished cells" + f"; {', '.join(unmet)} from counts" * bool(unmet)


@dataclass(frozen=True)
class Expected:
    """Expected cost of a job.

    Attributes:
        kind: kind of job; errors of prediction are similar within a kind.
        seconds: seconds on one worker; infinity if not known.
        bytes: bytes of memory; 0 if not known.
    """

    kind: str
    seconds: float = math.inf
    bytes: float = 0.0


class Forecast:
    """Follows jobs, and corrects the expected time of each kind by the times of its finished jobs.

    Args:
        jobs: expected costs by number of the job.
        clock: returns monotonic seconds.
    """

    def __init__(
        self, jobs: Sequence[Expected], clock: Callable[[], float] = time.monotonic
    ) -> None:
        known = [job.seconds for job in jobs if math.isfinite(job.seconds)] or [1.0]
        usual = sum(known) / len(known)
        self._seconds = [
            OVERHEAD + (j.seconds if math.isfinite(j.seconds) else usual) for j in jobs
        ]
        self._kinds, self._clock = [job.kind for job in jobs], clock
        self._shares: dict[int, float] = {}
        self._started: dict[int, float] = {}
        self._taken: dict[str, float] = defaultdict(float)
        self._expected: dict[str, float] = defaultdict(float)

    def start(self, number: int) -> None:
        """Note that a job begins, or begins again."""
        self._started[number] = self._clock()
        self._shares[number] = 0.0

    def share(self, number: int, done: float) -> None:
        """Note the share of a job that is done."""
        self._shares[number] = min(max(done, 0.0), 1.0)

    def finish(self, number: int, failed: bool = False) -> None:
        """Note that a job has ended; a failed job does not correct the others' times."""
        self._shares[number] = 1.0
        started = self._started.pop(number, None)
        if started is not None and not failed:
            self._taken[self._kinds[number]] += self._clock() - started
            self._expected[self._kinds[number]] += self._seconds[number]

    @property
    def done(self) -> float:
        """The share of the work that is done, between 0 and 1."""
        work = sum(self._seconds[n] * share for n, share in self._shares.items())
        return work / sum(self._seconds) if self._seconds else 1.0

    def seconds_left(self, workers: int) -> float | None:
        """Return the seconds until all jobs are done by so many workers; None if not known yet."""
        if not self._expected:
            return None
        overall = sum(self._taken.values()) / sum(self._expected.values())
        left = []
        for number, seconds in enumerate(self._seconds):
            name = self._kinds[number]
            ratio = self._taken[name] / self._expected[name] if name in self._expected else overall
            left.append(seconds * ratio * (1.0 - self._shares.get(number, 0.0)))
        return max(sum(left) / max(1, workers), max(left, default=0.0))
