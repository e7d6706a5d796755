"""Predicted time and memory follow counts, corrected by jobs that have finished."""

from __future__ import annotations

from dataclasses import replace

import pytest
from finished_jobs import SECOND, estimates, finished

from harness import Work
from harness.execution.cost.estimates import IDLE_WORKER_BYTES as WORKER
from harness.execution.cost.estimates import LOADING, PROGRAM
from harness.execution.cost.forecast import jobs_of
from harness.execution.cost.work import NETWORK
from harness.suites import Cell, Resolved


def test_where_nothing_has_run_counts_are_all_there_is(cells: list[Cell]) -> None:
    found = estimates(cells, works={"mean-field": Work(5 * SECOND)})
    assert (found.of(cells[0]).seconds, found.of(cells[4]).seconds) == pytest.approx((16.0, 64.0))
    assert found.of(cells[0]).compiling == pytest.approx(10 * PROGRAM)
    lazy = next(c for c in cells if c.solver.name == "lazy-ntk")
    assert (found.of(lazy).seconds, found.of(lazy).bytes) == (None, None)
    assert found.of(lazy).compiling == 0.0
    assert found.of(cells[0]).bytes == WORKER + 16, "a worker takes some itself"


def test_finished_jobs_of_its_kind_correct_a_prediction(cells: list[Cell]) -> None:
    history = [finished(NETWORK, 10.0, seconds) for seconds in (19.0, 20.0, 900.0)]
    history.append(finished("lazy-ntk 1", 0.0, 0.25, compiling=3.0))
    found = estimates(cells, history, works={"mean-field": Work(5 * SECOND)})
    assert found.of(cells[4]).seconds == pytest.approx(128.0), "the median ratio is 2"
    lazy, field = (
        next(c for c in cells if c.solver.name == name) for name in ("lazy-ntk", "mean-field")
    )
    version = lazy.solver.theory
    assert version is not None
    history[-1] = replace(history[-1], kind=f"lazy-ntk {version.version}")
    found = estimates(cells, history, works={"mean-field": Work(5 * SECOND)})
    assert found.of(lazy).seconds == 0.25, "unknown work: as finished cells of its kind"
    assert found.of(field).seconds == pytest.approx(5.0), "other kinds are not touched"


def test_work_is_predicted_by_the_most_similar_work(cells: list[Cell]) -> None:
    small = [finished(NETWORK, 1e-3 * (1 + i / 100), 0.02) for i in range(20)]
    large = [finished(NETWORK, 60.0 + i, 30.0 + i / 2) for i in range(20)]
    found = estimates(cells, small + large)
    assert found.of(cells[4]).seconds == pytest.approx(32.0), "half of what counts say"
    assert estimates(cells, small).of(cells[4]).seconds == pytest.approx(64 * 20, rel=0.2)


def test_compiling_is_as_long_as_it_was_and_short_where_programs_are_kept(
    cells: list[Cell],
) -> None:
    cold = [finished(NETWORK, 16.0, 16.0, compiling=t) for t in (6.0, 10.0)]
    found = estimates(cells, cold)
    assert found.of(cells[4]).compiling == pytest.approx(8.0), "another width"
    assert found.of(cells[0]).compiling == pytest.approx(8.0 * LOADING), "the same width again"
    warm = finished(NETWORK, 16.0, 16.0, compiling=0.5, compiled=0, loaded=16)
    found = estimates(cells, [*cold, warm])
    assert found.of(cells[0]).compiling == pytest.approx(0.5)
    assert found.of(cells[4]).compiling == pytest.approx(8.0)
    assert estimates(cells, [warm]).of(cells[4]).compiling == pytest.approx(10 * PROGRAM)
    shared = replace(warm, compiling=0.0, loaded=0)
    found = estimates(cells, [*cold, warm, *[shared] * 10])
    assert found.of(cells[0]).compiling == pytest.approx(0.5), "a worker had them in memory"


def test_what_does_the_work_of_another_job_finds_its_programs(cells: list[Cell]) -> None:
    other = [replace(c, resolved=Resolved("others", (0.1, 0.1))) for c in cells]
    found = estimates(cells, works={"mean-field": Work(5 * SECOND, programs=3)})
    jobs = jobs_of([*cells, *other], found, 1, None)
    compiling = [j.compiling for j in jobs if j.cells[0].solver.width == 16]
    assert sorted(compiling) == pytest.approx([0.0, 10 * PROGRAM])
    compiling = [j.compiling for j in jobs if j.cells[0].solver.name == "mean-field"]
    assert sorted(compiling) == pytest.approx([0.0, 3 * PROGRAM])


def test_jobs_of_another_version_say_nothing(cells: list[Cell]) -> None:
    old = [finished(f"{NETWORK}0", 16.0, 160.0)]
    assert estimates(cells, old).of(cells[0]) == estimates(cells).of(cells[0])


def test_the_longest_jobs_come_first_and_the_unknown_before_them(cells: list[Cell]) -> None:
    jobs = jobs_of(cells, estimates(cells, works={"mean-field": Work(100 * SECOND)}), 1, None)
    order = [(j.cells[0].solver.name, j.cells[0].solver.width, len(j.cells)) for j in jobs]
    assert order[0] == ("lazy-ntk", None, 1)
    assert [j.total for j in jobs] == sorted((j.total for j in jobs), reverse=True)


def test_the_longest_job_is_so_with_its_compilation(cells: list[Cell]) -> None:
    slow = Work(SECOND, programs=1000)
    jobs = jobs_of(cells, estimates(cells, unit=0.01, works={"mean-field": slow}), 1, None)
    first = next(job for job in jobs if job.seconds is not None)
    assert first.cells[0].solver.name == "mean-field"
    assert first.seconds == pytest.approx(1.0)
    assert first.compiling == pytest.approx(1000 * PROGRAM)


def test_seeds_share_a_job_unless_that_would_keep_workers_waiting(cells: list[Cell]) -> None:
    def sizes(unit: float) -> list[int]:
        jobs = jobs_of(cells, estimates(cells, unit=unit), 2, None)
        return [len(j.cells) for j in jobs if j.cells[0].solver.width == 64]

    assert sizes(0.01) == [4], "shorter than compiling its programs twice"
    assert sizes(1.0) == [1, 1, 1, 1], "4 x 64 s are most of the work, and there are two workers"
