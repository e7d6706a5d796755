"""What finished on this machine is kept, in order and whole."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from finished_jobs import estimates, finished

from harness.execution.calls import Spent
from harness.execution.cost.history import KEPT, Finished, history_file, read_history, remember
from harness.execution.cost.work import NETWORK
from harness.suites import Cell


def test_what_finished_is_remembered_in_order_and_no_more_than_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "history" / "this.jsonl"
    jobs = [finished(NETWORK, 1.0 + i, 2.0 + i) for i in range(2 * KEPT + 5)]
    assert read_history(path) == ()
    remember(path, jobs[0])
    assert read_history(path) == (jobs[0],)
    for job in jobs[1:]:
        remember(path, job)
    assert read_history(path) == tuple(jobs[-KEPT:])
    assert path.read_bytes().count(b"\n") < 2 * KEPT
    assert [p.name for p in path.parent.iterdir()] == ["this.jsonl"]
    remember(None, jobs[0])
    assert read_history(None) == ()
    (tmp_path / "file").touch()
    remember(tmp_path / "file" / "this.jsonl", jobs[0])


@pytest.mark.parametrize(
    "damage", [b"", b"[]", b'{"kind": 3', b'{"kind": "a"}', b"\xff", b"null", b"NaN"]
)
def test_a_damaged_line_costs_itself_alone(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "this.jsonl"
    before, after = finished(NETWORK, 1.0, 2.0), finished(NETWORK, 3.0, 4.0)
    remember(path, before)
    with path.open("ab") as opened:
        opened.write(b"\n" + damage)
    remember(path, after)
    assert read_history(path) == (before, after)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_numbers_that_cannot_be_are_no_history(tmp_path: Path, value: float) -> None:
    remember(tmp_path / "this.jsonl", finished(NETWORK, 1.0, value))
    assert read_history(tmp_path / "this.jsonl") == ()


def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    def write(kind: str) -> None:
        for i in range(100):
            remember(tmp_path / "this.jsonl", finished(kind, 1.0 + i, 1.0))

    threads = [threading.Thread(target=write, args=[kind]) for kind in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read_history(tmp_path / "this.jsonl")
    for kind in ("a", "b"):
        assert [j.counts for j in found if j.kind == kind] == [1.0 + i for i in range(100)]


def test_a_job_is_remembered_by_its_kind_and_work(cells: list[Cell]) -> None:
    found = estimates(cells).finished(cells[:4], Spent(8.0, 3.0, 2, 14))
    assert found.counts == pytest.approx(16.0)
    assert replace(found, counts=16.0) == Finished(NETWORK, 4, 16.0, 2.0, 3.0, 2, 14)


def test_machines_that_share_a_home_have_histories_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("platform.node", lambda: "one")
    one = history_file()
    monkeypatch.setattr("platform.node", lambda: "an/other")
    other = history_file()
    assert one != other
    assert one.parent == other.parent
