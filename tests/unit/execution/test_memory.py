"""Jobs that run together fit into memory together; one that never fits is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from finished_jobs import estimates

from harness import Work
from harness.execution.calls import Job
from harness.execution.cost.forecast import jobs_of
from harness.execution.outcomes import JobFailure
from harness.execution.pool import WorkerPool
from harness.store import Store
from harness.store.reservations import Reservations
from harness.suites import Cell


def test_a_cell_that_cannot_fit_is_refused_with_the_numbers(cells: list[Cell]) -> None:
    found = estimates(cells)
    found.add_works("digits", [cells[4].solver], [Work(1.0, bytes=2**30)])
    jobs = jobs_of(cells, found, 1, 1024 * 2**20)
    refused = {j.cells[0].solver.width: j.refusal for j in jobs if j.refusal}
    assert list(refused) == [64]
    assert refused[64] == (
        "needs about 1,374 MiB (350 of them for its worker), and the workers together may use"
        " 1,024 MiB; not started: give a larger --memory, or fewer units, layers or points"
    )
    assert not any(j.refusal for j in jobs_of(cells, found, 1, 2048 * 2**20))


class Recorder:
    """Workers that only count the jobs they are given, and a watcher of what it is told."""

    def __init__(self, free: int = 2) -> None:
        self.running: list[int] = []
        self.given: list[int] = []
        self.most, self._free = 0, free
        self.told: list[tuple[str, Any]] = []

    def free(self) -> int:
        return self._free - len(self.running)

    def give(self, number: int, call: Any) -> None:
        self.given.append(number)
        self.running.append(number)
        self.most = max(self.most, len(self.running))

    def listen(self) -> list[tuple[int, Any]]:
        return [(self.running.pop(0), JobFailure("tried"))] if self.running else []

    def close(self) -> None: ...
    def abandon(self) -> None: ...
    def begin(self, titles: Any) -> None: ...
    def share(self, number: int, done: float, compiling: bool) -> None: ...

    def finish(self, number: int, failure: str, said: str = "done") -> None:
        self.told.append(("finish", failure))

    def outlook(self, done: float, left: float | None) -> None:
        self.told.append(("outlook", done))


def run_jobs(jobs: list[Job], workers: Recorder, root: Path, memory: float) -> Any:
    store = Store(root)
    with (
        Reservations(store) as reservations,
        WorkerPool(workers, store, reservations, workers, 0, memory) as pool,
    ):
        return pool.run(jobs, {c.key: None for j in jobs for c in j.cells})


def test_a_refused_job_is_written_as_failed_and_given_to_no_worker(
    cells: list[Cell], tmp_path: Path
) -> None:
    workers = Recorder()
    jobs = [
        Job((cells[0],), 1.0, bytes=10.0, refusal="needs too much"),
        Job((cells[1],), 3.0, bytes=10.0),
    ]
    reports = run_jobs(jobs, workers, tmp_path / "results", math.inf)
    assert [r.message for _, r in reports] == ["needs too much", "tried"]
    assert workers.given == [1]
    record = Store(tmp_path / "results").read(cells[0].key)
    assert record is not None
    assert (record.status, record.facts.phase) == ("failed", "plan")
    assert workers.told[-2:] == [("outlook", 1.0), ("finish", "tried")]


@pytest.mark.parametrize(("memory", "most"), [(100.0, 1), (math.inf, 2)])
def test_jobs_run_together_only_if_they_fit_together(
    cells: list[Cell], tmp_path: Path, memory: float, most: int
) -> None:
    workers = Recorder()
    run_jobs([Job((c,), 1.0, bytes=60.0) for c in cells[:4]], workers, tmp_path / "results", memory)
    assert workers.given == [0, 1, 2, 3]
    assert workers.most == most
