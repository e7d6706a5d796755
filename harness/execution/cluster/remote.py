"""On a worker of a Dask cluster: a worker process of that machine runs the call.

The process is the same as in a local run, so that a call that hangs, crashes or takes too much
memory ends as it does there, and no plugin's code runs inside Dask's own process. Processes are
kept for the next call.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import os
import pickle
import shutil
import tempfile
import threading
import time
from collections.abc import Mapping
from concurrent.futures import CancelledError
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dask.system import CPU_COUNT
from distributed import Worker, get_worker

from harness.execution.calls import Call
from harness.execution.inventory import Inventory, present, version_difference, versions
from harness.execution.machine import available_memory
from harness.execution.messages import Declined, Share
from harness.execution.outcomes import Value
from harness.execution.pool import Limits
from harness.execution.workers.local import LocalWorkers
from harness.execution.workers.worker import Settings
from harness.store import Store

PROGRESS_INTERVAL = 2.0
"""Seconds between two messages on the progress of a call; there may be hundreds of workers."""

IDLE = 300.0
"""Seconds after which an idle process is ended."""

MEMORY_SHARE = 0.9
"""Share of a Dask worker's memory that its calls may use together."""

SERVING = {"init", "running", "paused", "closing_gracefully"}
"""States of a Dask worker in which its results are still wanted."""


@dataclass(frozen=True)
class Assignment:
    """A call, and the facts that its worker needs.

    Attributes:
        call: call to run.
        plugin_dirs: folders of user plugins.
        expected: inventory of the driver.
        shared: the results folder, if workers write there; else written files are sent back.
        token: a file that identifies the shared folder as the driver's.
        timeout: seconds that the call may take; None for any time.
        memory: bytes for all calls of a Dask worker; its own limit if None.
        topic: topic of Dask's events on the progress of the call.
        number: number of the call in these events.
    """

    call: Call
    plugin_dirs: tuple[str, ...]
    expected: Inventory
    shared: str | None
    token: str
    timeout: float | None
    memory: float | None
    topic: str
    number: int


@dataclass(frozen=True)
class Delivery:
    """End of a call, and the files of the cells that it made, by key and name."""

    value: Value
    files: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)


class _Seat:
    """A worker process that is kept between calls, and the folder into which it writes.

    Args:
        kind: facts that calls must share to use this process.
        task: the first of these calls.
        worker: Dask's worker, to which the process belongs.
    """

    def __init__(self, kind: object, task: Assignment, worker: Worker) -> None:
        self.kind, self.uses = kind, 0
        self.scratch: Path | None = None
        if task.shared is None:
            self.scratch = Path(tempfile.mkdtemp(prefix="cells-", dir=worker.local_directory))
            Store(self.scratch).prepare()
        settings = Settings(
            plugin_dirs=tuple(present(task.plugin_dirs)),
            results=task.shared or str(self.scratch),
            workers=1,
            driver=os.getpid(),
            threads=_threads(worker),
            expected=task.expected,
        )
        self.workers = LocalWorkers(settings, _limits(task, worker))

    def close(self) -> None:
        """End the process, and remove written files that nobody collected."""
        self.workers.close()
        if self.scratch is not None:
            shutil.rmtree(self.scratch, ignore_errors=True)


_lock = threading.Lock()
_idle: list[_Seat] = []
_busy: list[_Seat] = []


def run_call(expected: Mapping[str, str], assignment: bytes) -> Delivery:
    """Run a call in a worker process of this machine; this is Dask's task.

    Args:
        expected: versions by package, compared before anything of the assignment is unpickled.
        assignment: an `Assignment`, pickled.

    Raises:
        StoreError: if nothing can be written.
    """
    if differs := version_difference(expected, versions()):
        return Delivery(Declined(differs))
    task: Assignment = pickle.loads(assignment)
    if task.shared is not None and not Path(task.shared, task.token).is_file():
        return Delivery(
            Declined(
                f"it does not see the driver's results folder {task.shared}; mount it there, or"
                " leave out --shared-results"
            )
        )
    worker = get_worker()
    seat = _take_seat(task, worker)
    kept = False
    try:
        value = _run(seat, task, worker)
        kept = not isinstance(value, Declined)
        return Delivery(value, {} if seat.scratch is None else _take_cells(seat.scratch))
    finally:
        _leave_seat(seat, kept)


def _run(seat: _Seat, task: Assignment, worker: Worker) -> Value:
    """Return the end of a call; a call that nobody waits for any more is ended at once.

    Raises:
        StoreError: if nothing can be written.
    """
    key = worker.get_current_task()
    told = time.monotonic()
    seat.workers.give(task.number, task.call)
    while True:
        state = worker.state.tasks.get(key)
        if state is None or state.state == "cancelled" or worker.status.name not in SERVING:
            raise CancelledError(f"{key}: its driver or scheduler has gone")
        for _, value in seat.workers.listen():
            if not isinstance(value, Share):
                return value
            if time.monotonic() - told > PROGRESS_INTERVAL:
                told = time.monotonic()
                worker.log_event(task.topic, asdict(value) | {"number": task.number})


def _take_seat(task: Assignment, worker: Worker) -> _Seat:
    """Return an idle process for such a call, or a new one."""
    threads = worker.state.nthreads
    kind = (task.plugin_dirs, task.expected, task.shared)
    with _lock:
        seat = next((s for s in _idle if s.kind == kind), None)
        spare = _idle[0] if seat is None and len(_idle) + len(_busy) >= threads else None
        for found in (seat, spare):
            if found is not None:
                _idle.remove(found)
        if seat is None:
            # Dask marks its workers as daemons, which may have no children; ours end with them
            multiprocessing.current_process().daemon = False
            seat = _Seat(kind, task, worker)
        _busy.append(seat)
    if spare is not None:
        spare.close()
    seat.uses += 1
    seat.workers.limits = _limits(task, worker)
    return seat


def _leave_seat(seat: _Seat, kept: bool) -> None:
    """Keep a process for the next call, for a while, or end it."""
    with _lock:
        _busy.remove(seat)
        if kept:
            _idle.append(seat)
    if not kept:
        seat.close()
        return
    timer = threading.Timer(IDLE, _end_if_idle, [seat, seat.uses])
    timer.daemon = True
    timer.start()


def _end_if_idle(seat: _Seat, uses: int) -> None:
    with _lock:
        if seat not in _idle or seat.uses != uses:
            return
        _idle.remove(seat)
    seat.close()


def _end_all() -> None:
    """End every process; Dask's own is about to exit, and would wait for them."""
    for seat in (*_busy, *_idle):
        seat.close()


multiprocessing.util.Finalize(None, _end_all, exitpriority=100)


def _limits(task: Assignment, worker: Worker) -> Limits:
    """Return the limits of a call; its memory is a share of the Dask worker's."""
    memory = task.memory or worker.memory_manager.memory_limit or available_memory()
    return Limits(task.timeout, MEMORY_SHARE * memory / worker.state.nthreads)


def _threads(worker: Worker) -> int:
    """Return the number of threads of a call: OMP_NUM_THREADS as set by Dask, or its share."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    if said.isdecimal() and int(said) > 0:
        return int(said)
    return max(1, CPU_COUNT // worker.state.nthreads)


def _take_cells(scratch: Path) -> dict[str, dict[str, bytes]]:
    """Return the files of the cells that were written, and remove them."""
    files = {
        folder.name: {path.name: path.read_bytes() for path in folder.iterdir()}
        for folder in (scratch / "cells").iterdir()
        if not folder.name.startswith(".")
    }
    for folder in (scratch / "cells").iterdir():
        shutil.rmtree(folder)
    return files
