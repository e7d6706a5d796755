"""A pool of persistent worker processes, and what becomes of the jobs given to it.

Why not a library's: those share one queue and its locks among all workers, so that a worker killed
at the wrong moment can hold up the others, or lose a job without a word. Here every worker has a
pipe of its own, and one loop in the driver's main thread listens to all.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import wait
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Protocol

from harness.errors import StoreError
from harness.execution.jobs import CellReport, Job, cell_facts
from harness.execution.process import WorkerProcess
from harness.execution.worker import Raised, Settings, Share
from harness.store import Store
from harness.store.claims import Claims
from harness.suites import Cell, Experiment

TURN = 0.1
"""Seconds that the loop waits for news before it looks at deadlines and memory."""

PATIENCE = 0.5
"""Seconds after which a job that another run has claimed is looked at again."""


class Watcher(Protocol):
    """Someone who is told how a run goes."""

    def begin(self, titles: Sequence[str]) -> None:
        """Jobs of these titles are about to run; they are numbered in this order."""

    def share(self, number: int, done: float) -> None:
        """This share of a job is done."""

    def finish(self, number: int, failure: str) -> None:
        """A job has ended, with the reason if it failed."""


@dataclass(frozen=True)
class Limits:
    """What jobs may take.

    Attributes:
        timeout: seconds of one job; None for any time.
        memory: bytes that all workers may use together.
        retries: how often a job is tried again whose worker died.
    """

    timeout: float | None
    memory: float
    retries: int = 0


@dataclass(frozen=True)
class JobFailure:
    """Why a job returned nothing.

    Attributes:
        message: one line.
        traceback: of the worker, where there is one.
        phase: where it was.
        log: the last lines that it printed.
    """

    message: str
    traceback: str = ""
    phase: str = ""
    log: str = ""


class WorkerPool:
    """Spawned processes that keep JAX and its compiled programs between jobs.

    A worker that hangs beyond the timeout, takes too much memory, or dies, is killed with all that
    it started and replaced; it costs its own job alone. Ctrl-C ends the pool at the next turn of
    its loop, a second one the whole process at once.

    Args:
        workers: how many.
        plugin_dirs: folders of user plugins.
        store: where results go.
        claims: on the cells of the store.
        watcher: told of progress.
        limits: of jobs.
    """

    def __init__(
        self,
        workers: int,
        plugin_dirs: Sequence[str],
        store: Store,
        claims: Claims,
        watcher: Watcher,
        limits: Limits,
    ) -> None:
        root = str(Path(store.root).resolve())
        self._settings = Settings(tuple(plugin_dirs), root, workers, os.getpid())
        self._workers: list[WorkerProcess | None] = [None] * workers
        self._store, self._claims, self._watcher = store, claims, watcher
        self._limits = limits
        self._interrupted = False

    def __enter__(self) -> WorkerPool:
        if threading.current_thread() is threading.main_thread():
            self._handler = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for slot, worker in enumerate(self._workers):
            if worker is not None:
                self._remove(slot, worker)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._handler)

    def resolve(
        self, experiments: Sequence[Experiment]
    ) -> Iterator[tuple[Experiment, tuple[float, ...] | JobFailure]]:
        """Yield every experiment with its steps, or with the reason why there are none."""
        titles = [f"{e.name} · pilot for dt" for e in experiments]
        for number, found in self._outcomes(titles, lambda number: experiments[number]):
            yield experiments[number], found if isinstance(found, JobFailure) else tuple(found)

    def run(
        self, jobs: Sequence[Job], stamps: dict[str, int | None]
    ) -> list[tuple[Cell, CellReport]]:
        """Run jobs; the cells of a job whose worker failed are written as failed.

        Args:
            jobs: cells that were missing when they were planned; those that another run has
                written since are left out.
            stamps: what `Store.stamp` said of every cell before it was planned.

        Returns:
            Reports of the cells that this run computed.
        """
        reports: list[tuple[Cell, CellReport]] = []
        given: dict[int, Job] = {}

        def call(number: int) -> Job | tuple[()] | None:
            cells = jobs[number].cells
            if not self._claims.take(c.key for c in cells):
                return None
            left = tuple(c for c in cells if self._store.stamp(c.key) == stamps[c.key])
            given[number] = Job(left)
            return given[number] if left else ()

        for number, found in self._outcomes([j.title for j in jobs], call):
            cells = given[number].cells
            written = (
                [self._write_failure(cell, found, stamps[cell.key]) for cell in cells]
                if isinstance(found, JobFailure)
                else found
            )
            reports += zip(cells, written, strict=True)
            self._claims.release(c.key for c in jobs[number].cells)
        return reports

    def _outcomes(
        self, titles: Sequence[str], call: Callable[[int], Any]
    ) -> Iterator[tuple[int, Any]]:
        """Yield the number of each job with its value or its failure, as they end.

        Args:
            titles: of the jobs.
            call: returns what to give a worker for a job, () if nothing of it is left to do, or
                None if it must wait for another run.
        """
        if not titles:
            return
        self._watcher.begin(titles)
        waiting = list(range(len(titles)))
        retries = dict.fromkeys(waiting, self._limits.retries)
        later: dict[int, float] = {}
        checked = 0.0
        while waiting or any(w is not None and w.number is not None for w in self._workers):
            if self._interrupted:
                raise KeyboardInterrupt
            if time.monotonic() - checked > PATIENCE:
                self._claims.check()
                checked = time.monotonic()
            ended: list[tuple[int, Any]] = [(n, []) for n in self._start(waiting, later, call)]
            for number, value in ended + self._listen():
                if isinstance(value, _Death) and retries[number] > 0:
                    retries[number] -= 1
                    waiting.insert(0, number)
                    continue
                outcome = value.failure if isinstance(value, _Death) else value
                self._watcher.finish(number, _failure_of(outcome))
                yield number, outcome

    def _start(
        self, waiting: list[int], later: dict[int, float], call: Callable[[int], Any]
    ) -> list[int]:
        """Give idle workers jobs; return the numbers of jobs of which nothing is left to do."""
        empty = []
        for number in list(waiting):
            slots = [s for s, w in enumerate(self._workers) if w is None or w.number is None]
            if not slots:
                break
            if later.get(number, 0.0) > time.monotonic():
                continue
            found = call(number)
            if found is None:
                later[number] = time.monotonic() + PATIENCE
                continue
            waiting.remove(number)
            if found == ():
                empty.append(number)
                continue
            worker = self._workers[slots[0]] or WorkerProcess(self._settings, slots[0])
            self._workers[slots[0]] = worker
            worker.assign(number, found, self._limits.timeout)
        return empty

    def _listen(self) -> list[tuple[int, Any]]:
        """Wait a turn for news of the workers; return jobs that ended, with what came of them."""
        wait([h for w in self._workers if w is not None for h in w.handles], timeout=TURN)
        ended: list[tuple[int, Any]] = []
        for slot, worker in enumerate(self._workers):
            if worker is None:
                continue
            dead = worker.exitcode is not None  # before its last messages are read
            for message in worker.messages():
                if worker.number is None:
                    continue
                if isinstance(message, Share):
                    self._watcher.share(worker.number, message.done)
                    continue
                ended.append((worker.number, _value(message, worker)))
                worker.number = None
            reason = _death(worker) if dead else _overdue(worker, self._limits.timeout)
            if dead or reason:
                ended += self._end(slot, worker, reason, dead)
        return ended + self._spare_memory()

    def _spare_memory(self) -> list[tuple[int, Any]]:
        """Kill the largest worker while all together use more memory than they may."""
        sizes = {slot: w.memory for slot, w in enumerate(self._workers) if w is not None}
        if not sizes or sum(sizes.values()) <= self._limits.memory:
            return []
        slot = max(sizes, key=lambda s: sizes[s])
        worker = self._workers[slot]
        assert worker is not None
        reason = (
            f"its worker took {sizes[slot] / 2**20:,.0f} MiB, and the workers together may use"
            f" {self._limits.memory / 2**20:,.0f} MiB; give a larger --memory or fewer --workers,"
            " or make the cell smaller"
        )
        return self._end(slot, worker, reason, False)

    def _end(
        self, slot: int, worker: WorkerProcess, reason: str, died: bool
    ) -> list[tuple[int, Any]]:
        """Kill a worker; return its job, if it had one, with the failure."""
        number = worker.number
        self._remove(slot, worker)
        if number is None:
            return []
        where = f"{worker.component}: " if worker.component else ""
        failure = JobFailure(where + reason, "", worker.phase, worker.last_lines)
        return [(number, _Death(failure) if died else failure)]

    def _remove(self, slot: int, worker: WorkerProcess) -> None:
        self._workers[slot] = None
        worker.kill()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._interrupted:
            for worker in self._workers:
                if worker is not None:
                    worker.signal_group()
            os._exit(130)
        self._interrupted = True

    def _write_failure(self, cell: Cell, failure: JobFailure, stamp: int | None) -> CellReport:
        """Write a cell as failed, unless the worker had finished it before it failed."""
        record = self._store.read(cell.key) if self._store.stamp(cell.key) != stamp else None
        if record is not None:
            return CellReport(cell.key, record.status, record.facts.get("message", ""))
        started = datetime.now(UTC).isoformat(timespec="seconds")
        facts = cell_facts(cell, started, 0.0) | {
            "status": "failed",
            "phase": failure.phase,
            "message": failure.message,
            "traceback": failure.traceback,
            "log": failure.log,
        }
        self._store.write(cell, facts, None)
        return CellReport(cell.key, "failed", failure.message)


@dataclass(frozen=True)
class _Death:
    """A failure that may be the machine's fault, not the job's."""

    failure: JobFailure


def _value(message: Any, worker: WorkerProcess) -> Any:
    """Return what a job returned, or why it did not.

    Raises:
        StoreError: if the results folder is at fault: no other job could be written either.
    """
    if not isinstance(message, Raised):
        return message.value
    if message.store:
        raise StoreError(message.message)
    return JobFailure(message.message, message.traceback, worker.phase, worker.last_lines)


def _overdue(worker: WorkerProcess, timeout: float | None) -> str:
    if not worker.overdue:
        return ""
    if timeout is None or worker.phase == "start":
        return "its worker did not start; look at the last lines it printed, or use fewer --workers"
    return f"stopped after the timeout of {timeout:g} s; give a longer --timeout, or fewer steps"


def _death(worker: WorkerProcess) -> str:
    code = worker.exitcode
    how = f"exit code {code}"
    if code is not None and code < 0:
        how = f"signal {-code}"
        with contextlib.suppress(ValueError):
            how = f"signal {signal.Signals(-code).name}"
    return (
        f"its worker died ({how}); out of memory, or a crash in native code: look at the last"
        " lines it printed in cell.json, use fewer --workers, or try again with --retries"
    )


def _failure_of(value: Any) -> str:
    if isinstance(value, JobFailure):
        return value.message
    failures = [r.message for r in value if isinstance(r, CellReport) and r.status == "failed"]
    return failures[0] if failures else ""
