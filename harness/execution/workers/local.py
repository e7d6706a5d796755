"""Persistent worker processes on this machine.

Pools of libraries share one queue and its locks among all workers, so that a worker killed at the
wrong moment can block the others, or lose a job silently. Here every worker has its own pipe, and
one loop listens to all.
"""

from __future__ import annotations

import contextlib
import signal
from multiprocessing.connection import wait

from harness.errors import StoreError
from harness.execution.calls import Call
from harness.execution.messages import Declined, Raised, Returned, Share
from harness.execution.outcomes import Died, JobFailure, Value
from harness.execution.pool import TURN, Limits
from harness.execution.workers.process import WorkerProcess
from harness.execution.workers.worker import Settings


class LocalWorkers:
    """Spawned processes that keep JAX and its compiled programs between jobs.

    A worker that hangs beyond the timeout, takes too much memory, or dies, is killed with all its
    children and replaced; only its own job is lost.

    Args:
        settings: settings of the run; `Settings.workers` is the number of workers.
        limits: limits of jobs; may be changed between two jobs.
    """

    def __init__(self, settings: Settings, limits: Limits) -> None:
        self._settings, self.limits = settings, limits
        self._workers: list[WorkerProcess | None] = [None] * settings.workers

    def free(self) -> int:
        """Return the number of further calls that can be given now."""
        return sum(w is None or w.number is None for w in self._workers)

    def give(self, number: int, call: Call) -> None:
        """Give a call to a free worker; `listen` reports it under this number."""
        slot = next(s for s, w in enumerate(self._workers) if w is None or w.number is None)
        worker = self._workers[slot] or WorkerProcess(self._settings, slot)
        self._workers[slot] = worker
        worker.assign(number, call, self.limits.timeout)

    def listen(self) -> list[tuple[int, Value]]:
        """Wait at most a turn for news; return numbers of calls with their news."""
        wait([h for w in self._workers if w is not None for h in w.handles], timeout=TURN)
        news: list[tuple[int, Value]] = []
        for slot, worker in enumerate(self._workers):
            if worker is None:
                continue
            dead = worker.exitcode is not None  # before its last messages are read
            for message in worker.messages():
                if worker.number is None:
                    continue
                if isinstance(message, Share):
                    news.append((worker.number, message))
                    continue
                news.append((worker.number, _value(message, worker)))
                worker.number = None
            reason = _death(worker) if dead else _overdue(worker, self.limits.timeout)
            if dead or reason:
                news += self._end(slot, worker, reason, dead)
        return news + self._spare_memory()

    def _spare_memory(self) -> list[tuple[int, Value]]:
        """Kill the largest worker if all together exceed the memory limit."""
        sizes = {slot: w.memory for slot, w in enumerate(self._workers) if w is not None}
        if not sizes or sum(sizes.values()) <= self.limits.memory:
            return []
        slot = max(sizes, key=lambda s: sizes[s])
        worker = self._workers[slot]
        assert worker is not None
        reason = (
            f"its worker took {sizes[slot] / 2**20:,.0f} MiB, and the workers together may use"
            f" {self.limits.memory / 2**20:,.0f} MiB; give a larger --memory or fewer --workers,"
            " or make the cell smaller"
        )
        return self._end(slot, worker, reason, False)

    def _end(
        self, slot: int, worker: WorkerProcess, reason: str, died: bool
    ) -> list[tuple[int, Value]]:
        """Kill a worker; return its job, if any, with the failure."""
        number = worker.number
        self._remove(slot, worker)
        if number is None:
            return []
        where = f"{worker.component}: " if worker.component else ""
        failure = JobFailure(where + reason, "", worker.phase, worker.last_lines)
        return [(number, Died(failure) if died else failure)]

    def _remove(self, slot: int, worker: WorkerProcess) -> None:
        self._workers[slot] = None
        worker.kill()

    def close(self) -> None:
        """Kill every worker with all its children."""
        for slot, worker in enumerate(self._workers):
            if worker is not None:
                self._remove(slot, worker)

    def abandon(self) -> None:
        """Signal every worker to end, without waiting."""
        for worker in self._workers:
            if worker is not None:
                worker.signal_group()


def _value(message: Returned | Raised | Declined, worker: WorkerProcess) -> Value:
    """Return the value of a job, or its failure.

    Raises:
        StoreError: if the results folder is at fault; no other job could be written either.
    """
    if isinstance(message, Returned):
        return message.value
    if isinstance(message, Declined):
        return message
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
        " lines it printed, which the results folder keeps, use fewer --workers, or try again with"
        " --retries"
    )
