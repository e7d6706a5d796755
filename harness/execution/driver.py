"""Running a suite: missing cells are found, given to workers, and written by them."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.execution.calls import CellReport, Inspection, Job, Pilot, Spent
from harness.execution.cost.estimates import Estimates
from harness.execution.cost.forecast import jobs_of
from harness.execution.cost.history import Finished, history_file, read_history, remember
from harness.execution.cost.work import PILOT, distinct
from harness.execution.machine import allowed_memory, default_workers
from harness.execution.outcomes import JobFailure
from harness.execution.plan import Plan
from harness.execution.pool import Limits, Watcher, WorkerPool, Workers
from harness.execution.workers.local import LocalWorkers
from harness.execution.workers.worker import Settings
from harness.records import NARROW_WIDTH
from harness.records.cell import SpecFacts
from harness.store import CellRecord, Manifest, Store
from harness.store.fresh import FreshRuns, cell_file
from harness.store.reservations import Reservations
from harness.suites import Cell, Experiment, Resolved, Suite, cells_of, solvers_of
from harness.suites.build import build_protocol
from harness.suites.cells import FORMAT, UNRESOLVED, digest, problem_identity, task_key

if TYPE_CHECKING:
    from harness.execution.cluster.workers import Cluster
    from harness.registry import Registry

LOG = logging.getLogger("harness.execution")


def look_up(plan: Plan, pool: WorkerPool, store: Store) -> None:
    """Make the data of a plan's tasks, and find which cells are missing.

    Steps already resolved in the folder are reused.

    Args:
        plan: plan, completed with data, steps and cells.
        pool: workers, which make the data.
        store: results folder.
    """
    experiments = plan.suite.experiments
    tasks: dict[str, list[Experiment]] = {}
    for experiment in experiments:
        tasks.setdefault(task_key(experiment), []).append(experiment)
    inspections = [Inspection(tuple(alike)) for alike in tasks.values()]
    found = {task_key(i.experiments[0]): data for i, data in pool.inspect(inspections)}
    fresh = FreshRuns.read(store)
    for experiment in experiments:
        data = found[task_key(experiment)]
        if isinstance(data, JobFailure):
            plan.failed[experiment.name] = data
            continue
        if experiment.name in data.faults:
            plan.failed[experiment.name] = JobFailure(data.faults[experiment.name])
            LOG.error("%s", data.faults[experiment.name])
            continue
        plan.data[experiment.name] = data
        name = _steps_file(experiment, plan.suite, data.digest)
        known = None if plan.fresh else store.read_json(name)
        if (
            known is None
            or known.get("format") != FORMAT
            or known.get("sources", _step_sources(experiment)) != _step_sources(experiment)
            or fresh.is_outdated(name)
        ):
            plan.dts[experiment.name] = None
        else:
            plan.dts[experiment.name] = tuple(known["dts"])
            _add_cells(plan, experiment, store, fresh)


def inspect_plan(
    plan: Plan,
    store: Store,
    registry: Registry,
    watcher: Watcher,
    *,
    plugin_dirs: Sequence[str] = (),
    workers: int,
    memory: float,
) -> None:
    """Complete a plan as `look_up` does, and write nothing; arguments as for `run_suite`.

    Steps given as numbers are used as they are, without a pilot run.
    """
    settings = Settings(_absolute(plugin_dirs), str(store.root.resolve()), workers, os.getpid())
    with WorkerPool(LocalWorkers(settings, Limits(None, memory)), store, None, watcher) as pool:
        look_up(plan, pool, store)
    fresh = FreshRuns.read(store)
    for experiment in plan.suite.experiments:
        if experiment.name in plan.data and plan.dts[experiment.name] is None:
            plan.dts[experiment.name] = _given_steps(experiment, registry)
            _add_cells(plan, experiment, store, fresh)


def _given_steps(experiment: Experiment, registry: Registry) -> tuple[float, ...] | None:
    """Return the steps of a regime if all are numbers; None if one needs a pilot run."""
    try:
        steps = [stage.dt for stage in build_protocol(experiment, registry).stages]
    except Exception as error:  # a plugin may raise anything: the run reports it where it matters
        LOG.warning("%s: no steps (%s: %s)", experiment.name, type(error).__name__, error)
        return None
    return None if "auto" in steps else tuple(float(dt) for dt in steps)


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
    cluster: Cluster | None = None,
) -> list[tuple[Cell, CellReport]]:
    """Compute missing cells; return reports of all cells that were run.

    Every finished cell is on disk when it is reported, so interrupting keeps it.

    Args:
        plan: plan from `plan_suite`; completed with the data, steps and cells that are found, and
            with the time spent.
        store: results folder.
        watcher: receives progress.
        plugin_dirs: folders of user plugins, for the workers.
        workers: processes; as many as processors and memory allow if None.
        timeout: seconds after which a job is stopped and its cells fail.
        memory: bytes that the workers may use together; 90 % of the available memory if None.
        retries: number of retries for a job whose worker died.
        cluster: cluster to run on instead of this machine; `memory` is then for each of its
            workers.

    Returns:
        Reports of the cells that were run. The networks and theories of an experiment whose data
        could not be made, or whose step could not be found, are reported as failed.
    """
    count = workers or default_workers()
    history = None if cluster else history_file()  # times differ between machines
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
        look_up(plan, pool, store)
        fresh = FreshRuns.read(store)
        if plan.fresh:
            fresh = fresh.begin(plan.suite.name, _to_replace(plan, store))
        estimates = Estimates(read_history(history))
        for pilot, found in pool.pilot(_pilots(plan)):
            experiment = pilot.experiment
            if isinstance(found, JobFailure):
                if pilot.dts is None:  # else its cells are tried, and report the fault
                    plan.failed[experiment.name] = found
                continue
            estimates.add_works(experiment.name, pilot.solvers, found.works)
            plan.spent += found.spent
            if found.trained:
                remember(history, Finished.of(PILOT, 0, 0.0, found.spent))
            if pilot.dts is None:
                plan.dts[experiment.name] = found.dts
                name = _steps_file(experiment, plan.suite, pilot.data)
                store.write_json(name, _steps(experiment, found.dts))
                fresh = fresh.replaced(name)
                _add_cells(plan, experiment, store, fresh)
        _say_again(plan)
        _write_manifests(plan, store)
        jobs = jobs_of(plan.missing, estimates, count, None if cluster else limit)

        def ended(job: Job, reports: Sequence[CellReport]) -> None:
            spent = sum((report.spent for report in reports), Spent())
            plan.spent += spent
            if all(report.status == "done" for report in reports):
                remember(history, estimates.finished(job.cells[: len(reports)], spent))

        reports = pool.run(jobs, plan.stamps, ended)
        whole = len(plan.suite.experiments) == len(plan.named) and not plan.failed
        fresh.end(plan.suite.name, _files(plan), whole)
        return reports + [
            (cell, CellReport(cell.key, "failed", plan.failed[experiment.name].message))
            for experiment in plan.suite.experiments
            if experiment.name in plan.failed
            for cell in cells_of(experiment, plan.suite, UNRESOLVED)
        ]


def _workers(
    store: Store,
    plugin_dirs: Sequence[str],
    workers: int,
    limits: Limits,
    cluster: Cluster | None,
    memory: float | None,
) -> Workers:
    """Return the workers that run the jobs: processes of this machine, or a cluster."""
    if cluster is not None:
        from harness.execution.cluster.workers import ClusterWorkers

        return ClusterWorkers(cluster, store, plugin_dirs, limits.timeout, memory)
    root = str(store.root.resolve())
    settings = Settings(_absolute(plugin_dirs), root, workers, os.getpid())
    return LocalWorkers(settings, limits)


def _absolute(folders: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(Path(folder).resolve()) for folder in folders)


def _write_manifests(plan: Plan, store: Store) -> None:
    """Write the experiments' manifests, and remove those of experiments no longer in the suite.

    An experiment that has cells of a removed one bears another name for it: it would count twice,
    and its superseded cells, which go by the earlier name, would be shown.
    """
    before = {m.experiment: m for m in store.manifests() if m.suite == plan.suite.name}
    unnamed = [manifest for name, manifest in before.items() if name not in plan.named]
    renamed: set[str] = set()
    for position, experiment in enumerate(plan.suite.experiments):
        failure = plan.failed.get(experiment.name, JobFailure(""))
        cells = [cell.key for cell in plan.cells(experiment)]
        old = before.get(experiment.name)
        earlier = [m for m in unnamed if not set(cells).isdisjoint(m.cells)]
        renamed.update(m.experiment for m in earlier)
        formerly = [name for m in earlier for name in (*m.formerly, m.experiment)]
        manifest = Manifest(
            format=FORMAT,
            suite=plan.suite.name,
            position=position,
            experiment=experiment.name,
            task=SpecFacts(**experiment.task.asked),
            data_seed=experiment.data_seed,
            cells=cells,
            failure=failure.message,
            traceback="\n".join(filter(None, (failure.traceback, failure.log))),
            scored=list(experiment.scored),
            formerly=list(dict.fromkeys([*(old.formerly if old else ()), *formerly])),
        )
        if old and old.cells and manifest.cells and not set(old.cells) & set(manifest.cells):
            LOG.warning(
                "%s: not the problem, data or observables of the last run here; cells of then are"
                " kept, apart and no longer shown: %d",
                experiment.name,
                len(old.cells),
            )
        store.write_manifest(manifest)
    written = {experiment.name for experiment in plan.suite.experiments}
    # an experiment left out by --only may be one of these under another name
    waiting = not written | before.keys() >= set(plan.named)
    kept = {m.experiment for m in unnamed if waiting} - renamed
    store.forget_experiments(plan.suite.name, {*plan.named, *kept})


def _pilots(plan: Plan) -> list[Pilot]:
    """Return pilots for the experiments with missing steps or cells."""
    missing = {cell.experiment.name for cell in plan.missing}
    return [
        Pilot(e, data.digest, plan.dts[e.name], distinct(solvers_of(e, plan.suite)))
        for e in plan.suite.experiments
        for data in [plan.data.get(e.name)]
        if data is not None and (plan.dts[e.name] is None or e.name in missing)
    ]


def keep_steps(
    store: Store, experiment: Experiment, suite: Suite, data: str, dts: Sequence[float]
) -> None:
    """Write the steps of an experiment that are known from elsewhere, so that a run takes them.

    Args:
        store: results folder of the run.
        experiment: an experiment of the suite.
        suite: the suite.
        data: digest of the experiment's data.
        dts: step of every stage.
    """
    name = _steps_file(experiment, suite, data)
    if store.read_json(name) is None:
        store.write_json(name, _steps(experiment, dts))


def _steps_file(experiment: Experiment, suite: Suite, data: str) -> str:
    widths = suite.widths if experiment.widths is None else experiment.widths
    narrowest = min(widths, default=NARROW_WIDTH)
    # automatic steps depend on the narrowest network, so that a narrower one needs its own pilot
    narrow = {"narrowest": narrowest} if narrowest < NARROW_WIDTH else {}
    problem = problem_identity(experiment, data)
    return f"steps/{digest({'format': FORMAT, **problem, **narrow})}.json"


def _steps(experiment: Experiment, dts: Sequence[float]) -> dict[str, Any]:
    """Return the content of an experiment's steps file.

    Sources that determine steps are part of it: where they have changed, steps are found again.
    Files of earlier versions lack them, and count as of the present sources.
    """
    return {"format": FORMAT, "dts": list(dts), "sources": _step_sources(experiment)}


def _step_sources(experiment: Experiment) -> dict[str, str]:
    return {"architecture": experiment.architecture.source, "regime": experiment.regime.source}


def _to_replace(plan: Plan, store: Store) -> list[str]:
    """Return the files that a fresh run may replace: its steps, and its results of any steps."""
    known: dict[str, set[tuple[float, ...]]] = {}
    keys = set()
    for record in store.cells():
        if record.status != "failed":
            keys.add(record.key)
            known.setdefault(record.facts.data, set()).add(tuple(record.facts.dts))
    found = []
    for experiment in plan.suite.experiments:
        if data := plan.data.get(experiment.name):
            found.append(_steps_file(experiment, plan.suite, data.digest))
            for dts in known.get(data.digest, ()):
                cells = cells_of(experiment, plan.suite, Resolved(data.digest, dts))
                found += [cell_file(cell.key) for cell in cells if cell.key in keys]
    return found


def _files(plan: Plan) -> list[str]:
    """Return the files of a plan's steps and cells, as far as they are known."""
    found = []
    for experiment in plan.suite.experiments:
        if data := plan.data.get(experiment.name):
            found.append(_steps_file(experiment, plan.suite, data.digest))
            found += [cell_file(cell.key) for cell in plan.cells(experiment)]
    return found


def _add_cells(plan: Plan, experiment: Experiment, store: Store, fresh: FreshRuns) -> None:
    for cell in plan.cells(experiment):
        plan.stamps[cell.key] = store.stamp(cell.key)
        record = None if plan.fresh else store.read(cell.key)
        if record is None or record.status == "failed":
            plan.missing.append(cell)
        elif reason := _again(cell, record, fresh):
            plan.again[reason] = plan.again.get(reason, 0) + 1
            plan.missing.append(cell)
        else:
            plan.finished += 1


def _again(cell: Cell, record: CellRecord, fresh: FreshRuns) -> str:
    """Return the reason to compute a finished cell again; empty if there is none.

    A changed source of its task does not count: the data are in the key.
    """
    if fresh.is_outdated(cell_file(cell.key)):
        return "an earlier run with --fresh was interrupted before it came to them"
    now, then = cell.provenance["sources"], record.facts.sources
    for kind in sorted(now.keys() - {"task"}):
        if now[kind] != then.get(kind):
            own, _, observable = kind.partition(" ")  # see `source_name`
            name = cell.solver.name if own == "theory" else observable
            name = name or getattr(cell.experiment, own).name
            return (
                f"the source of {own} {name!r} has changed since, and its version has not (a new"
                " version keeps both)"
            )
    return ""


def _say_again(plan: Plan) -> None:
    for reason, count in plan.again.items():
        cells = "1 finished cell is" if count == 1 else f"{count} finished cells are"
        LOG.warning("%s computed again: %s", cells, reason)
