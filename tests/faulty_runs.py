"""A run of sixty tiny cells in a process of its own, to be broken in every way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

KILLS = int(os.environ.get("FAULT_KILLS", "1"))
"""Random moments at which each kind of process is killed; `make test-faults` takes 30."""

COMMAND = Path(sys.executable).with_name("limitbench")

SUITE = """
[suite]
name = "sixty"
widths = [8]
seeds = 2

[[experiment]]
name = "lines"
architecture = { name = "mlp", depth = 1, activation = "linear" }
regime = { name = "single", richness = 0.5, steps = 5, dt = 0.1 }
theories = ["lazy-ntk", "lazy-nngp"]

[experiment.task]
name = "linear-transfer"
dimension = 5
source_points = 6
target_points = 4
test_points = 5
alignment = 0.5
"""
THEORIES = SUITE.replace("theories = ", "widths = []\ntheories = ")
"""The same without networks, whose programs take a second to compile."""

SIXTY = f'{SUITE}[experiment.sweep]\n"regime.richness" = {[k / 10 for k in range(1, 16)]}\n'
"""Fifteen problems of four cells; the two networks share a job."""

DRIVER = """
if __name__ == "__main__":  # workers import this file too, and need nothing of it
    import json, sys
    from harness import Registry
    from harness.cli.progress import Lines
    from harness.errors import LimitbenchError
    from harness.execution import plan_suite, run_suite
    from harness.store import Store
    from harness.suites import load_suite

    suite, results, options = sys.argv[1:]
    options = json.loads(options)
    registry = Registry.load(options.get("plugin_dirs", ()))
    store = Store(results)
    plan = plan_suite(load_suite(suite, registry))
    with Lines() as watcher:
        try:
            reports = run_suite(plan, store, watcher, **options)
        except LimitbenchError as error:
            sys.exit(f"limitbench: {error}")
    print(json.dumps([[cell.key, report.status, report.message] for cell, report in reports]))
"""

Driver = subprocess.Popen[str]
Drive = Callable[..., Driver]


def finish(driver: Driver, timeout: float = 120) -> list[list[str]]:
    """Wait for a run to end well; return key, status and message of what it computed."""
    out, err = driver.communicate(timeout=timeout)
    assert driver.returncode == 0, err
    reports: list[list[str]] = json.loads(out)
    return reports


def written(results: Path) -> dict[str, int]:
    """Return the keys of the cells that are there, and when each was written."""
    found = results.glob("cells/[0-9a-f]*/cell.json")
    return {path.parent.name: path.stat().st_mtime_ns for path in found}


def wait_for(count: int, results: Path, driver: Driver) -> None:
    """Wait until so many cells are written, or the run has ended."""
    while len(written(results)) < count and driver.poll() is None:
        time.sleep(0.005)


def sleeping(seconds: int) -> bool:
    """Return whether a process that sleeps so long, which a plugin started, is alive."""
    return any(
        p.info["cmdline"] == ["sleep", str(seconds)] and p.info["status"] != psutil.STATUS_ZOMBIE
        for p in psutil.process_iter(["cmdline", "status"])
    )


def values(results: Path) -> dict[str, dict[str, str]]:
    """Return the checksums of every cell's tables."""
    return {
        key: json.loads((results / "cells" / key / "cell.json").read_text())["sha256"]
        for key in written(results)
    }


def workers_of(driver: Driver) -> list[psutil.Process]:
    """Return the worker processes of a run."""
    try:
        children = psutil.Process(driver.pid).children()
        return [c for c in children if any("spawn_main" in part for part in c.cmdline())]
    except psutil.Error:
        return []
