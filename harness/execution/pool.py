"""A pool of persistent worker processes, and what becomes of the jobs given to it."""

from __future__ import annotations

import multiprocessing
import queue
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Protocol

from pebble import ProcessExpired, ProcessPool

from harness.errors import LimitbenchError
from harness.execution import worker
from harness.execution.jobs import CellReport, Job, cell_facts
from harness.store import Store
from harness.suites import Cell, Experiment


class Watcher(Protocol):
    """Someone who is told how a run goes."""

    def begin(self, titles: Sequence[str]) -> None:
        """Jobs of these titles are about to run; they are numbered in this order."""

    def share(self, number: int, done: float) -> None:
        """This share of a job is done."""

    def finish(self, number: int, failure: str) -> None:
        """A job has ended, with the reason if it failed."""


@dataclass(frozen=True)
class JobFailure:
    """Why a job returned nothing: one line, and the worker's traceback where there is one."""

    message: str
    traceback: str = ""


class WorkerPool:
    """Spawned processes that keep JAX and its compiled programs between jobs.

    A worker that hangs beyond the timeout, or dies, is replaced and costs its own job alone.

    Args:
        workers: how many.
        plugin_dirs: folders of user plugins.
        store: where results go.
        watcher: told of progress.
    """

    def __init__(
        self, workers: int, plugin_dirs: Sequence[str], store: Store, watcher: Watcher
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._messages: Any = context.Queue()
        self._store, self._watcher = store, watcher
        settings = (
            tuple(plugin_dirs),
            str(store.root),
            workers,
            context.Value("i", 0),
            self._messages,
        )
        self._pool = ProcessPool(
            max_workers=workers, context=context, initializer=worker.start, initargs=settings
        )

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._pool.close()
        else:
            self._pool.stop()
        self._pool.join()
        self._messages.close()
        self._messages.cancel_join_thread()

    def resolve(
        self, experiments: Sequence[Experiment], timeout: float | None
    ) -> Iterator[tuple[Experiment, tuple[float, ...] | JobFailure]]:
        """Yield every experiment with its steps, or with the reason why there are none."""
        titles = [f"{e.name} · pilot for dt" for e in experiments]
        futures = [
            self._pool.schedule(worker.call_resolve, [e], timeout=timeout) for e in experiments
        ]
        for number, found in self._outcomes(titles, futures, timeout):
            yield experiments[number], found if isinstance(found, JobFailure) else tuple(found)

    def run(self, jobs: Sequence[Job], timeout: float | None) -> list[tuple[Cell, CellReport]]:
        """Run jobs; the cells of a job whose worker failed are written as failed."""
        futures = [
            self._pool.schedule(worker.call_job, [number, job], timeout=timeout)
            for number, job in enumerate(jobs)
        ]
        reports: list[tuple[Cell, CellReport]] = []
        for number, found in self._outcomes([j.title for j in jobs], futures, timeout):
            cells = jobs[number].cells
            written = (
                [self._write_failure(cell, found) for cell in cells]
                if isinstance(found, JobFailure)
                else found
            )
            reports += zip(cells, written, strict=True)
        return reports

    def _outcomes(
        self, titles: Sequence[str], futures: Sequence[Future[Any]], timeout: float | None
    ) -> Iterator[tuple[int, Any]]:
        """Yield the number of each job with its value or its failure, as they end."""
        if not titles:
            return
        self._watcher.begin(titles)
        numbers = {future: number for number, future in enumerate(futures)}
        pending = set(futures)
        while pending:
            done, pending = wait(pending, timeout=0.1, return_when=FIRST_COMPLETED)
            self._report_shares()
            for future in done:
                number = numbers[future]
                value = _value(future, timeout)
                self._watcher.finish(number, _failure_of(value))
                yield number, value

    def _report_shares(self) -> None:
        while True:
            try:
                number, done = self._messages.get_nowait()
            except queue.Empty:
                return
            self._watcher.share(number, done)

    def _write_failure(self, cell: Cell, failure: JobFailure) -> CellReport:
        started = datetime.now(UTC).isoformat(timespec="seconds")
        facts = cell_facts(cell, started, 0.0) | {
            "status": "failed",
            "phase": "worker",
            "message": failure.message,
            "traceback": failure.traceback,
        }
        self._store.write(cell, facts, None)
        return CellReport(cell.key, "failed", failure.message)


def _value(future: Future[Any], timeout: float | None) -> Any:
    """Return what a job returned, or in one line why it did not."""
    try:
        return future.result()
    except TimeoutError:
        return JobFailure(
            f"stopped after the timeout of {timeout:g} s; give a longer --timeout, or fewer steps"
        )
    except ProcessExpired as error:
        return JobFailure(
            f"its worker died ({_exit(error.exitcode)}); out of memory, or a crash in native code"
        )
    except Exception as error:  # whatever a plugin raised; pebble brings the worker's traceback
        text = " ".join(str(error).split())
        known = isinstance(error, LimitbenchError)
        message = text if known else f"{type(error).__name__}: {text}"
        return JobFailure(message, str(getattr(error, "traceback", "")))


def _exit(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"


def _failure_of(value: Any) -> str:
    if isinstance(value, JobFailure):
        return value.message
    failures = [r.message for r in value if isinstance(r, CellReport) and r.status == "failed"]
    return failures[0] if failures else ""
