"""On a Dask cluster, as on one machine, a fault costs the cells in flight and nothing else."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from dask_cluster import DaskProcesses, dask_cluster, inventory_here, run_here, run_on
from faulty_runs import COMMAND, KILLS, SUITE, THEORIES, WAITS, gated, values, written
from patience import PATIENCE, until

from harness.cli.worker_check_ import command as worker_check
from harness.errors import ClusterError, SchedulerLostError
from harness.execution.inventory import Plugin

LONG = KILLS > 2
WAYS = 15 if LONG else 5
"""Experiments of four cells each."""

HANGS = """
import ctypes
from harness import Params, theory

class Nothing(Params):
    pass

@theory("hangs", version="1")
class Hangs:
    def __init__(self, params: Nothing) -> None:
        pass

    def supports(self, problem):
        return None

    def predict(self, problem):
        open(MARK, "w").close()
        ctypes.PyDLL(None).pause()
"""


SWEEP = f'[experiment.sweep]\n"regime.richness" = {[k / 10 for k in range(1, WAYS + 1)]}\n'


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("suite") / "lines.toml"
    path.write_text(SUITE + SWEEP)
    return path


@pytest.fixture(scope="module")
def hangs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A plugin that every run here loads, so that they share the processes of the cluster.

    Its theories hang, leaving a file named mark beside it, or wait.
    """
    path = tmp_path_factory.mktemp("plugins") / "hangs.py"
    mark = path.with_name("mark")
    path.write_text(f"MARK = {str(mark)!r}\n{HANGS}\n{WAITS}")
    return str(path)


@pytest.fixture(scope="module")
def cluster(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DaskProcesses]:
    """Two workers like this machine, and one that says it has another flax; it offers OTHER."""
    other = tmp_path_factory.mktemp("other") / "flax-0.0.1.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: flax\nVersion: 0.0.1\n")
    with dask_cluster(tmp_path_factory.mktemp("cluster"), environment) as processes:
        processes.add_worker(
            *("--name", "old", "--resources", "OTHER=1"),
            environment={"PYTHONPATH": str(other.parent)},
        )
        processes.wait()
        yield processes


@pytest.fixture(scope="module")
def expected(
    environment: dict[str, str], suite: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, str]]:
    """The checksums of all cells of a local run that nothing disturbed."""
    results = tmp_path_factory.mktemp("local")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", environment["XDG_CACHE_HOME"])
        reports = run_here(suite, results, workers=2)
    assert {report.status for _, report in reports} == {"done"}
    return values(results)


@pytest.mark.parametrize("shared", [False, True], ids=["sent to the driver", "shared folder"])
def test_a_cluster_computes_the_bits_of_a_local_run(
    cluster: DaskProcesses,
    suite: Path,
    hangs: str,
    expected: dict[str, dict[str, str]],
    shared: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    reports = run_on(cluster, suite, tmp_path, shared=shared, plugin_dirs=[hangs])
    assert sorted(cell.key for cell, _ in reports) == sorted(expected), "each exactly once"
    assert {report.status for _, report in reports} == {"done"}
    assert values(tmp_path) == expected
    (line,) = [r.getMessage() for r in caplog.records if r.name == "harness.execution"]
    assert "(old) refused: flax is 0.0.1 there and " in line
    assert line.endswith("the others go on")
    assert [p.name for p in (tmp_path / "cells").iterdir() if p.name.startswith(".")] == []


def test_workers_unlike_the_driver_end_the_run_with_one_line(
    cluster: DaskProcesses, suite: Path, hangs: str, tmp_path: Path
) -> None:
    with pytest.raises(ClusterError, match=r"worker tcp://.* \(old\) refused: flax is 0\.0\.1"):
        run_on(cluster, suite, tmp_path, resources={"OTHER": 1})
    here = inventory_here()
    mine = Plugin("two_moons.py", "0" * 64, ("task two-moons 1",))
    with pytest.raises(ClusterError) as caught:
        run_on(cluster, suite, tmp_path, inventory=replace(here, plugins=(*here.plugins, mine)))
    assert "plugin two_moons.py (task two-moons 1) is missing or set aside there" in str(
        caught.value
    )
    assert "\n" not in str(caught.value)
    assert written(tmp_path) == {}


def test_worker_check_lists_every_worker_with_what_differs(
    cluster: DaskProcesses, hangs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(cluster.file), "--plugin-dir", hangs]
    assert worker_check.main([*arguments, "--json"], standalone_mode=False) == 1
    rows = json.loads(capsys.readouterr().out)
    assert sorted(row["match"] for row in rows) == [False, True, True]
    (old,) = [row for row in rows if not row["match"]]
    assert (old["name"], old["threads"], old["resources"]) == ("old", 1, {"OTHER": 1.0})
    assert old["versions"]["flax"] == "0.0.1"
    assert old["difference"].startswith("flax is 0.0.1 there and ")
    for row in rows:
        assert row["machine"]["memory"] >= row["memory_limit"] > 0
        assert row["machine"]["devices"] == ["cpu cpu"]
        assert "theory hangs 1" in [c for p in row["plugins"] for c in p["components"]]


def test_a_cell_that_hangs_on_a_worker_is_stopped_after_its_timeout(
    cluster: DaskProcesses, hangs: str, tmp_path: Path
) -> None:
    suite, mark = tmp_path / "suite.toml", Path(hangs).with_name("mark")
    suite.write_text(THEORIES.replace('"lazy-ntk", "lazy-nngp"', '"hangs"'))
    mark.unlink(missing_ok=True)
    for timeout in (2, 20, 200, 2000):  # the longer ones are for machines on which it comes late
        results = tmp_path / str(timeout)
        ((_, report),) = run_on(cluster, suite, results, plugin_dirs=[hangs], timeout=timeout)
        if mark.exists():
            break
    assert report.message == (
        f"theory 'hangs' ({hangs}): stopped after the timeout of {timeout} s; give a longer"
        " --timeout, or fewer steps"
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL] if LONG else [signal.SIGINT])
def test_workers_end_the_jobs_of_a_driver_that_goes(
    cluster: DaskProcesses,
    environment: dict[str, str],
    hangs: str,
    how: signal.Signals,
    tmp_path: Path,
) -> None:
    (tmp_path / "suite.toml").write_text(SUITE.replace('"lazy-nngp"', '"lazy-nngp", "hangs"'))
    mark = Path(hangs).with_name("mark")
    mark.unlink(missing_ok=True)
    driver = subprocess.Popen(
        [
            *(COMMAND, "run", "suite.toml", "--results", "results", "--plugin-dir", hangs),
            *("--scheduler", cluster.file),
        ],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(
        lambda: len(written(tmp_path / "results")) == 4 and mark.exists(),
        lambda: driver.poll() is None,
    )
    jobs = cluster.job_processes()
    driver.send_signal(how)
    out, err = driver.communicate(timeout=PATIENCE)
    if how == signal.SIGINT:
        assert driver.returncode == 130
        assert out == ""
        assert err.splitlines()[-1] == (
            "limitbench: interrupted; finished cells are kept, run again to go on"
        )
    assert len(written(tmp_path / "results")) == 4
    assert len(jobs) == 2
    until(lambda: len(psutil.wait_procs(jobs, timeout=0)[0]) > 0)
    ended, _ = psutil.wait_procs(jobs, timeout=0)
    assert len(ended) == 1, "the one that hung; the other waits for a next run"


@pytest.mark.parametrize("shared", [False, True] if LONG else [False])
@pytest.mark.parametrize("moment", range(KILLS))
def test_the_jobs_of_a_killed_dask_worker_run_elsewhere(
    cluster: DaskProcesses,
    suite: Path,
    hangs: str,
    expected: dict[str, dict[str, str]],
    moment: int,
    shared: bool,
    tmp_path: Path,
) -> None:
    enough = random.Random(2000 + moment).randrange(1, 2 * WAYS)
    results, held, gate = (tmp_path / name for name in ("results", "held.toml", "gate"))
    held.write_text(gated(suite.read_text(), gate))
    killed: list[psutil.Process] = []
    stop = threading.Event()

    def kill() -> None:
        while len(written(results)) < enough and not stop.wait(0.01):
            pass
        while not killed and not stop.wait(0.01):
            for process in cluster.job_processes():  # of a worker that has done something
                if (worker := process.parent()) is not None:
                    killed.append(worker)
                    worker.kill()
                    break
        gate.touch()

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        reports = run_on(cluster, held, results, shared=shared, plugin_dirs=[hangs])
    finally:
        stop.set()
        thread.join()
    assert killed
    done = [cell.key for cell, report in reports if report.status == "done"]
    assert sorted(done) == sorted(expected), "each exactly once"
    assert len(reports) == len(expected) + 1, "and the one that waited"
    assert values(results).items() >= expected.items()


@pytest.mark.parametrize("moment", range(KILLS))
def test_a_killed_scheduler_ends_the_run_and_a_rerun_completes_it(
    cluster: DaskProcesses,
    environment: dict[str, str],
    suite: Path,
    hangs: str,
    expected: dict[str, dict[str, str]],
    moment: int,
    tmp_path: Path,
) -> None:
    enough = random.Random(3000 + moment).randrange(1, 2 * WAYS)
    results, held, gate = (tmp_path / name for name in ("results", "held.toml", "gate"))
    held.write_text(gated(suite.read_text(), gate))
    with dask_cluster(tmp_path, environment) as doomed:

        def kill() -> None:
            until(lambda: len(written(results)) >= enough or doomed.scheduler.poll() is not None)
            doomed.scheduler.kill()

        thread = threading.Thread(target=kill)
        thread.start()
        try:
            with pytest.raises(SchedulerLostError) as caught:
                run_on(doomed, held, results, plugin_dirs=[hangs])
        finally:
            doomed.scheduler.kill()
            thread.join()
        assert str(caught.value) == (
            f"the Dask scheduler {doomed.file} was lost; finished cells are kept: start it again,"
            " then the same command completes the run"
        )
        jobs = doomed.job_processes()
        assert psutil.wait_procs(jobs, timeout=PATIENCE)[1] == [], "no job outlives its scheduler"
    kept = written(results)
    assert len(kept) >= enough and kept.keys() <= expected.keys()
    gate.touch()
    reports = run_on(cluster, held, results, plugin_dirs=[hangs])
    done = [cell.key for cell, report in reports if report.status == "done"]
    assert sorted(done) == sorted(expected.keys() - kept.keys())
    assert written(results).items() >= kept.items(), "nothing finished was computed twice"
    assert values(results).items() >= expected.items()
