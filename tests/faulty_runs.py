"""A run of sixty tiny cells in a process of its own, to be broken in every way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
from patience import PATIENCE, until

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

WAITS = '''
import time
from pathlib import Path
from harness import Params, theory

class Gate(Params):
    file: str
    """What it waits for."""

@theory("waits", version="1")
class Waits:
    """Waits until a file is there, and then describes nothing."""

    def __init__(self, params: Gate) -> None:
        self.file = Path(params.file)

    def supports(self, problem):
        while not self.file.exists():
            time.sleep(0.01)
        return "it only waits"

    def predict(self, problem):
        raise NotImplementedError
'''
"""A plugin with which a test holds a run back: nobody knows what it takes, so it comes first."""

NAP = str(10**8 + os.getpid())
"""Seconds for which a process sleeps that a plugin starts: until it is killed. No other process of
this machine sleeps so long, so that it is known by them."""

DRIVER = """
if __name__ == "__main__":  # workers import this file too, and need nothing of it
    import json, sys
    from harness import Registry
    from harness.progress import Lines
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


def gated(suite: str, gate: Path) -> str:
    """Return a suite with one cell more, which is not done before a file is there."""
    experiment = "[[experiment]]" + THEORIES.partition("[[experiment]]")[2]
    waits = f'[{{ name = "waits", file = {json.dumps(str(gate))} }}]'
    changes = (('"lines"', '"gate"'), ('["lazy-ntk", "lazy-nngp"]', waits))
    for old, new in changes:
        assert old in experiment
        experiment = experiment.replace(old, new)
    return f"{suite}\n{experiment}"


def finish(driver: Driver) -> list[list[str]]:
    """Wait for a run to end well; return key, status and message of what it computed."""
    out, err = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == 0, err
    reports: list[list[str]] = json.loads(out)
    return reports


def written(results: Path) -> dict[str, int]:
    """Return the keys of the cells that are there, and when each was written."""
    found = results.glob("cells/[0-9a-f]*/cell.json")
    return {path.parent.name: path.stat().st_mtime_ns for path in found}


def wait_for(count: int, results: Path, driver: Driver) -> None:
    """Wait until so many cells are written, or the run has ended."""
    until(lambda: len(written(results)) >= count or driver.poll() is not None)


def sleeping() -> bool:
    """Return whether a process that sleeps, which a plugin started, is alive."""
    return any(
        p.info["cmdline"] == ["sleep", NAP] and p.info["status"] != psutil.STATUS_ZOMBIE
        for p in psutil.process_iter(["cmdline", "status"])
    )


def values(results: Path) -> dict[str, dict[str, str]]:
    """Return the checksums of every cell's tables; of a cell without tables, none."""
    return {
        key: json.loads((results / "cells" / key / "cell.json").read_text()).get("sha256", {})
        for key in written(results)
    }


def workers_of(driver: Driver) -> list[psutil.Process]:
    """Return the worker processes of a run."""
    try:
        children = psutil.Process(driver.pid).children()
        return [c for c in children if any("spawn_main" in part for part in c.cmdline())]
    except psutil.Error:
        return []
