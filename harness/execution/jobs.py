"""Jobs: what one worker computes in one call, and how it does so."""

from __future__ import annotations

import functools
import os
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from harness.errors import LimitbenchError
from harness.execution.environment import environment
from harness.records import Observable, Problem, Trajectory
from harness.registry import Component, Registry
from harness.store import Store
from harness.suites import Cell, build_problem
from harness.suites.cells import FORMAT
from harness.suites.expand import Experiment

LONGEST = 20_000
"""Characters of a message or traceback that a cell keeps."""

Share = Callable[[float], None]
Enter = Callable[[str, str], None]
"""Told the phase that begins, and the component whose code it runs."""

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
        self.store = Store(results, make=False)
        self._process = os.getpid()

    def end_if_forked(self) -> None:
        """End this process if a plugin forked it: the worker is its parent, and goes on."""
        if os.getpid() != self._process:
            os._exit(1)

    def describe(self, component: Component) -> str:
        """Return how errors name a component: its kind, name and file."""
        return f"{component.kind} {component.name!r} ({self.registry.origin(component)})"

    @functools.cached_property
    def registry(self) -> Registry:
        """The components, loaded when first needed."""
        return Registry.load(self.plugin_dirs)


def resolve(context: JobContext, experiment: Experiment, enter: Enter) -> tuple[float, ...]:
    """Return the step of every stage of an experiment, by a pilot run where it is "auto"."""
    from harness import networks

    problem = build_problem(
        experiment, context.registry, lambda c: enter("problem", context.describe(c))
    )
    component = context.registry.get("architecture", experiment.architecture.name)
    enter("pilot", context.describe(component))
    return tuple(networks.resolve_steps(problem))


def run_job(context: JobContext, job: Job, share: Share, enter: Enter) -> list[CellReport]:
    """Compute the cells of a job and write them; failures are written as failures.

    Args:
        context: of this worker.
        job: what to compute.
        share: called with the share of the job that is done.
        enter: called when a phase begins.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    clock = time.perf_counter()
    phase, running = "problem", ""
    trace = ""
    outcomes: list[Outcome]

    def begin(next_phase: str, component: Component) -> None:
        nonlocal phase, running
        phase, running = next_phase, context.describe(component)
        enter(phase, running)

    try:
        first = job.cells[0]
        problem = build_problem(first.experiment, context.registry, lambda c: begin("problem", c))
        problem = type(problem)(
            problem.data, problem.architecture, problem.protocol.with_steps(list(first.dts))
        )
        solver = _solver(context, job)
        begin("solve", solver)
        outcomes = _solve(solver, job, problem, share)
    except (Exception, SystemExit) as error:
        trace = traceback.format_exc()
        line = str(error).strip().partition("\n")[0]
        known = error if isinstance(error, LimitbenchError) else None
        outcomes = [
            known
            or LimitbenchError(
                f"{running}: {type(error).__name__}: {line}; mend it where the traceback points,"
                " then run again"
            )
        ] * len(job.cells)
    context.end_if_forked()
    enter("write", "the results folder")
    seconds = (time.perf_counter() - clock) / len(job.cells)
    reports = []
    for cell, outcome in zip(job.cells, outcomes, strict=True):
        facts = cell_facts(cell, started, seconds)
        result = outcome if isinstance(outcome, Trajectory) else None
        if isinstance(outcome, LimitbenchError):
            facts |= {
                "status": "failed",
                "phase": phase,
                "message": kept(str(outcome)),
                "traceback": kept(trace),
            }
        elif isinstance(outcome, str):
            facts |= {"status": "not-applicable", "message": kept(outcome)}
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


def kept(text: str) -> str:
    """Return what a plugin said as ``cell.json`` can keep it: not long, no halves of characters."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} [...] {text[-LONGEST // 2 :]}"
    return text.encode(errors="replace").decode()


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


def _solver(context: JobContext, job: Job) -> Component:
    """Return the component whose code solves a job: the theory, or the network's architecture."""
    first = job.cells[0]
    if first.solver.theory is None:
        return context.registry.get("architecture", first.experiment.architecture.name)
    return context.registry.get("theory", first.solver.theory.name)


def _solve(component: Component, job: Job, problem: Problem, share: Share) -> list[Outcome]:
    solver = job.cells[0].solver
    if solver.theory is None:
        from harness import networks

        seeds = [c.solver.seed for c in job.cells if c.solver.seed is not None]
        if solver.width is None or solver.dtype is None:
            raise ValueError(f"{solver} has no width or dtype")
        return list(networks.train(problem, solver.width, seeds, solver.dtype, share))
    theory = component.make(component.parse(solver.theory.parameters))
    reason: str | None = theory.supports(problem)
    if reason is not None:
        return [reason]
    found = theory.predict(problem)
    _refuse_misfit(found, problem)
    return [found]


def _refuse_misfit(found: Any, problem: Problem) -> None:
    """Raise ValueError unless a theory's answer has the stages and test points of its problem."""
    if not isinstance(found, Trajectory):
        raise ValueError(f"predict returned {type(found).__name__}; a Trajectory is needed")
    stages = problem.protocol.stages
    if len(found.stages) != len(stages):
        raise ValueError(
            f"predict returned {len(found.stages)} stages; the protocol has {len(stages)}"
        )
    for index, (stage, observables) in enumerate(zip(stages, found.stages, strict=True)):
        points = len(problem.data.test(stage.data).y)
        for name, observable in observables.items():
            if not isinstance(observable, Observable):
                raise ValueError(f"stage {index}: {name} is no Observable")
        outputs = observables.get("output/test")
        if outputs is not None and outputs.values.shape[1:] != (points,):
            raise ValueError(
                f"stage {index}: output/test has shape {outputs.values.shape}; there are {points}"
                " test points"
            )
