"""A Dask cluster of real processes on this machine, to be used and broken."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil
from patience import PATIENCE, until

from harness.execution import plan_suite, run_suite
from harness.execution.calls import CellReport
from harness.execution.cluster.scheduler import connect
from harness.execution.cluster.workers import Cluster
from harness.execution.inventory import Inventory, take_inventory
from harness.progress import Lines
from harness.registry import Registry
from harness.store import Store
from harness.suites import Cell, load_suite

DASK = Path(sys.executable).with_name("dask")


class DaskProcesses:
    """A scheduler, and workers of one thread each that a nanny starts again when they die."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder, self._environment = folder, dict(environment)
        self.file = folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--port", "0", "--host", "127.0.0.1")
        self.nannies: list[subprocess.Popen[bytes]] = []

    def add_worker(self, *options: str, environment: Mapping[str, str] | None = None) -> None:
        """Start a worker, which joins when it is up."""
        added = self._start("worker", "--nthreads", "1", *options, environment=environment)
        self.nannies.append(added)

    def wait(self) -> None:
        """Wait until the scheduler answers and every worker that was added has joined."""
        until(self._written, lambda: self.scheduler.poll() is None)
        with connect(str(self.file), patience=60.0) as client:
            client.wait_for_workers(len(self.nannies), timeout=PATIENCE)

    def _written(self) -> bool:
        """Return whether the scheduler's file is there and whole: it is not renamed into place."""
        with contextlib.suppress(OSError, ValueError):
            return bool(json.loads(self.file.read_text()))
        return False

    def worker_processes(self) -> list[psutil.Process]:
        """Return the processes of Dask's workers: children of their nannies."""
        return [p for n in self.nannies for p in _spawned(n.pid)]

    def job_processes(self) -> list[psutil.Process]:
        """Return the processes in which jobs run: children of Dask's workers."""
        return [p for w in self.worker_processes() for p in _spawned(w.pid)]

    def stop(self) -> None:
        """End all processes."""
        for process in (*self.nannies, self.scheduler):
            with contextlib.suppress(psutil.Error):
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
            process.kill()
            process.wait()

    def _start(
        self, what: str, *options: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        with (self._folder / f"{what}.log").open("ab") as log:
            return subprocess.Popen(
                [DASK, what, "--scheduler-file", self.file, "--no-dashboard", *options],
                cwd=self._folder,
                env=self._environment | dict(environment or {}),
                stdout=log,
                stderr=log,
                start_new_session=True,  # so that the kernel gives each its own share
            )


@contextlib.contextmanager
def dask_cluster(
    folder: Path, environment: Mapping[str, str], workers: int = 2
) -> Iterator[DaskProcesses]:
    """Yield a cluster whose workers have joined."""
    processes = DaskProcesses(folder, environment)
    try:
        for _ in range(workers):
            processes.add_worker()
        processes.wait()
        yield processes
    finally:
        processes.stop()


def inventory_here(plugin_dirs: Sequence[str] = ()) -> Inventory:
    """Return what a driver in this process has."""
    return take_inventory(Registry.load(plugin_dirs))


def run_on(
    processes: DaskProcesses,
    suite: Path,
    results: Path,
    *,
    shared: bool = False,
    inventory: Inventory | None = None,
    resources: Mapping[str, float] | None = None,
    plugin_dirs: Sequence[str] = (),
    timeout: float | None = None,
) -> list[tuple[Cell, CellReport]]:
    """Run a suite on a cluster, driven from this process."""
    expected = inventory or inventory_here(plugin_dirs)
    cluster = Cluster(str(processes.file), expected, dict(resources or {}), shared)
    return run_here(suite, results, plugin_dirs=plugin_dirs, timeout=timeout, cluster=cluster)


def run_here(
    suite: Path,
    results: Path,
    *,
    plugin_dirs: Sequence[str] = (),
    timeout: float | None = None,
    workers: int | None = None,
    cluster: Cluster | None = None,
) -> list[tuple[Cell, CellReport]]:
    """Run what is missing of a suite, driven from this process, without scores and report."""
    store = Store(results)
    plan = plan_suite(load_suite(str(suite), Registry.load(plugin_dirs)))
    with Lines(quiet=True) as watcher:
        return run_suite(
            plan,
            store,
            watcher,
            plugin_dirs=plugin_dirs,
            workers=workers,
            timeout=timeout,
            cluster=cluster,
        )


def _spawned(pid: int) -> list[psutil.Process]:
    """Return the children of a process that multiprocessing spawned."""
    with contextlib.suppress(psutil.Error):
        children = psutil.Process(pid).children()
        return [c for c in children if "spawn_main" in " ".join(c.cmdline())]
    return []
