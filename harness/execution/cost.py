"""What a plan's cells will take: predicted without running them."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import StoreError
from harness.execution.driver import Plan, add_finished
from harness.execution.environment import cache_folder
from harness.execution.estimates import MIB, Estimates, distinct, jobs_of
from harness.execution.machine import Rates
from harness.execution.work import pilot_work, works_of
from harness.records import Architecture, ProblemSize, Protocol
from harness.registry import Registry
from harness.store.files import write_text
from harness.suites import Experiment, cells_of
from harness.suites.cells import digest

LOG = logging.getLogger("harness.execution")

MAKING_SECONDS = 3.0
"""Time that a plan spends on making data of which it does not know the sizes."""


@dataclass(frozen=True)
class DataSize:
    """The sizes of a task's data.

    Attributes:
        shape: of one input.
        points: by set.
    """

    shape: tuple[int, ...]
    points: dict[str, int]


def predicted_plan(
    plan: Plan, registry: Registry, rates: Rates, workers: int, memory: float
) -> dict[str, Any]:
    """Return every cell of a plan with what it will take, and totals.

    Nothing is run but the tasks whose sizes are not known yet, and these for a few seconds at
    most; sizes are kept in the user's cache.

    Args:
        plan: of a suite.
        registry: the components.
        rates: of this machine.
        workers: that will share the cells.
        memory: bytes that they may use together.

    Returns:
        ``cells``: rows with "status" ("finished", "missing", "refused" where a cell would not fit
        in memory, "pilot" where a pilot run must find dt first), "seconds" on one worker without
        compilation, and "mebibytes" of its worker, both null where nothing is known. ``total``:
        numbers of cells, seconds of all missing cells on one worker, seconds on all workers, the
        largest memory, and whether the machine was measured.
    """
    estimates, pilots = _estimates(plan, registry, rates)
    missing = {cell.key for cell in plan.missing}
    rows, ahead = [], []
    for experiment in plan.suite.experiments:
        dts = plan.dts[experiment.name]
        for cell in cells_of(experiment, plan.suite, dts or ()):
            status = "pilot" if dts is None else "missing" if cell.key in missing else "finished"
            held = estimates.bytes(cell)
            if status != "finished":
                ahead.append(cell)
                status = "refused" if held is not None and held > memory else status
            rows.append(
                {
                    "experiment": experiment.name,
                    "solver": cell.solver.name,
                    "width": cell.solver.width,
                    "seed": cell.solver.seed,
                    "cell": cell.title,
                    "key": None if dts is None else cell.key,
                    "status": status,
                    "seconds": estimates.seconds(cell),
                    "mebibytes": None if held is None else held / MIB,
                }
            )
    jobs = [job for job in jobs_of(ahead, estimates, workers, memory) if not job.refusal]
    times = [job.seconds for job in jobs if job.seconds is not None] + pilots
    wanted = [row for row in rows if row["status"] != "finished"]
    return {
        "cells": rows,
        "total": {
            "cells": len(rows),
            "to_compute": len(wanted),
            "refused": sum(row["status"] == "refused" for row in wanted),
            "unknown": sum(row["seconds"] is None for row in wanted),
            "pilots": sum(dts is None for dts in plan.dts.values()),
            "seconds": sum(times),
            "workers": workers,
            "elapsed_seconds": _elapsed(times, workers),
            "mebibytes": max((row["mebibytes"] or 0.0 for row in wanted), default=0.0),
            "mebibytes_allowed": memory / MIB,
            "calibrated": rates.calibrated,
        },
    }


def _elapsed(times: Sequence[float], workers: int) -> float:
    """Return when workers are done that take jobs as they come free, longest first."""
    busy = [0.0] * workers
    for seconds in sorted(times, reverse=True):
        busy[busy.index(min(busy))] += seconds
    return max(busy)


def _estimates(plan: Plan, registry: Registry, rates: Rates) -> tuple[Estimates, list[float]]:
    """Return what is known of a plan's cells, and the times of its pilot runs."""
    estimates = Estimates(rates, len(plan.suite.seeds))
    pilots = []
    sizes: dict[str, DataSize | None] = {}
    spent = 0.0
    for experiment in plan.suite.experiments:
        key = digest(asdict(experiment.task))
        if key not in sizes:
            start = time.perf_counter()
            sizes[key] = _known_size(key) or (
                _made_size(key, experiment, registry) if spent < MAKING_SECONDS else None
            )
            spent += time.perf_counter() - start
        data = sizes[key]
        size = None if data is None else _problem_size(experiment, data, registry)
        if size is None:
            continue
        dts = plan.dts[experiment.name]
        solvers = distinct(cells_of(experiment, plan.suite, dts or ()))
        estimates.add_works(experiment.name, solvers, works_of(size, solvers, registry))
        pilot = pilot_work(size)
        if dts is None and pilot is not None:
            pilots.append(rates.seconds(pilot))
    add_finished(plan, estimates)
    return estimates, pilots


def _problem_size(experiment: Experiment, data: DataSize, registry: Registry) -> ProblemSize | None:
    try:
        component = registry.get("regime", experiment.regime.name)
        made = component.make(component.parse(experiment.regime.parameters))
        protocol = made if isinstance(made, Protocol) else Protocol(tuple(made))
        component = registry.get("architecture", experiment.architecture.name)
        architecture: Architecture = component.make(
            component.parse(experiment.architecture.parameters)
        )
        inputs = architecture.input_map(np.zeros((1, *data.shape))).shape[1]
    except Exception as error:  # whatever a plugin raised: the run will say so where it matters
        LOG.warning("%s: no prediction (%s: %s)", experiment.name, type(error).__name__, error)
        return None
    return ProblemSize(
        inputs=int(inputs),
        points=data.points,
        depth=architecture.depth,
        activation=architecture.activation,
        connectivity=architecture.connectivity,
        stages=protocol.stages,
    )


def _made_size(key: str, experiment: Experiment, registry: Registry) -> DataSize | None:
    """Make a task's data once, and keep their sizes."""
    component = registry.get("task", experiment.task.name)
    try:
        data = component.make(component.parse(experiment.task.parameters), experiment.data_seed)
        points = {name: len(part) for name, part in data.sets().items()}
        found = DataSize(tuple(data.target.x.shape[1:]), points)
    except Exception as error:  # whatever a plugin raised: the run will say so where it matters
        LOG.warning("%s: no prediction (%s: %s)", experiment.name, type(error).__name__, error)
        return None
    path = _size_file(key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(asdict(found)), "sizes are not kept")
    except (OSError, StoreError):
        LOG.info("%s cannot be written: sizes are not kept", path)
    return found


def _known_size(key: str) -> DataSize | None:
    try:
        found = json.loads(_size_file(key).read_text())
        points = {str(name): int(count) for name, count in found["points"].items()}
        return DataSize(tuple(int(n) for n in found["shape"]), points)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _size_file(key: str) -> Path:
    return cache_folder() / "sizes" / f"{key}.json"
