"""Running a suite: what is missing is found, given to workers, and written by them."""

from __future__ import annotations

import fnmatch
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import SuiteError, nearest
from harness.execution.environment import processors
from harness.execution.estimates import Estimates, distinct, jobs_of
from harness.execution.history import history_file, read_history, remember
from harness.execution.jobs import CellReport, Job, Spent, Survey
from harness.execution.local import LocalWorkers
from harness.execution.pool import JobFailure, Limits, Watcher, WorkerPool, Workers
from harness.execution.worker import Settings
from harness.store import Store
from harness.store.reservations import Reservations
from harness.suites import Cell, Experiment, Suite, cells_of
from harness.suites.cells import FORMAT, digest, problem_identity

if TYPE_CHECKING:
    from harness.execution.cluster import Cluster

WORKER_BYTES = 2 * 2**30
"""Memory that a worker is given at least, when their number is chosen."""

MEMORY_SHARE = 0.9
"""Share of the available memory that workers may use before the largest is stopped."""

CGROUPS = tuple(
    (f"/sys/fs/cgroup/{limit}", f"/sys/fs/cgroup/{used}")
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    )
)


@dataclass
class Plan:
    """What a suite asks for, and what of it is there already.

    Attributes:
        suite: with the experiments that are wanted.
        dts: resolved steps by experiment name; None while a pilot run must find them.
        missing: cells without a result, of the experiments whose steps are known.
        finished: number of cells that have one.
        stamps: when cells were last written, as `Store.stamp` says, before they were looked at.
        spent: by pilot runs and jobs of a run.
    """

    suite: Suite
    dts: dict[str, tuple[float, ...] | None] = field(default_factory=dict)
    missing: list[Cell] = field(default_factory=list)
    finished: int = 0
    stamps: dict[str, int | None] = field(default_factory=dict)
    spent: Spent = field(default_factory=Spent)


def select(suite: Suite, pattern: str | None) -> Suite:
    """Return the suite with the experiments whose names match a glob.

    Raises:
        SuiteError: if none does.
    """
    if pattern is None:
        return suite
    # brackets in names come from sweeps, so they stand for themselves
    literal = pattern.replace("[", "[[]")
    wanted = tuple(e for e in suite.experiments if fnmatch.fnmatchcase(e.name, literal))
    if not wanted:
        names = [e.name for e in suite.experiments]
        raise SuiteError(
            f"--only {pattern!r} matches no experiment of suite {suite.name!r}"
            f"{nearest(pattern, names)}; there are {', '.join(names)}"
        )
    return Suite(suite.name, suite.widths, suite.seeds, suite.dtype, wanted)


def plan_suite(suite: Suite, store: Store, fresh: bool = False) -> Plan:
    """Find which cells are missing; steps already resolved in the folder are reused.

    Args:
        suite: what to run.
        store: where results are.
        fresh: take no earlier result.
    """
    plan = Plan(suite)
    for experiment in suite.experiments:
        known = None if fresh else store.read_json(_steps_file(experiment))
        usable = known is not None and known.get("format") == FORMAT
        dts = tuple(known["dts"]) if known is not None and usable else None
        plan.dts[experiment.name] = dts
        if dts is not None:
            _add_cells(plan, experiment, store, fresh)
    return plan


def run_suite(
    plan: Plan,
    store: Store,
    watcher: Watcher,
    *,
    plugin_dirs: Sequence[str] = (),
    workers: int | None = None,
    timeout: float | None = None,
    memory: float | None = None,
    retries: int = 0,
    fresh: bool = False,
    cluster: Cluster | None = None,
) -> list[tuple[Cell, CellReport]]:
    """Compute what is missing; return what became of every cell that was run.

    Every finished cell is on disk when it is reported, so interrupting keeps it.

    Args:
        plan: from `plan_suite`; completed with the steps that pilot runs find, and with what is
            spent.
        store: where results go.
        watcher: told of progress.
        plugin_dirs: folders of user plugins, for the workers.
        workers: processes; as many as processors and memory allow if None.
        timeout: seconds after which a job is stopped, its cells failing.
        memory: bytes that the workers may use together; 90 % of what is available if None.
        retries: how often a job is tried again whose worker died.
        fresh: compute cells that have a result again.
        cluster: where to run instead of on this machine; `memory` is then that of each of its
            workers.

    Returns:
        Reports of the cells that were run. An experiment whose step could not be found reports
        its networks and theories as failed.
    """
    surveys = _surveys(plan)
    if not surveys:
        _write_manifests(plan, store, {})
        return []
    count = workers or default_workers()
    history = None if cluster else history_file()  # others' machines say nothing of this one
    limit = memory or allowed_memory()
    with (
        Reservations(store) as reservations,
        WorkerPool(
            _workers(store, plugin_dirs, count, Limits(timeout, limit), cluster, memory),
            store,
            reservations,
            watcher,
            retries,
            math.inf if cluster else limit,
        ) as pool,
    ):
        failed: dict[str, JobFailure] = {}
        estimates = Estimates(read_history(history))
        for survey, found in pool.survey(surveys):
            experiment = survey.experiment
            if isinstance(found, JobFailure):
                if survey.dts is None:  # else its cells are tried, and say themselves what is wrong
                    failed[experiment.name] = found
                continue
            estimates.add_works(experiment.name, survey.solvers, found.works)
            plan.spent += found.spent
            if survey.dts is None:
                plan.dts[experiment.name] = found.dts
                steps = {"format": FORMAT, "dts": list(found.dts)}
                store.write_json(_steps_file(experiment), steps)
                _add_cells(plan, experiment, store, fresh)
        _write_manifests(plan, store, failed)
        jobs = jobs_of(plan.missing, estimates, count, None if cluster else limit)

        def ended(job: Job, reports: Sequence[CellReport]) -> None:
            spent = sum((report.spent for report in reports), Spent())
            plan.spent += spent
            if all(report.status == "done" for report in reports):
                remember(history, estimates.finished(job.cells[: len(reports)], spent))

        return pool.run(jobs, plan.stamps, ended) + [
            (cell, CellReport(cell.key, "failed", failed[experiment.name].message))
            for experiment in plan.suite.experiments
            if experiment.name in failed
            for cell in cells_of(experiment, plan.suite, ())
        ]


def _workers(
    store: Store,
    plugin_dirs: Sequence[str],
    workers: int,
    limits: Limits,
    cluster: Cluster | None,
    memory: float | None,
) -> Workers:
    """Return who runs the jobs: processes of this machine, or a cluster."""
    if cluster is not None:
        from harness.execution.cluster import ClusterWorkers

        return ClusterWorkers(cluster, store, plugin_dirs, limits.timeout, memory)
    root = str(store.root.resolve())
    settings = Settings(tuple(plugin_dirs), root, workers, os.getpid())
    return LocalWorkers(settings, limits)


def default_workers() -> int:
    """Return as many workers as there are processors, or as fit in memory."""
    return max(1, min(processors(), available_memory() // WORKER_BYTES))


def allowed_memory() -> float:
    """Return the bytes that all workers may use together unless a number is given."""
    return MEMORY_SHARE * available_memory()


def available_memory() -> int:
    """Return the bytes of memory that may still be used, on this machine or in this container."""
    import psutil

    free = [int(psutil.virtual_memory().available)]
    for limit, used in CGROUPS:
        try:
            free.append(int(Path(limit).read_text()) - int(Path(used).read_text()))
        except (OSError, ValueError):  # no container, or one without a limit
            continue
    return max(0, min(free))


def _write_manifests(plan: Plan, store: Store, failures: dict[str, JobFailure]) -> None:
    for position, experiment in enumerate(plan.suite.experiments):
        dts = plan.dts[experiment.name]
        keys = [] if dts is None else [c.key for c in cells_of(experiment, plan.suite, dts)]
        failure = failures.get(experiment.name, JobFailure(""))
        store.write_manifest(
            plan.suite, position, experiment.name, keys, failure.message, failure.traceback
        )


def _surveys(plan: Plan) -> list[Survey]:
    """Return the experiments of which something is missing, with what is to be found out."""
    missing = {cell.experiment.name for cell in plan.missing}
    return [
        Survey(experiment, dts, distinct(cells_of(experiment, plan.suite, dts or ())))
        for experiment in plan.suite.experiments
        for dts in [plan.dts[experiment.name]]
        if dts is None or experiment.name in missing
    ]


def _steps_file(experiment: Experiment) -> str:
    return f"steps/{digest({'format': FORMAT, **problem_identity(experiment)})}.json"


def _add_cells(plan: Plan, experiment: Experiment, store: Store, fresh: bool) -> None:
    dts = plan.dts[experiment.name]
    for cell in cells_of(experiment, plan.suite, dts or ()):
        plan.stamps[cell.key] = store.stamp(cell.key)
        record = None if fresh else store.read(cell.key)
        if record is not None and record.status != "failed":
            plan.finished += 1
        else:
            plan.missing.append(cell)
