"""Speed and size of the report: measured and printed, never asserted. Run with `make bench`."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from made_results import Results

from harness.report.page import render

pytestmark = pytest.mark.benchmark


def test_seconds_and_bytes_of_an_experiment(tmp_path: Path) -> None:
    results = Results(tmp_path / "results")
    for k in range(6):
        widths = (64, 128, 256, 512, 1024)
        results.add(f"e{k}", {"good": 0.0, "bad": 0.5}, widths=widths, seeds=tuple(range(8)))
    render(results.store, figures=1)  # imports and caches
    taken, sizes = [], []
    for figures in (0, 6):
        start = time.perf_counter()
        sizes.append(len(render(results.store, figures=figures)))
        taken.append(time.perf_counter() - start)
    drawn, bare = (taken[1] - taken[0]) / 6, taken[0] / 6
    print(
        f"\nreport of 40 networks and 2 theories an experiment: {drawn:.2f} s for its figures,"
        f" {bare:.2f} s for its scores and words; {(sizes[1] - sizes[0]) / 6e6:.2f} MB of figures,"
        f" {sizes[0] / 6e3:.0f} kB without"
    )
