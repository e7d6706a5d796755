"""What this machine does in a second: measured once, kept in the user's cache."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import platform
import tempfile
import time
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from harness.execution.environment import cache_folder, package_versions
from harness.records import Work

SHAPES = (
    # inputs, points, depth, activation, width: what the time of training depends on
    (10, 20, 1, "relu", 32),
    (64, 60, 1, "relu", 256),
    (64, 60, 1, "relu", 1024),
    (32, 40, 3, "tanh", 256),
)
STEPS = (60, 300)
REPEATS = 3
CALIBRATION_SECONDS = 120.0
"""Time that a calibration may take; it usually takes ten."""


@dataclass(frozen=True)
class Rates:
    """Seconds that a worker needs for a unit of each kind of work, and what it takes up itself.

    Attributes:
        flop, element, call: seconds.
        worker_bytes: memory of a worker before its first job.
        calibrated: whether they were measured on this machine.
    """

    flop: float
    element: float
    call: float
    worker_bytes: float
    calibrated: bool = True

    def seconds(self, work: Work) -> float:
        """Return the time of a computation, compilation aside."""
        return work.flops * self.flop + work.elements * self.element + work.calls * self.call


TYPICAL = Rates(1e-11, 5e-10, 1e-4, 350 * 2**20, calibrated=False)
"""One processor of a server: enough to order jobs where nothing has been measured."""


def known_rates(threads: int) -> Rates:
    """Return what was measured on this machine, or `TYPICAL`.

    Args:
        threads: processors of a worker.
    """
    try:
        found = json.loads(_file(threads).read_text())
        rates = Rates(
            flop=float(found["flop"]),
            element=float(found["element"]),
            call=float(found["call"]),
            worker_bytes=float(found["worker_bytes"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return TYPICAL
    sound = (math.isfinite(v) and v >= 0 for v in (rates.flop, rates.element, rates.call))
    return rates if all(sound) and math.isfinite(rates.worker_bytes) else TYPICAL


def calibrate(threads: int) -> Rates:
    """Train a few small networks as a worker does, and remember what they took.

    Args:
        threads: processors of a worker.

    Returns:
        The rates; `TYPICAL` if the measurement could not be made.
    """
    from scipy.optimize import nnls

    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_measure, args=(theirs, threads), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(CALIBRATION_SECONDS):
            return TYPICAL
        measured, worker_bytes = ours.recv()
    except EOFError:
        return TYPICAL
    finally:
        process.kill()
        process.join()
    # relative errors count: short cells are to be predicted as well as long ones
    rows = np.array([[w.flops, w.elements, w.calls] for w, _ in measured])
    rows /= np.array([[seconds] for _, seconds in measured])
    scale = rows.max(axis=0)
    found, _ = nnls(rows / scale, np.ones(len(rows)))
    flop, element, call = (found / scale).tolist()
    rates = Rates(flop, element, call, float(worker_bytes))
    _remember(_file(threads), rates)
    return rates


def worker_threads(workers: int) -> int:
    """Return the processors that each of so many workers has."""
    return max(1, processors() // workers)


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _measure(answer: Connection, threads: int) -> None:
    """Time networks of different shapes with the processors of a worker."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    import psutil

    from harness import networks
    from harness.execution.worker import use_compilation_cache
    from harness.records import ProblemSize

    use_compilation_cache()
    worker_bytes = psutil.Process().memory_info().rss
    measured: list[tuple[Work, float]] = []
    for shape in SHAPES:
        for steps in STEPS:
            problem = _problem(shape, steps)
            taken = []
            for _ in range(REPEATS + 1):
                start = time.perf_counter()
                networks.train(problem, shape[-1], [0])
                taken.append(time.perf_counter() - start)
            measured.append((ProblemSize.of(problem).training(shape[-1]), min(taken)))
    answer.send((measured, worker_bytes))


def _problem(shape: tuple[int, int, int, str, int], steps: int) -> Any:
    from harness.records import Dataset, Problem, Protocol, Stage, TransferData
    from harness.registry import Registry

    inputs, points, depth, activation, _ = shape
    draw = np.random.default_rng(0)
    data = Dataset(draw.standard_normal((points, inputs)), np.ones(points))
    mlp = Registry.load().get("architecture", "mlp")
    architecture = mlp.make(mlp.parse({"depth": depth, "activation": activation}))
    stage = Stage(data="target", richness=1.0, steps=steps, dt=1e-4)
    both = TransferData(source=data, source_test=data, target=data, target_test=data)
    return Problem(both, architecture, Protocol((stage,)))


def _file(threads: int) -> Path:
    """Return where the rates of this machine are kept, for these versions."""
    from harness.suites.cells import digest

    key = {
        "processor": _processor(),
        "node": platform.node(),
        "threads": threads,
        "platforms": os.environ.get("JAX_PLATFORMS", ""),
        "shapes": [list(shape) for shape in SHAPES],
        **package_versions(),
    }
    return cache_folder() / "machine" / f"{digest(key)}.json"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "")


def _remember(path: Path, rates: Rates) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "w") as opened:
            json.dump(asdict(rates), opened)
        os.replace(aside, path)
    except OSError:
        return  # without a cache, the next plan measures again
