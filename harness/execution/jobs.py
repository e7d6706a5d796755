"""Jobs: what one worker computes in one call, and how it does so."""

from __future__ import annotations

import functools
import math
import os
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from harness.errors import DataError, LimitbenchError
from harness.execution.cost import works_of
from harness.execution.environment import environment
from harness.records import Observable, Problem, ProblemSize, Trajectory, TransferData, Work
from harness.registry import Component, Registry
from harness.store import Store
from harness.suites import Cell, build_data, build_problem
from harness.suites.cells import FORMAT, Solver, digest, problem_identity, task_key
from harness.suites.expand import Experiment

if TYPE_CHECKING:
    from harness.execution.compilation import CompilationClock

LONGEST = 20_000
"""Characters of a message or traceback that a cell keeps."""

KEPT = 8
"""Problems that a worker keeps, the last ones used, and as many tasks' data."""

T = TypeVar("T")
Share = Callable[[float], None]
Enter = Callable[[str, str], None]
"""Told the phase that begins, and the component whose code it runs."""

Outcome = Trajectory | LimitbenchError | str
"""A result, an error that the solver explains, or the reason why a theory does not apply."""


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
class Survey:
    """An experiment of which it is to be found out what solving it takes.

    Attributes:
        experiment: which.
        data: digest of its data.
        dts: the step of every stage, if they are known.
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
class Surveyed:
    """The step of every stage, and the work of solvers as far as it is known.

    Attributes:
        dts: the steps.
        works: of solvers; None where it is not known.
        piloted: whether a pilot run has found a step.
        spent: on all that.
    """

    dts: tuple[float, ...]
    works: tuple[Work | None, ...]
    piloted: bool = False
    spent: Spent = Spent()


@dataclass(frozen=True)
class CellReport:
    """What became of a cell, in short; the first of a job says what the job took."""

    key: str
    status: Literal["done", "failed", "not-applicable"]
    message: str = ""
    spent: Spent = Spent()


class JobContext:
    """What a worker keeps between jobs."""

    def __init__(self, plugin_dirs: tuple[str, ...], results: str) -> None:
        self.plugin_dirs = plugin_dirs
        self.store = Store(results, make=False)
        self._process = os.getpid()
        self._problems: OrderedDict[str, Problem] = OrderedDict()
        self._data: OrderedDict[str, TransferData] = OrderedDict()

    def problem(
        self, experiment: Experiment, data: str, enter: Callable[[Component], None]
    ) -> Problem:
        """Return an experiment's problem; the last few are kept, as many jobs share one.

        Args:
            experiment: which.
            data: digest of its data.
            enter: told of each component before it is called.

        Raises:
            DataError: if the task makes other data now.
        """
        key = digest(problem_identity(experiment, data))
        found = self._problems.get(key)
        if found is None:
            made = self._known_data(experiment, data, enter)
            found = build_problem(experiment, self.registry, enter, made)
        _keep(self._problems, key, found)
        return found

    def data(self, experiment: Experiment, enter: Callable[[Component], None]) -> TransferData:
        """Make an experiment's data anew, as its files may have changed."""
        made = build_data(experiment, self.registry, enter)
        _keep(self._data, task_key(experiment), made)
        return made

    def _known_data(
        self, experiment: Experiment, expected: str, enter: Callable[[Component], None]
    ) -> TransferData:
        """Return the data of a digest, made at most once."""
        kept = self._data.get(task_key(experiment))
        if kept is not None and kept.digest == expected:
            return kept
        made = self.data(experiment, enter)
        if made.digest != expected:
            raise DataError(
                f"task {experiment.task.name!r} makes other data now than when the run was planned"
                f" (digest {made.digest[:8]}, not {expected[:8]}): a file that it reads changed, or"
                " it draws numbers without its seed; mend that, then run again"
            )
        return made

    @functools.cached_property
    def compilation(self) -> CompilationClock:
        """Counts the time spent on compiling, from the first job on."""
        from harness.execution.compilation import CompilationClock

        return CompilationClock()

    @property
    def is_forked(self) -> bool:
        """Whether a plugin forked this process: the worker is its parent, and goes on."""
        return os.getpid() != self._process

    def end_if_forked(self) -> None:
        """End this process if a plugin forked it."""
        if self.is_forked:
            os._exit(1)

    def stopwatch(self) -> Callable[[], Spent]:
        """Return a function that says what has been spent since now."""
        clock, start = self.compilation, time.perf_counter()
        seconds, programs, loaded = clock.seconds, clock.programs, clock.loaded

        def spent() -> Spent:
            compiling, kept = clock.seconds - seconds, clock.loaded - loaded
            computing = max(0.0, time.perf_counter() - start - compiling)
            return Spent(computing, compiling, clock.programs - programs - kept, kept)

        return spent

    def describe(self, component: Component) -> str:
        """Return how errors name a component: its kind, name and file."""
        return f"{component.kind} {component.name!r} ({self.registry.origin(component)})"

    @functools.cached_property
    def registry(self) -> Registry:
        """The components, loaded when first needed."""
        return Registry.load(self.plugin_dirs)


def _keep(kept: OrderedDict[str, T], key: str, value: T) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > KEPT:
        kept.popitem(last=False)


def inspect_data(context: JobContext, call: Inspection, enter: Enter) -> Inspected:
    """Return the digest and the sizes of the data that a task makes."""
    made = context.data(call.experiment, lambda c: enter("problem", context.describe(c)))
    points = {name: len(data) for name, data in made.sets().items()}
    return Inspected(made.digest, tuple(made.target.x.shape[1:]), points)


def survey(context: JobContext, call: Survey, enter: Enter) -> Surveyed:
    """Find the step of every stage, by a pilot run where it is "auto", and the work of cells."""
    experiment, spent = call.experiment, context.stopwatch()
    problem = context.problem(
        experiment, call.data, lambda c: enter("problem", context.describe(c))
    )
    dts = call.dts
    piloted = dts is None and any(stage.dt == "auto" for stage in problem.protocol.stages)
    if dts is None:
        from harness import networks

        component = context.registry.get("architecture", experiment.architecture.name)
        enter("pilot", context.describe(component))
        widths = [s.width for s in call.solvers if s.width is not None]
        dts = tuple(networks.resolve_steps(problem, min(widths, default=None)))
    resolved = replace(problem, protocol=problem.protocol.with_steps(list(dts)))
    enter("cost", "")
    works = works_of(ProblemSize.of(resolved), call.solvers, context.registry)
    return Surveyed(dts, works, piloted, spent())


def run_job(context: JobContext, job: Job, share: Share, enter: Enter) -> list[CellReport]:
    """Compute the cells of a job and write them; failures are written as failures.

    Args:
        context: of this worker.
        job: what to compute.
        share: called with the share of the job that is done.
        enter: called when a phase begins.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    stopwatch = context.stopwatch()
    phase, running = "problem", ""
    trace = ""
    outcomes: list[Outcome]

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
        problem = replace(problem, protocol=problem.protocol.with_steps(dts))
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
        facts = cell_facts(cell, started, each, compiling)
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


def kept(text: str) -> str:
    """Return what a plugin said as ``cell.json`` can keep it: not long, no halves of characters."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} [...] {text[-LONGEST // 2 :]}"
    return text.encode(errors="replace").decode()


def cell_facts(
    cell: Cell, started: str, seconds: float, compile_seconds: float = 0.0
) -> dict[str, Any]:
    """Return what ``cell.json`` says of every cell, whatever became of it.

    Args:
        cell: which.
        started: when its job did.
        seconds: of solving it; of several cells in one job, each has the same share.
        compile_seconds: of tracing and compiling, which the first job of its kind does for all.
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
    registry: Registry, component: Component, job: Job, problem: Problem, share: Share
) -> list[Outcome]:
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
