"""How soon the command line answers: help at once, Ctrl-C within three seconds; measured.

Run with `make bench`. Nothing is asserted of times.
"""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest
from faulty_runs import COMMAND, SUITE, WAITS, gated, written
from patience import PATIENCE, until

pytestmark = pytest.mark.benchmark


def test_help() -> None:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([COMMAND, "--help"], capture_output=True, check=True)
        times.append(time.perf_counter() - start)
    print(f"\n--help: {min(times):.2f} to {max(times):.2f} s")


def test_ctrl_c_while_a_job_does_not_end(tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(gated(SUITE, tmp_path / "never"))
    (tmp_path / "waits.py").write_text(WAITS)
    driver = subprocess.Popen(
        [COMMAND, "run", "suite.toml", "--results", "results", "--plugin-dir", "waits.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    until(lambda: len(written(tmp_path / "results")) == 4, lambda: driver.poll() is None)
    start = time.perf_counter()
    driver.send_signal(signal.SIGINT)
    driver.communicate(timeout=PATIENCE)
    print(f"\nCtrl-C to the end of the run: {time.perf_counter() - start:.2f} s")
    assert driver.returncode == 130
