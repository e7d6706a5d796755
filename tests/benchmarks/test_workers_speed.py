"""How much faster two workers are than one, on this machine and on a Dask cluster.

One thread each, on a suite of equal jobs, processes started and programs compiled included. Let
nothing else run on the machine: two processors are needed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dask_cluster import dask_cluster, run_here, run_on

pytestmark = pytest.mark.benchmark

BALANCED = """
[suite]
name = "balanced"
widths = [256]
seeds = 4

[[experiment]]
name = "lines"
architecture = { name = "mlp", depth = 1, activation = "tanh" }
regime = { name = "single", richness = 0.5, steps = 36000, dt = 0.05 }
theories = ["lazy-ntk"]

[experiment.task]
name = "linear-transfer"
dimension = 20
source_points = 20
target_points = 40
test_points = 20
alignment = 0.5

[experiment.sweep]
"task.data_seed" = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
"""


@contextmanager
def processors(count: int) -> Iterator[None]:
    """Let this process, and those it starts, use so many processors."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def test_two_local_workers_and_one(tmp_path: Path) -> None:
    suite = tmp_path / "suite.toml"
    suite.write_text(BALANCED)
    run_here(suite, tmp_path / "compiles", workers=2)
    seconds = {}
    for workers in (1, 2):
        with processors(workers):
            start = time.perf_counter()
            reports = run_here(suite, tmp_path / str(workers), workers=workers)
            seconds[workers] = time.perf_counter() - start
        assert {report.status for _, report in reports} == {"done"}
    _show("local workers", seconds)


def test_two_dask_workers_and_one(tmp_path: Path) -> None:
    suite = tmp_path / "suite.toml"
    suite.write_text(BALANCED)
    seconds = {}
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        folder.mkdir()
        with dask_cluster(folder, os.environ, workers) as cluster:
            start = time.perf_counter()
            reports = run_on(cluster, suite, folder / "results")
            seconds[workers] = time.perf_counter() - start
        assert {report.status for _, report in reports} == {"done"}
    _show("Dask workers", seconds)


def _show(what: str, seconds: dict[int, float]) -> None:
    print(
        f"\n{what}: one {seconds[1]:.1f} s, two {seconds[2]:.1f} s:"
        f" {seconds[1] / seconds[2]:.2f} times the speed (load {os.getloadavg()[0]:.1f})"
    )
