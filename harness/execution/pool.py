"""The jobs of a run, given to workers here or elsewhere, and their outcomes.

One loop in the driver's main thread reserves cells, gives jobs to free workers, and collects their
reports. The workers are processes of this machine (`harness.execution.workers`) or of a Dask
cluster (`harness.execution.cluster`).
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import FrameType, TracebackType
from typing import Any, Protocol

from harness.execution.calls import Call, CellReport, Inspected, Inspection, Job, Pilot, Piloted
from harness.execution.cost.forecast import Expected, Forecast
from harness.execution.cost.work import kind
from harness.execution.jobs import cell_facts
from harness.execution.messages import Declined, Share
from harness.execution.outcomes import (
    UNREADABLE,
    Died,
    JobFailure,
    Lost,
    Value,
    failure_of,
    outcome_in_words,
)
from harness.signals import STOPPING
from harness.store import Store
from harness.store.reservations import Reservations
from harness.suites import Cell

TURN = 0.1
"""Seconds that the loop waits for news before it looks at deadlines and memory."""

RECHECK = 0.5
"""Seconds after which a job that another run has reserved is looked at again."""

LOSSES = 3
"""Least number of times that a job is given to another worker after its machine was lost."""


class Watcher(Protocol):
    """Receiver of a run's progress."""

    def begin(self, titles: Sequence[str]) -> None:
        """Jobs of these titles are about to run; they are numbered in this order."""

    def share(self, number: int, done: float, compiling: bool) -> None:
        """This share of a job is done; `compiling` while it waits for the compiler."""

    def finish(self, number: int, failure: str, said: str = "done") -> None:
        """A job has ended; `failure` is the reason if it failed, else `said` names its outcome."""

    def outlook(self, done: float, left: float | None) -> None:
        """This share of the work is done, and the rest will take so many seconds, if known."""


Assigned = Call | tuple[()] | JobFailure | None
"""A call for a worker; () if nothing is left to do, a failure if it must not start, None if
another run has to end first."""

Handler = Callable[[int, FrameType | None], Any]


@dataclass(frozen=True)
class Limits:
    """Limits of jobs.

    Attributes:
        timeout: seconds that one job may take; None for any time.
        memory: bytes that all workers may use together.
    """

    timeout: float | None
    memory: float


class Workers(Protocol):
    """Workers that run calls, here or elsewhere."""

    def free(self) -> int:
        """Return the number of further calls that can be given now."""

    def give(self, number: int, call: Call) -> None:
        """Give a call to a free worker; `listen` reports it under this number."""

    def listen(self) -> list[tuple[int, Value]]:
        """Wait at most a turn for news; return numbers of calls with their news.

        Raises:
            LimitbenchError: if no call can be run any more.
        """

    def close(self) -> None:
        """End every worker of this run, together with its call."""

    def abandon(self) -> None:
        """Signal workers to stop without waiting; this process is about to exit."""


class WorkerPool:
    """Gives jobs to workers and collects their outcomes.

    A job whose worker is lost is given to another. Ctrl-C, or another signal on which this process
    would raise, ends the pool at the next turn of its loop; a second one ends the process at once.

    Args:
        workers: workers that run the jobs; closed with the pool.
        store: results folder.
        reservations: reservations of the store's cells; None if nothing is written.
        watcher: receives progress.
        retries: number of retries for a job whose worker died.
        memory: limit, in bytes, of the memory that running jobs are together expected to use.
    """

    def __init__(
        self,
        workers: Workers,
        store: Store,
        reservations: Reservations | None,
        watcher: Watcher,
        retries: int = 0,
        memory: float = math.inf,
    ) -> None:
        self._memory = memory
        self._workers, self._store, self._reservations = workers, store, reservations
        self._watcher, self._retries = watcher, retries
        self._interrupted: int | None = None
        self._handlers: dict[int, Handler] = {}

    def __enter__(self) -> WorkerPool:
        if threading.current_thread() is threading.main_thread():
            for number in STOPPING:
                if callable(handler := signal.getsignal(number)):
                    self._handlers[number] = handler
                    signal.signal(number, self._interrupt)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._workers.close()
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._handlers.items():
                signal.signal(number, handler)

    def inspect(
        self, inspections: Sequence[Inspection]
    ) -> Iterator[tuple[Inspection, Inspected | JobFailure]]:
        """Yield every inspection with its findings, or with the reason for its failure."""
        titles = [f"{i.experiments[0].name} · data" for i in inspections]
        expected = [Expected("data")] * len(inspections)
        for number, found in self._outcomes(titles, expected, lambda number: inspections[number]):
            yield inspections[number], found

    def pilot(self, pilots: Sequence[Pilot]) -> Iterator[tuple[Pilot, Piloted | JobFailure]]:
        """Yield every pilot with its findings, or with the reason for its failure."""
        titles = [f"{p.experiment.name} · plan" for p in pilots]
        expected = [Expected("pilot")] * len(pilots)
        for number, found in self._outcomes(titles, expected, lambda number: pilots[number]):
            yield pilots[number], found

    def run(
        self,
        jobs: Sequence[Job],
        stamps: dict[str, int | None],
        ended: Callable[[Job, Sequence[CellReport]], None] = lambda *_: None,
    ) -> list[tuple[Cell, CellReport]]:
        """Run jobs; if a worker fails, the cells of its job are written as failed.

        Args:
            jobs: cells that were missing when they were planned; those that another run has
                written since are left out.
            stamps: `Store.stamp` of every cell, taken before it was planned.
            ended: called with every job that a worker returned, and the reports of its cells.

        Returns:
            Reports of the cells that this run computed.
        """
        reservations = self._reservations
        if reservations is None:
            raise ValueError("jobs write cells, which are to be reserved")
        reports: list[tuple[Cell, CellReport]] = []
        mine: dict[int, tuple[Cell, ...]] = {}

        def call(number: int) -> Assigned:
            cells = jobs[number].cells
            if not reservations.take(c.key for c in cells):
                return None
            left = tuple(c for c in cells if self._store.stamp(c.key) == stamps[c.key])
            mine.setdefault(number, left)  # a job tried again may have written some
            if left and jobs[number].refusal:
                return JobFailure(jobs[number].refusal, phase="plan")
            return Job(left) if left else ()

        titles = [j.title for j in jobs]
        expected = [Expected(kind(j.cells[0].solver), j.total, j.bytes) for j in jobs]
        for number, found in self._outcomes(titles, expected, call):
            failure = found if isinstance(found, JobFailure) else UNREADABLE
            returned = {} if isinstance(found, JobFailure) else {r.key: r for r in found}
            reports += [
                (cell, returned.get(cell.key) or self._settle(cell, failure, stamps[cell.key]))
                for cell in mine[number]
            ]
            reservations.release(c.key for c in jobs[number].cells)
            if returned:
                ended(jobs[number], list(returned.values()))
        return reports

    def _outcomes(
        self, titles: Sequence[str], expected: Sequence[Expected], call: Callable[[int], Assigned]
    ) -> Iterator[tuple[int, Any]]:
        """Yield the number of each job with its value or its failure, as they end.

        Args:
            titles: titles of the jobs.
            expected: expected cost of each job.
            call: returns the call for a job, () if nothing of the job is left, a failure if it
                must not be started, or None if it must wait for another run.
        """
        if not titles:
            return
        self._watcher.begin(titles)
        forecast = Forecast(expected)
        waiting = list(range(len(titles)))
        running: set[int] = set()
        retries = dict.fromkeys(waiting, self._retries)
        losses = dict.fromkeys(waiting, max(LOSSES, self._retries))
        later: dict[int, float] = {}
        checked = 0.0
        while waiting or running:
            self._raise_if_interrupted()
            if self._reservations and time.monotonic() - checked > RECHECK:
                self._reservations.check()
                checked = time.monotonic()
            before = set(running)
            ended = self._start(waiting, running, later, expected, call)
            for number in running - before:
                forecast.start(number)
            news = self._workers.listen()
            self._raise_if_interrupted()  # a worker may have died of the same signal
            for number, value in ended + news:
                if isinstance(value, Share):
                    forecast.share(number, value.done)
                    self._watcher.share(number, value.done, value.compiling)
                    self._tell(forecast, running)
                    continue
                running.discard(number)
                if isinstance(value, Declined) or _again(value, number, retries, losses):
                    waiting.insert(0, number)
                    continue
                outcome = value.failure if isinstance(value, Died | Lost) else value
                failure = failure_of(outcome)
                forecast.finish(number, bool(failure))
                self._tell(forecast, running)
                self._watcher.finish(number, failure, outcome_in_words(outcome))
                yield number, outcome

    def _start(
        self,
        waiting: list[int],
        running: set[int],
        later: dict[int, float],
        expected: Sequence[Expected],
        call: Callable[[int], Assigned],
    ) -> list[tuple[int, Any]]:
        """Give free workers jobs that fit in memory beside the running ones.

        Returns:
            Numbers of jobs that have ended without a worker, with their outcomes.
        """
        ended: list[tuple[int, Any]] = []
        for number in list(waiting):
            if not self._workers.free():
                break
            if later.get(number, 0.0) > time.monotonic():
                continue
            held = sum(expected[n].bytes for n in running) + expected[number].bytes
            if running and held > self._memory:
                continue
            found = call(number)
            if found is None:
                later[number] = time.monotonic() + RECHECK
                continue
            waiting.remove(number)
            if isinstance(found, tuple | JobFailure):
                ended.append((number, found or []))
                continue
            running.add(number)
            self._workers.give(number, found)
        return ended

    def _tell(self, forecast: Forecast, running: set[int]) -> None:
        workers = len(running) + self._workers.free()
        self._watcher.outlook(forecast.done, forecast.seconds_left(workers))

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._interrupted is not None:
            self._workers.abandon()
            os._exit(128 + number)
        self._interrupted = number

    def _raise_if_interrupted(self) -> None:
        """Call the earlier handler of a caught signal, which raises."""
        if self._interrupted is not None:
            self._handlers[self._interrupted](self._interrupted, None)
            raise KeyboardInterrupt

    def _settle(self, cell: Cell, failure: JobFailure, stamp: int | None) -> CellReport:
        """Write a cell as failed, unless its worker finished the cell before failing."""
        record = self._store.read(cell.key) if self._store.stamp(cell.key) != stamp else None
        if record is not None:
            return CellReport(cell.key, record.status, record.facts.message)
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


def _again(value: Value, number: int, retries: dict[int, int], losses: dict[int, int]) -> bool:
    """Return whether to run a job again, and count the retry."""
    left = retries if isinstance(value, Died) else losses
    if not isinstance(value, Died | Lost) or left[number] == 0:
        return False
    left[number] -= 1
    return True
