"""What this machine does in a second: measured once, kept in the user's cache."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.errors import StoreError
from harness.execution.environment import cache_folder, package_versions
from harness.records import Work
from harness.store.files import write_text


class Shape(NamedTuple):
    """What the time of training a network depends on."""

    inputs: int
    points: int
    depth: int
    activation: str
    width: int


SHAPES = (
    Shape(10, 20, 1, "relu", 32),
    Shape(64, 60, 1, "relu", 128),
    Shape(64, 60, 1, "relu", 1024),
    Shape(30, 60, 1, "linear", 512),
    Shape(10, 60, 1, "relu", 512),
    Shape(784, 100, 2, "relu", 128),
    Shape(32, 40, 3, "tanh", 256),
)
STEPS = (60, 300)
REPEATS = 5
SMALL_WIDTHS = (40, 44, 48, 52, 56)
"""Widths so small that taking up compiled programs is most of what the first network takes."""
CALIBRATION_SECONDS = 120.0
"""Time that a calibration may take; it usually takes ten."""


@dataclass(frozen=True)
class Rates:
    """Seconds that a worker needs for a unit of each kind of work, and what it takes up itself.

    Attributes:
        flop, element, call, program: seconds.
        worker_bytes: memory of a worker before its first job.
        calibrated: whether they were measured on this machine.
    """

    flop: float
    element: float
    call: float
    program: float
    worker_bytes: float
    calibrated: bool = field(default=True, kw_only=True)

    def seconds(self, work: Work, sharing: int = 1) -> float:
        """Return the time of a computation, compilation aside.

        Args:
            work: what it takes.
            sharing: computations of a job, which take up the same programs together.
        """
        done = work.flops * self.flop + work.elements * self.element + work.calls * self.call
        return done + work.programs * self.program / sharing


TYPICAL = Rates(1e-11, 1e-10, 1e-4, 3e-3, 350 * 2**20, calibrated=False)
"""One processor of a server: enough to order jobs where nothing has been measured."""


def known_rates(threads: int) -> Rates:
    """Return what was measured on this machine, or `TYPICAL`.

    Args:
        threads: processors of a worker.
    """
    try:
        found = json.loads(_file(threads).read_text())
        names = ("flop", "element", "call", "program", "worker_bytes")
        rates = [float(found[name]) for name in names]
    except (OSError, ValueError, KeyError, TypeError):
        return TYPICAL
    sound = all(math.isfinite(rate) and rate >= 0 for rate in rates)
    return Rates(*rates) if sound else TYPICAL


def calibrate(threads: int) -> Rates:
    """Train a few small networks as a worker does, and remember what they took.

    Args:
        threads: processors of a worker.

    Returns:
        The rates; `TYPICAL` if the measurement could not be made.
    """
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_measure, args=(theirs, threads), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(CALIBRATION_SECONDS):
            return TYPICAL
        measured, program, worker_bytes = ours.recv()
    except EOFError:
        return TYPICAL
    finally:
        process.kill()
        process.join()
    rates = Rates(*_fitted(measured), program, worker_bytes)
    _remember(_file(threads), rates)
    return rates


def _fitted(measured: Sequence[tuple[Work, float]]) -> tuple[float, float, float]:
    """Return seconds for a flop, an element and a call, with which predictions fit best.

    Ratios of predicted to measured time count, by their logarithms: short computations are to be
    predicted as well as long ones, and twice the time is as wrong as half of it.
    """
    from scipy.optimize import least_squares

    shares = np.array([[w.flops, w.elements, w.calls] for w, _ in measured])
    shares /= np.array([[seconds] for _, seconds in measured])
    # a rate of 1 / scale is that with which one kind of work takes all the time somewhere
    scale = shares.max(axis=0)
    fit = least_squares(
        lambda logs: np.log(shares / scale @ np.exp(logs)),
        np.full(len(scale), -2.0),
        loss="soft_l1",
        f_scale=0.2,
        bounds=(-20.0, 5.0),
    )
    flop, element, call = (np.exp(fit.x) / scale).tolist()
    return flop, element, call


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
    from harness.execution.compilation import CompilationClock
    from harness.execution.worker import use_compilation_cache
    from harness.records import ProblemSize

    use_compilation_cache()
    clock = CompilationClock()
    worker_bytes = float(psutil.Process().memory_info().rss)

    def times(shape: Shape, steps: int) -> tuple[Work, list[float]]:
        """Return the work of training a network, and what that took when it was done again."""
        problem, taken = _problem(shape, steps), []
        for _ in range(REPEATS + 1):
            start = time.perf_counter() - clock.seconds
            networks.train(problem, shape.width, [0])
            taken.append(time.perf_counter() - clock.seconds - start)
        return ProblemSize.of(problem).training(shape.width), taken

    measured = []
    for shape in SHAPES:
        for steps in STEPS:
            work, taken = times(shape, steps)
            measured.append((work, float(np.median(taken[1:]))))
    programs = []
    for width in SMALL_WIDTHS:
        work, taken = times(SHAPES[0]._replace(width=width), STEPS[0])
        programs.append((taken[0] - np.median(taken[1:])) / work.programs)
    answer.send((measured, max(0.0, float(np.median(programs))), worker_bytes))


def _problem(shape: Shape, steps: int) -> Any:
    from harness.records import Dataset, Problem, Protocol, Stage, TransferData
    from harness.registry import Registry

    draw = np.random.default_rng(0)
    inputs = draw.standard_normal((shape.points, shape.inputs))
    data = Dataset(inputs, np.ones(shape.points))
    mlp = Registry.load().get("architecture", "mlp")
    architecture = mlp.make(mlp.parse({"depth": shape.depth, "activation": shape.activation}))
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
        write_text(path, json.dumps(asdict(rates)), "the next plan measures again")
    except (OSError, StoreError):
        return  # without a cache, the next plan measures again
