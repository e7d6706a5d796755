"""Running suites, from Python or the command line: compute missing cells, score, report."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import ClusterError
from harness.execution import Plan, plan_suite, run_suite
from harness.execution.machine import MIB
from harness.progress import shown_progress
from harness.registry import Registry
from harness.results import Results
from harness.store import Store
from harness.store.files import LONGEST, shortened
from harness.suites import Globs, load_suite

if TYPE_CHECKING:
    from harness.execution.calls import Spent
    from harness.execution.cluster.workers import Cluster
    from harness.scoring import Scores

LOG = logging.getLogger("harness.runs")


@dataclass(frozen=True)
class RunOutcome:
    """Outcome of a run.

    Attributes:
        computed: number of cells that have a new result, or lie outside a theory's domain.
        found: number of cells that had a result.
        failed: number of cells that failed.
        spent: time and programs that the workers took.
    """

    computed: int
    found: int
    failed: int
    spent: Spent


def run(
    suite: str | Path,
    *,
    results: str | Path | None = None,
    only: Globs = None,
    plugin_dirs: Sequence[str | Path] = (),
    workers: int | None = None,
    timeout: float | None = None,
    memory: float | None = None,
    retries: int = 0,
    scheduler: str | None = None,
    resources: Mapping[str, float] | None = None,
    shared_results: bool = False,
    fresh: bool = False,
) -> Results:
    """Run the cells of a suite that are missing, score it, and write its report.

    It does all that `limitbench run` does. Progress is a bar on a terminal and in a notebook, and
    lines elsewhere. A script needs no guard around it: workers do not run the script again.

    Args:
        suite: a TOML file, or the name of a bundled suite.
        results: the results folder; ``results/<name>`` by default.
        only: a glob of names of experiments, or several; all by default.
        plugin_dirs: folders of plugins, or plugin files.
        workers: processes; all processors by default.
        timeout: seconds after which a job is stopped and its cells fail.
        memory: MiB that all workers may use together, or each Dask worker; 90 % of the available
            memory by default.
        retries: number of retries for a job whose worker died.
        scheduler: address or file of a Dask scheduler, or "config".
        resources: Dask resources that every job needs.
        shared_results: whether Dask workers write to the results folder, which they share.
        fresh: compute again the cells that have a result.

    Returns:
        The results. Cells that failed have their reason in `Results.cells`; a warning of the logger
        ``harness.runs`` counts them.

    Raises:
        LimitbenchError: if the suite is wrong, or nothing can be written.
    """
    if scheduler is None and (resources or shared_results):
        raise ClusterError("resources and shared_results go with scheduler; give its address")
    if scheduler is not None and workers is not None:
        raise ClusterError("workers are of this machine; leave them out with scheduler")
    if scheduler is not None:
        from harness.execution.cluster.scheduler import check_scheduler

        check_scheduler(scheduler)  # before anything is loaded or planned for it
    folders = [str(folder) for folder in plugin_dirs]
    registry = Registry.load(folders)
    plan = plan_suite(load_suite(suite, registry), fresh, only)
    cluster = None
    if scheduler is not None:
        cluster = cluster_at(scheduler, registry, dict(resources or {}), shared_results)
    store = Store(results or results_folder(plan.suite.name))
    done = compute(
        plan,
        store,
        plugin_dirs=folders,
        workers=workers,
        timeout=timeout,
        memory=memory,
        retries=retries,
        cluster=cluster,
    )
    publish(store, registry)
    if done.failed:
        LOG.warning("%d of the cells failed; Results.cells has their messages", done.failed)
    return Results((store.root,))


def compute(
    plan: Plan,
    store: Store,
    *,
    plugin_dirs: Sequence[str] = (),
    workers: int | None = None,
    timeout: float | None = None,
    memory: float | None = None,
    retries: int = 0,
    cluster: Cluster | None = None,
) -> RunOutcome:
    """Compute the cells of a plan that are missing, and show progress.

    Args:
        plan: plan of the suite.
        store: results folder.
        plugin_dirs: folders of plugins, or plugin files.
        workers: processes; all processors by default.
        timeout: seconds after which a job is stopped and its cells fail.
        memory: MiB that all workers may use together, or each worker of a cluster.
        retries: number of retries for a job whose worker died.
        cluster: cluster to run on instead of this machine.

    Raises:
        LimitbenchError: if nothing can be written.
    """
    store.check()
    with shown_progress() as watcher:
        reports = run_suite(
            plan,
            store,
            watcher,
            plugin_dirs=plugin_dirs,
            workers=workers,
            timeout=timeout,
            memory=None if memory is None else memory * MIB,
            retries=retries,
            cluster=cluster,
        )
    failed = sum(report.status == "failed" for _, report in reports)
    return RunOutcome(len(reports) - failed, plan.finished, failed, plan.spent)


def publish(store: Store, registry: Registry) -> tuple[Scores, Path]:
    """Score a folder and write its report, unless there is a current one.

    Args:
        store: the results folder.
        registry: registry whose plugins add to the report.

    Returns:
        The scores of the whole folder, and the path of the report.

    Raises:
        StoreError: if the report cannot be written.
    """
    from harness.report import is_current, write_report
    from harness.scoring import keep_scores, score_folder

    scored = score_folder(store)
    keep_scores(store, scored.scores)
    path = store.root / "report.html"
    if not is_current(path, store, registry):
        write_report(store, None, registry, scored=scored)
    return scored.scores, path


def cluster_at(
    scheduler: str, registry: Registry, resources: dict[str, float], shared_results: bool
) -> Cluster:
    """Return the cluster of a scheduler; its workers must have the plugins of this process."""
    from harness.execution.cluster.workers import Cluster
    from harness.execution.inventory import take_inventory

    return Cluster(scheduler, take_inventory(registry), resources, shared_results)


def results_folder(name: str) -> Path:
    """Return the default results folder for a suite of this name; each name has its own."""
    folder = "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip(".") or "suite"
    if folder != name or len(folder.encode()) > LONGEST:
        apart = f"-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        folder = f"{shortened(folder, LONGEST - len(apart))}{apart}"
    return Path("results") / folder
