"""Killed at any moment, a run loses the cells in flight and nothing else."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from faulty_runs import (
    KILLS,
    SIXTY,
    WAITS,
    Drive,
    Driver,
    finish,
    gated,
    values,
    wait_for,
    workers_of,
    written,
)
from patience import PATIENCE, until

from harness.store import Store
from harness.store.care import verify


@pytest.fixture(scope="module")
def expected(
    drive: Drive, sixty: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, str]]:
    """The checksums of all sixty cells of a run that nothing disturbed."""
    results = tmp_path_factory.mktemp("undisturbed")
    reports = finish(drive(sixty, results))
    assert [status for _, status, _ in reports] == ["done"] * 60
    return values(results)


@dataclass(frozen=True)
class Held:
    """What a run needs that does not end before it is let go, and what is there at the end."""

    suite: Path
    plugin: Path
    gate: Path

    def drive(self, drive: Drive, results: Path, **options: object) -> Driver:
        return drive(self.suite, results, plugin_dirs=[str(self.plugin)], **options)

    def let_go(self) -> None:
        self.gate.touch()


@pytest.fixture
def held(tmp_path: Path) -> Held:
    """Sixty cells, and one more that waits."""
    suite, plugin, gate = (tmp_path / name for name in ("held.toml", "waits.py", "gate"))
    suite.write_text(gated(SIXTY, gate))
    plugin.write_text(WAITS)
    return Held(suite, plugin, gate)


def sound(results: Path) -> bool:
    return not (results / "cells").exists() or list(verify(Store(results))) == []


@pytest.mark.parametrize("moment", range(KILLS))
def test_a_killed_driver_loses_only_the_cells_in_flight(
    drive: Drive,
    sixty: Path,
    expected: dict[str, dict[str, str]],
    moment: int,
    tmp_path: Path,
) -> None:
    chance = random.Random(moment)
    driver = drive(sixty, tmp_path)
    wait_for(chance.randrange(60), tmp_path, driver)
    time.sleep(0.05 * chance.random())
    workers = workers_of(driver)
    driver.kill()
    driver.communicate()
    _, alive = psutil.wait_procs(workers, timeout=PATIENCE)
    assert alive == [], "workers die with their driver"
    assert sound(tmp_path), "nothing half-written is taken for a cell"
    kept = written(tmp_path)

    reports = finish(drive(sixty, tmp_path))
    assert sorted(key for key, _, _ in reports) == sorted(expected.keys() - kept.keys())
    assert written(tmp_path).items() >= kept.items(), "nothing finished was computed twice"
    assert values(tmp_path) == expected
    assert [p.name for p in (tmp_path / "cells").iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("moment", range(KILLS))
def test_killed_workers_are_replaced_and_their_jobs_tried_again(
    drive: Drive,
    held: Held,
    expected: dict[str, dict[str, str]],
    moment: int,
    tmp_path: Path,
) -> None:
    chance = random.Random(1000 + moment)
    results = tmp_path / "results"
    driver = held.drive(drive, results, retries=5)
    for written_by_then in sorted(chance.sample(range(55), 2)):
        wait_for(written_by_then, results, driver)
        until(lambda: bool(workers_of(driver)), lambda: driver.poll() is None)
        chance.choice(workers_of(driver)).kill()
    held.let_go()
    reports = finish(driver)
    assert Counter(key for key, _, _ in reports if key in expected) == Counter(expected.keys())
    assert Counter(status for _, status, _ in reports) == {"done": 60, "not-applicable": 1}
    assert values(results).items() >= expected.items()


def test_a_killed_worker_costs_its_own_job(
    drive: Drive,
    held: Held,
    expected: dict[str, dict[str, str]],
    tmp_path: Path,
) -> None:
    results = tmp_path / "results"
    driver = held.drive(drive, results)
    wait_for(1, results, driver)
    next(iter(workers_of(driver))).kill()
    held.let_go()
    reports = finish(driver)
    failed = {key: message for key, status, message in reports if status == "failed"}
    jobs = set()
    for key, message in failed.items():
        assert "its worker died (signal SIGKILL)" in message
        path = results / "cells" / key / "cell.json"
        facts = json.loads(path.read_text())
        assert facts["phase"] and facts["status"] == "failed"
        jobs.add((json.dumps(facts["regime"]), facts["solver"]["name"]))
        shutil.rmtree(path.parent)
    assert len(jobs) <= 1, "the networks of a problem share a job"
    left = {k: v for k, v in values(results).items() if k in expected}
    assert left == {k: v for k, v in expected.items() if k not in failed}


def test_what_a_kill_between_two_writes_left_of_a_job_comes_out_the_same_bit_by_bit(
    drive: Drive,
    sixty: Path,
    expected: dict[str, dict[str, str]],
    tmp_path: Path,
) -> None:
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
    held: Held,
    expected: dict[str, dict[str, str]],
    tmp_path: Path,
) -> None:
    results = tmp_path / "results"
    drivers = [held.drive(drive, results, workers=1) for _ in range(2)]
    until(lambda: bool(written(results)))  # one run waits, so the other has begun
    held.let_go()
    one, other = ({key for key, _, _ in finish(driver)} for driver in drivers)
    assert one & other == set()
    assert one and other, "they share the work"
    assert values(results).keys() == one | other
    assert values(results).items() >= expected.items()
