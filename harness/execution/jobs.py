"""Inside a worker: answering calls, and computing and writing the cells of a job."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from harness.errors import LimitbenchError, SuiteError
from harness.execution.calls import (
    CellReport,
    Inspected,
    Inspection,
    Job,
    Pilot,
    Piloted,
    Spent,
)
from harness.execution.context import JobContext
from harness.execution.cost.work import works_of
from harness.execution.environment import environment
from harness.records import Observable, Problem, ProblemSize, Trajectory
from harness.registry import Component, Registry
from harness.suites import Cell, build_observables
from harness.suites.cells import FORMAT

LONGEST = 20_000
"""Largest number of characters of a message or traceback that a cell keeps."""

TellShare = Callable[[float], None]
Enter = Callable[[str, str], None]
"""Called with the phase that begins, and the component whose code it runs."""

SolverOutcome = Trajectory | LimitbenchError | str
"""A result, an error that the solver explains, or the reason why a theory does not apply."""


def inspect_data(context: JobContext, call: Inspection, enter: Enter) -> Inspected:
    """Return the digest and the sizes of the data that a task makes, and who does not fit them."""

    def entered(component: Component) -> None:
        enter("problem", context.describe(component))

    made = context.data(call.experiments[0], entered)
    points = {name: len(data) for name, data in made.sets().items()}
    faults = {}
    for experiment in call.experiments:
        try:
            context.problem(experiment, made.digest, entered)
        except SuiteError as error:
            faults[experiment.name] = kept(" ".join(str(error).split()))
        except Exception:  # a plugin may raise anything: the run reports it where it matters
            continue
    return Inspected(made.digest, tuple(made.target.x.shape[1:]), points, faults)


def run_pilot(context: JobContext, call: Pilot, enter: Enter) -> Piloted:
    """Find every stage's step, by a pilot network where it is "auto", and the work of solvers."""
    experiment, spent = call.experiment, context.stopwatch()
    problem = context.problem(
        experiment, call.data, lambda c: enter("problem", context.describe(c))
    )
    dts = call.dts
    trained = dts is None and any(stage.dt == "auto" for stage in problem.protocol.stages)
    if dts is None:
        from harness import networks

        component = context.registry.get("architecture", experiment.architecture.name)
        enter("pilot", context.describe(component))
        widths = [s.width for s in call.solvers if s.width is not None]
        dts = tuple(networks.resolve_steps(problem, min(widths, default=None)))
    resolved = replace(problem, protocol=problem.protocol.with_steps(list(dts)))
    enter("cost", "")
    works = works_of(ProblemSize.of(resolved), call.solvers, context.registry)
    return Piloted(dts, works, trained, spent())


def run_job(context: JobContext, job: Job, share: TellShare, enter: Enter) -> list[CellReport]:
    """Compute the cells of a job and write them; failures are written as failures.

    Args:
        context: memory of this worker.
        job: job to compute.
        share: called with the share of the job that is done.
        enter: called when a phase begins.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    stopwatch = context.stopwatch()
    phase, running = "problem", ""
    trace = ""
    outcomes: list[SolverOutcome]

    def begin(next_phase: str, component: Component) -> None:
        nonlocal phase, running
        phase, running = next_phase, context.describe(component)
        enter(phase, running)

    try:
        first = job.cells[0]
        problem = context.problem(
            first.experiment, first.resolved.data, lambda c: begin("problem", c)
        )
        dts = list(first.resolved.dts)
        observed = build_observables(first.experiment, context.registry)
        problem = replace(problem, protocol=problem.protocol.with_steps(dts), observables=observed)
        solver = _solver(context, job)
        begin("solve", solver)
        stopwatch = context.stopwatch()
        outcomes = _solve(context.registry, solver, job, problem, share)
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
    spent = stopwatch()
    each, compiling = spent.seconds / len(job.cells), spent.compiling / len(job.cells)
    reports: list[CellReport] = []
    for cell, outcome in zip(job.cells, outcomes, strict=True):
        facts = cell_facts(cell, started, each, compiling) | {"rounded": problem.data.rounded}
        result = outcome if isinstance(outcome, Trajectory) else None
        if isinstance(outcome, LimitbenchError):
            facts |= {
                "status": "failed",
                "phase": phase,
                "message": kept(str(outcome)),
                "traceback": kept(trace or _trace(outcome)),
            }
        elif isinstance(outcome, str):
            facts |= {"status": "not-applicable", "message": kept(outcome)}
        else:
            facts |= {
                "status": "done",
                "stages": [stage.data for stage in problem.protocol.stages],
                "notes": {**_several_outputs(problem), **outcome.notes},
            }
        folder = context.store.write(cell, facts, result)
        whole = Spent() if reports else spent
        reports.append(CellReport(cell.key, facts["status"], facts.get("message", ""), whole))
        context.registry.notify(
            "limitbench_cell_finished",
            experiment=cell.experiment.name,
            solver=cell.solver.name,
            folder=str(folder),
            status=facts["status"],
        )
    return reports


def _several_outputs(problem: Problem) -> dict[str, int]:
    """Return the number of outputs of the last stage as a note, if there are several."""
    outputs = problem.data.train(problem.protocol.stages[-1].data).outputs
    return {"outputs": outputs} if outputs > 1 else {}


def _trace(error: LimitbenchError) -> str:
    """Return the traceback of an error that a solver gives for one of its cells."""
    return "" if error.__cause__ is None else "".join(traceback.format_exception(error))


def kept(text: str) -> str:
    """Return a plugin's text as ``cell.json`` can keep it: bounded, without surrogates."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} [...] {text[-LONGEST // 2 :]}"
    return text.encode(errors="replace").decode()


def cell_facts(
    cell: Cell, started: str, seconds: float, compile_seconds: float = 0.0
) -> dict[str, Any]:
    """Return the facts that ``cell.json`` holds for every cell, whatever its outcome.

    Args:
        cell: the cell.
        started: start of its job.
        seconds: seconds of solving it; cells of one job have equal shares.
        compile_seconds: seconds of tracing and compiling, by the first job of its kind for all.
    """
    return {
        "format": FORMAT,
        "key": cell.key,
        "experiment": cell.experiment.name,
        **cell.identity,
        **cell.provenance,
        "started": started,
        "seconds": seconds,
        "compile_seconds": compile_seconds,
        "environment": environment(),
    }


def _solver(context: JobContext, job: Job) -> Component:
    """Return the component whose code solves a job: the theory, or the network's architecture."""
    first = job.cells[0]
    if first.solver.theory is None:
        return context.registry.get("architecture", first.experiment.architecture.name)
    return context.registry.get("theory", first.solver.theory.name)


def _solve(
    registry: Registry, component: Component, job: Job, problem: Problem, share: TellShare
) -> list[SolverOutcome]:
    solver = job.cells[0].solver
    if solver.theory is None:
        from harness import networks

        seeds = [c.solver.seed for c in job.cells if c.solver.seed is not None]
        if solver.width is None or solver.dtype is None:
            raise ValueError(f"{solver} has no width or dtype")
        return list(networks.train(problem, solver.width, seeds, solver.dtype, share))
    theory = solver.theory.make(registry, component)
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
        wanted = problem.data.test(stage.data).y.size
        for name, observable in observables.items():
            if not isinstance(observable, Observable):
                raise ValueError(f"stage {index}: {name} is no Observable")
        outputs = observables.get("output/test")
        if outputs is not None and outputs.values.shape[1:] != (wanted,):
            raise ValueError(
                f"stage {index}: output/test has shape {outputs.values.shape}; there are {wanted}"
                " outputs on test points"
            )
