"""Jobs: what one worker computes in one call, and how it does so."""

from __future__ import annotations

import functools
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from harness.errors import LimitbenchError
from harness.execution.environment import environment
from harness.records import Trajectory
from harness.registry import Registry
from harness.store import Store
from harness.suites import Cell, build_problem
from harness.suites.cells import FORMAT
from harness.suites.expand import Experiment

Share = Callable[[float], None]
Outcome = Trajectory | LimitbenchError | str
"""A result, an error that the solver explains, or the reason why a theory does not apply."""


@dataclass(frozen=True)
class Job:
    """Cells that share a problem: networks of one width and several seeds, or one theory."""

    cells: tuple[Cell, ...]

    @property
    def title(self) -> str:
        """What progress calls it."""
        first = self.cells[0]
        if first.solver.width is None:
            return first.title
        return f"{first.experiment.name} · width {first.solver.width} × {len(self.cells)} seeds"


@dataclass(frozen=True)
class CellReport:
    """What became of a cell, in short."""

    key: str
    status: Literal["done", "failed", "not-applicable"]
    message: str = ""


class JobContext:
    """What a worker keeps between jobs."""

    def __init__(self, plugin_dirs: tuple[str, ...], results: str) -> None:
        self.plugin_dirs = plugin_dirs
        self.store = Store(results)

    @functools.cached_property
    def registry(self) -> Registry:
        """The components, loaded when first needed."""
        return Registry.load(self.plugin_dirs)


def resolve(context: JobContext, experiment: Experiment) -> tuple[float, ...]:
    """Return the step of every stage of an experiment, by a pilot run where it is "auto"."""
    from harness import networks

    return tuple(networks.resolve_steps(build_problem(experiment, context.registry)))


def run_job(context: JobContext, job: Job, share: Share) -> list[CellReport]:
    """Compute the cells of a job and write them; failures are written as failures.

    Args:
        context: of this worker.
        job: what to compute.
        share: called with the share of the job that is done.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    clock = time.perf_counter()
    phase = "problem"
    trace = ""
    outcomes: list[Outcome]
    try:
        first = job.cells[0]
        problem = build_problem(first.experiment, context.registry)
        problem = type(problem)(
            problem.data, problem.architecture, problem.protocol.with_steps(list(first.dts))
        )
        phase = "solve"
        outcomes = _solve(context, job, problem, share)
    except Exception as error:
        trace = traceback.format_exc()
        line = str(error).strip().partition("\n")[0]
        known = error if isinstance(error, LimitbenchError) else None
        failure = known or LimitbenchError(f"{type(error).__name__}: {line}")
        outcomes = [failure] * len(job.cells)
    seconds = (time.perf_counter() - clock) / len(job.cells)
    reports = []
    for cell, outcome in zip(job.cells, outcomes, strict=True):
        facts = cell_facts(cell, started, seconds)
        result = outcome if isinstance(outcome, Trajectory) else None
        if isinstance(outcome, LimitbenchError):
            facts |= {
                "status": "failed",
                "phase": phase,
                "message": str(outcome),
                "traceback": trace,
            }
        elif isinstance(outcome, str):
            facts |= {"status": "not-applicable", "message": outcome}
        else:
            facts |= {"status": "done", "notes": dict(outcome.notes)}
        folder = context.store.write(cell, facts, result)
        reports.append(CellReport(cell.key, facts["status"], facts.get("message", "")))
        context.registry.notify(
            "limitbench_cell_finished",
            experiment=cell.experiment.name,
            solver=cell.solver.name,
            folder=str(folder),
            status=facts["status"],
        )
    return reports


def cell_facts(cell: Cell, started: str, seconds: float) -> dict[str, Any]:
    """Return what ``cell.json`` says of every cell, whatever became of it."""
    return {
        "format": FORMAT,
        "key": cell.key,
        "experiment": cell.experiment.name,
        **cell.identity,
        "started": started,
        "seconds": seconds,
        "environment": environment(),
    }


def _solve(context: JobContext, job: Job, problem: Any, share: Share) -> list[Outcome]:
    solver = job.cells[0].solver
    if solver.theory is None:
        from harness import networks

        seeds = [c.solver.seed for c in job.cells if c.solver.seed is not None]
        if solver.width is None or solver.dtype is None:
            raise ValueError(f"{solver} has no width or dtype")
        return list(networks.train(problem, solver.width, seeds, solver.dtype, share))
    component = context.registry.get("theory", solver.theory.name)
    theory = component.make(component.parse(solver.theory.parameters))
    reason: str | None = theory.supports(problem)
    return [theory.predict(problem) if reason is None else reason]
