"""What a first run waits for: compiling and running by program, and whole suites with no cache.

Times are measured and printed, never asserted: CPU seconds, which other programs change less than
they change seconds. To see the ratio of suites against another checkout, name its folder:

    OTHER_CHECKOUT=../before pytest -s -m benchmark tests/benchmarks/test_cold_start.py
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.monitoring
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache
from problems import problem

from harness import Dataset, Problem, Stage, TransferData, networks

pytestmark = pytest.mark.benchmark

ROOT = Path(__file__).parents[2]
COMPILED = "/jax/core/compile/backend_compile_duration"


@pytest.fixture
def programs() -> Iterator[defaultdict[str, float]]:
    """Seconds of XLA by program, with no cache on disk."""
    seconds: defaultdict[str, float] = defaultdict(float)

    def hear(event: str, duration_secs: float, **facts: str | int) -> None:
        if event == COMPILED:
            seconds[str(facts.get("fun_name", "?"))] += duration_secs

    jax.monitoring.register_event_duration_secs_listener(hear)
    cached = jax.config.jax_enable_compilation_cache  # type: ignore[attr-defined]
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()  # it remembers whether it is in use
    yield seconds
    jax.config.update("jax_enable_compilation_cache", cached)
    compilation_cache.reset_cache()


def two_stages(points: tuple[int, int] = (60, 40), dimension: int = 64) -> Problem:
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal((n, dimension)) for n in (points[0], 100, points[1], 100)]
    sets = [Dataset(x, np.sign(x[:, 0])) for x in inputs]
    data = TransferData(source=sets[0], source_test=sets[1], target=sets[2], target_test=sets[3])
    return problem(
        data,
        Stage(data="source", richness=1.0, steps=200, dt=0.01),
        Stage(data="target", richness=0.5, steps=200, dt=0.01),
    )


def test_network_jobs_by_program(programs: defaultdict[str, float]) -> None:
    """A job compiles for its first seed; another width of the experiment compiles again."""
    task = two_stages()
    jax.clear_caches()
    print()
    for width in (64, 128, 1024):
        programs.clear()
        start = time.process_time()
        networks.train(task, width, [0])
        first = time.process_time() - start
        longest = sorted(programs, key=programs.__getitem__, reverse=True)
        by_program = ", ".join(f"{name} {programs[name]:.2f}" for name in longest)
        start = time.process_time()
        networks.train(task, width, range(1, 9))
        each = (time.process_time() - start) / 8
        print(
            f"P=60+40, D=64, width {width}, two stages of 200 steps: {first - each:.2f} CPU s of"
            f" compiling, then {each:.3f} a seed; seconds of XLA by program: {by_program}"
        )


@pytest.mark.parametrize("suite", ["smoke", "quickstart"])
def test_suites_with_an_empty_cache(suite: str, tmp_path: Path) -> None:
    ours = cold_seconds(ROOT, suite, tmp_path / "ours")
    print(f"\n{suite} with an empty cache: {ours:.0f} CPU s")
    other = os.environ.get("OTHER_CHECKOUT")
    if other:
        theirs = cold_seconds(Path(other).resolve(), suite, tmp_path / "theirs")
        print(f"{suite} of {other}: {theirs:.0f} CPU s, {theirs / ours:.2f} times as many")


def cold_seconds(checkout: Path, suite: str, folder: Path) -> float:
    """Return the CPU seconds of a suite that finds neither programs nor results."""
    folder.mkdir()
    unset = {"JAX_COMPILATION_CACHE_DIR"}
    inherited = {name: value for name, value in os.environ.items() if name not in unset}
    script = "import sys; from harness.cli import main; sys.exit(main())"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-c", script, "run", suite, "--results", str(folder / "results")],
        cwd=checkout,
        env={**inherited, "PYTHONPATH": str(checkout), "XDG_CACHE_HOME": str(folder / "cache")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
