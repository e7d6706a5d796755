"""Ctrl-C, a full disk and a vanished folder end a run in order, with one line."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from faulty_runs import COMMAND, NAP, THEORIES, Drive, sleeping, workers_of, written
from patience import PATIENCE, until

from harness.store import Store
from harness.store.care import verify

HANGS = f"""
import ctypes, subprocess
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
        subprocess.Popen(["sleep", "{NAP}"])
        mutex = ctypes.create_string_buffer(64)
        ctypes.PyDLL(None).pthread_mutex_lock(mutex)
        ctypes.PyDLL(None).pthread_mutex_lock(mutex)  # which it has already
"""
Driver = subprocess.Popen[str]


@pytest.fixture
def hanging(environment: dict[str, str], tmp_path: Path) -> Iterator[Driver]:
    """A run of the command line that finishes all cells but one, which hangs in native code.

    It holds the interpreter, and has started a process.
    """
    (tmp_path / "hangs.py").write_text(HANGS)
    (tmp_path / "suite.toml").write_text(THEORIES.replace('"lazy-nngp"', '"hangs"'))
    results = tmp_path / "results"
    driver = subprocess.Popen(
        [COMMAND, "run", "suite.toml", "--results", results, "--plugin-dir", "hangs.py"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(lambda: bool(written(results)) and sleeping(), lambda: driver.poll() is None)
        yield driver
        until(lambda: not sleeping())  # what a plugin started is killed with its worker
    finally:
        driver.kill()
        driver.communicate()


HOW = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "stopped by SIGTERM",
    signal.SIGHUP: "stopped by SIGHUP",
}


@pytest.mark.parametrize("number", HOW)
def test_a_signal_ends_a_run_in_one_line_and_keeps_what_is_finished(
    hanging: Driver, tmp_path: Path, number: signal.Signals
) -> None:
    workers = workers_of(hanging)
    for process in [*workers, psutil.Process(hanging.pid)]:  # as a scheduler sends it to all
        process.send_signal(number)
    out, err = hanging.communicate(timeout=PATIENCE)
    assert hanging.returncode == 128 + number
    assert out == ""
    assert "Traceback" not in err
    assert err.splitlines()[-1] == (
        f"limitbench: {HOW[number]}; finished cells are kept, run again to go on"
    )
    assert workers
    assert psutil.wait_procs(workers, timeout=PATIENCE)[1] == []
    assert list(verify(Store(tmp_path / "results"))) == []
    cells = tmp_path / "results" / "cells"
    assert [p.name for p in cells.iterdir() if p.name.startswith(".")] == []
    kept = [json.loads(path.read_text())["status"] for path in cells.glob("*/cell.json")]
    assert set(kept) == {"done"}, "a job that was stopped has not failed"


def test_a_driver_killed_takes_with_it_what_plugins_started(hanging: Driver) -> None:
    workers = workers_of(hanging)
    hanging.kill()
    hanging.wait()
    assert psutil.wait_procs(workers, timeout=PATIENCE)[1] == []
    # that the process which the plugin started has ended as well is told by `hanging`


def test_two_ctrl_c_stop_at_once(hanging: Driver) -> None:
    workers = workers_of(hanging)
    hanging.send_signal(signal.SIGSTOP)  # so that both arrive before it can act on one
    hanging.send_signal(signal.SIGINT)
    hanging.send_signal(signal.SIGCONT)

    def pressed_until_it_ends() -> bool:
        hanging.send_signal(signal.SIGINT)
        return hanging.poll() is not None

    until(pressed_until_it_ends)
    assert hanging.returncode == 130
    _, err = hanging.communicate()
    assert "Traceback" not in err
    assert psutil.wait_procs(workers, timeout=PATIENCE)[1] == []


def test_a_folder_that_vanishes_ends_the_run_and_is_not_made_again(
    hanging: Driver, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    workers = workers_of(hanging)
    shutil.rmtree(results)
    _, err = hanging.communicate(timeout=PATIENCE)
    assert hanging.returncode == 2
    assert err.splitlines()[-1] == (
        f"limitbench: {results}: removed or replaced while the run was going on; the run stopped;"
        " restore the folder or choose another with --results, then run again"
    )
    assert "Traceback" not in err
    assert not results.exists()
    assert psutil.wait_procs(workers, timeout=PATIENCE)[1] == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 KiB, where mounting is allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    done = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=400k", "tmpfs", folder], capture_output=True, check=False
    )
    if not done or done.returncode != 0:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_ends_the_run_and_leaves_nothing_half_written(
    drive: Drive, sixty: Path, small_disk: Path
) -> None:
    results = small_disk / "results"
    driver = drive(sixty, results)
    _, err = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == 1
    (line,) = [x for x in err.splitlines() if x.startswith("limitbench: ")]
    assert err.splitlines()[-1] == line
    assert "cannot be written (No space left on device); " in line
    assert "Traceback" not in err
    assert list(verify(Store(results))) == []
    assert 0 < len(written(results)) < 60
    hidden = [p for p in results.rglob(".*") if p.name != ".lock"]
    assert hidden == []


def test_a_read_only_folder_is_refused_before_anything_is_computed(
    drive: Drive, sixty: Path, small_disk: Path
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    driver = drive(sixty, small_disk / "results")
    _, err = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == 1
    assert err == (
        f"limitbench: {small_disk / 'results'}: cannot be written (Read-only file system); choose"
        " another folder with --results\n"
    )
