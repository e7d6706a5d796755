"""Killed at any moment, a run loses the cells in flight and nothing else."""

from __future__ import annotations

import json
import random
import shutil
import time
from pathlib import Path

import psutil
import pytest
from faulty_runs import KILLS, Drive, finish, values, workers_of, written

from harness.store import Store
from harness.store.care import verify


@pytest.fixture(scope="module")
def undisturbed(
    drive: Drive, sixty: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, dict[str, str]], float]:
    """The checksums of all sixty cells of a run that nothing disturbed, and its seconds."""
    results = tmp_path_factory.mktemp("undisturbed")
    finish(drive(sixty, results))
    again = tmp_path_factory.mktemp("again")
    start = time.monotonic()
    reports = finish(drive(sixty, again))  # its programs are in the compilation cache by now
    seconds = time.monotonic() - start
    assert [status for _, status, _ in reports] == ["done"] * 60
    assert values(results) == values(again), "runs agree bit by bit"
    return values(results), seconds


def sound(results: Path) -> bool:
    return not (results / "cells").exists() or list(verify(Store(results))) == []


@pytest.mark.parametrize("moment", range(KILLS))
def test_a_killed_driver_loses_only_the_cells_in_flight(
    drive: Drive,
    sixty: Path,
    undisturbed: tuple[dict[str, dict[str, str]], float],
    moment: int,
    tmp_path: Path,
) -> None:
    expected, seconds = undisturbed
    driver = drive(sixty, tmp_path)
    time.sleep(seconds * (0.3 + 0.7 * random.Random(moment).random()))
    workers = workers_of(driver)
    driver.kill()
    driver.communicate()
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert alive == [], "workers die with their driver"
    assert sound(tmp_path), "nothing half-written is taken for a cell"
    kept = written(tmp_path)

    reports = finish(drive(sixty, tmp_path))
    assert sorted(key for key, _, _ in reports) == sorted(expected.keys() - kept.keys())
    assert written(tmp_path).items() >= kept.items(), "nothing finished was computed twice"
    assert values(tmp_path) == expected
    assert [p.name for p in (tmp_path / "cells").iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("moment", range(max(1, KILLS // 3)))
def test_killed_workers_are_replaced_and_their_jobs_tried_again(
    drive: Drive,
    sixty: Path,
    undisturbed: tuple[dict[str, dict[str, str]], float],
    moment: int,
    tmp_path: Path,
) -> None:
    expected, seconds = undisturbed
    chance = random.Random(1000 + moment)
    driver = drive(sixty, tmp_path, retries=5)
    killed = 0
    end = time.monotonic() + 10 * seconds
    while killed < 3 and driver.poll() is None and time.monotonic() < end:
        time.sleep(chance.random())
        if workers := workers_of(driver):
            chance.choice(workers).kill()
            killed += 1
    reports = finish(driver)
    assert killed >= 1
    assert sorted(key for key, _, _ in reports) == sorted(expected), "each exactly once"
    assert {status for _, status, _ in reports} == {"done"}
    assert values(tmp_path) == expected


def test_a_killed_worker_costs_its_own_job_and_a_rerun_completes(
    drive: Drive,
    sixty: Path,
    undisturbed: tuple[dict[str, dict[str, str]], float],
    tmp_path: Path,
) -> None:
    expected, _ = undisturbed
    driver = drive(sixty, tmp_path)
    while not written(tmp_path) and driver.poll() is None:
        time.sleep(0.02)
    victim = next(iter(workers_of(driver)))
    victim.kill()
    reports = finish(driver)
    failed = {key: message for key, status, message in reports if status == "failed"}
    assert len(failed) <= 2, "a job has at most the two seeds"
    for key, message in failed.items():
        assert "its worker died (signal SIGKILL)" in message
        facts = json.loads((tmp_path / "cells" / key / "cell.json").read_text())
        assert facts["phase"] and facts["status"] == "failed"
    again = finish(drive(sixty, tmp_path))
    assert sorted(key for key, _, _ in again) == sorted(failed)
    assert values(tmp_path) == expected


def test_what_a_kill_between_two_writes_left_of_a_job_comes_out_the_same_bit_by_bit(
    drive: Drive,
    sixty: Path,
    undisturbed: tuple[dict[str, dict[str, str]], float],
    tmp_path: Path,
) -> None:
    expected, _ = undisturbed
    finish(drive(sixty, tmp_path))
    networks = [
        key
        for key in sorted(expected)
        if json.loads((tmp_path / "cells" / key / "cell.json").read_text())["solver"]["width"]
    ]
    gone = networks[::2]  # of some jobs both seeds, of some the first, of some the second
    for key in gone:
        shutil.rmtree(tmp_path / "cells" / key)
    reports = finish(drive(sixty, tmp_path))
    assert sorted(key for key, _, _ in reports) == gone
    assert values(tmp_path) == expected


def test_two_runs_on_one_folder_compute_each_cell_once(
    drive: Drive,
    sixty: Path,
    undisturbed: tuple[dict[str, dict[str, str]], float],
    tmp_path: Path,
) -> None:
    expected, _ = undisturbed
    drivers = [drive(sixty, tmp_path, workers=1) for _ in range(2)]
    one, other = ({key for key, _, _ in finish(driver)} for driver in drivers)
    assert one | other == expected.keys()
    assert one & other == set()
    assert one and other, "they share the work"
    assert values(tmp_path) == expected
