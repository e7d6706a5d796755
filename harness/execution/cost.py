"""What a plan's cells will take: predicted without running them."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from harness.execution.driver import Plan
from harness.execution.estimates import MIB, Estimates, distinct, jobs_of, kind
from harness.execution.history import Finished
from harness.execution.work import works_of
from harness.records import ProblemSize, Protocol
from harness.registry import Registry
from harness.suites import Experiment, build_problem, cells_of
from harness.suites.cells import digest

LOG = logging.getLogger("harness.execution")

PILOT_UNITS, PILOT_TRIALS = 256, 3
"""Width of the network that a pilot run trains, and how often, usually."""

MAKING_SECONDS = 3.0
"""Processor time that a plan spends on making data, whose sizes no parameter names.

Beyond it, data are taken to be as large as the last ones of their task.
"""


def predicted_plan(
    plan: Plan, registry: Registry, history: Sequence[Finished], workers: int, memory: float
) -> dict[str, Any]:
    """Return every cell of a plan with what it will take, and totals.

    Nothing is run but the tasks, for a few seconds at most.

    Args:
        plan: of a suite.
        registry: the components.
        history: jobs that finished on this machine.
        workers: that will share the cells.
        memory: bytes that they may use together.

    Returns:
        ``cells``: rows with "status" ("finished", "missing", "refused" where a cell would not fit
        in memory, "pilot" where a pilot run must find dt first), "seconds" of computing on one
        worker, "compile_seconds", its share of what its job compiles, and "mebibytes" of its
        worker; null where nothing is known. ``total``: numbers of cells, seconds with
        compilation and compile_seconds of all missing cells on one worker, elapsed_seconds with all
        workers, the largest memory, and how all this is known.
    """
    estimates, pilots = _estimates(plan, registry, history)
    missing = {cell.key for cell in plan.missing}
    resolved = {name for name, dts in plan.dts.items() if dts is not None}
    cells = [
        cell
        for experiment in plan.suite.experiments
        for cell in cells_of(experiment, plan.suite, plan.dts[experiment.name] or ())
    ]
    ahead = [c for c in cells if c.experiment.name not in resolved or c.key in missing]
    jobs = jobs_of(ahead, estimates, workers, memory)
    job_of = {cell.key: job for job in jobs for cell in job.cells}
    rows = []
    for cell in cells:
        job, held = job_of.get(cell.key), estimates.bytes(cell)
        found = cell.experiment.name in resolved
        status = "finished" if job is None else "missing" if found else "pilot"
        rows.append(
            {
                "experiment": cell.experiment.name,
                "solver": cell.solver.name,
                "width": cell.solver.width,
                "seed": cell.solver.seed,
                "cell": cell.title,
                "key": cell.key if found else None,
                "status": "refused" if job and job.refusal else status,
                "seconds": estimates.seconds(cell),
                "compile_seconds": job.compiling / len(job.cells) if job else 0.0,
                "mebibytes": None if held is None else held / MIB,
            }
        )
    counted = [job for job in jobs if job.seconds is not None and not job.refusal]
    times = [*pilots, *((job.seconds or 0.0, job.compiling) for job in counted)]
    each = [computing + compiling for computing, compiling in times]
    wanted = [row for row in rows if row["status"] != "finished"]
    return {
        "cells": rows,
        "total": {
            "cells": len(rows),
            "to_compute": len(wanted),
            "refused": sum(row["status"] == "refused" for row in wanted),
            "unknown": sum(row["seconds"] is None for row in wanted),
            "pilots": sum(dts is None for dts in plan.dts.values()),
            "seconds": sum(each),
            "compile_seconds": sum(compiling for _, compiling in times),
            "workers": workers,
            "elapsed_seconds": max([sum(each) / workers, *each]),
            "mebibytes": max((row["mebibytes"] or 0.0 for row in wanted), default=0.0),
            "mebibytes_allowed": memory / MIB,
            "known": _known({kind(cell.solver) for cell in ahead}, history),
        },
    }


def _known(kinds: set[str], history: Sequence[Finished]) -> str:
    """Return in words what predictions of these kinds of solvers rest on."""
    cells = sum(job.cells for job in history if job.kind in kinds)
    if not cells:
        return "from counts; no run on this machine yet" if kinds else "nothing to predict"
    unmet = sorted(name.partition(" ")[0] for name in kinds - {job.kind for job in history})
    return f"from {cells} finished cells" + f"; {', '.join(unmet)} from counts" * bool(unmet)


def _estimates(
    plan: Plan, registry: Registry, history: Sequence[Finished]
) -> tuple[Estimates, list[tuple[float, float]]]:
    """Return what is known of a plan's cells, and seconds and compile_seconds of pilot runs."""
    estimates = Estimates(history)
    pilots = []
    sizes: dict[str, ProblemSize | None] = {}
    likely: dict[tuple[str, str], ProblemSize] = {}
    spent = 0.0
    for experiment in plan.suite.experiments:
        key = digest({"t": asdict(experiment.task), "a": asdict(experiment.architecture)})
        start = time.process_time()
        if key not in sizes and spent < MAKING_SECONDS:
            sizes[key] = _size(experiment, registry)
        spent += time.process_time() - start
        name = experiment.task.name, experiment.architecture.name
        size = sizes.get(key, likely.get(name))
        if size is None:
            continue
        likely[name] = size
        component = registry.get("regime", experiment.regime.name)
        made = component.make(component.parse(experiment.regime.parameters))
        stages = made.stages if isinstance(made, Protocol) else tuple(made)
        size = replace(size, stages=stages)
        dts = plan.dts[experiment.name]
        solvers = distinct(cells_of(experiment, plan.suite, dts or ()))
        estimates.add_works(experiment.name, solvers, works_of(size, solvers, registry))
        if dts is None:
            seconds, compiling = estimates.times("network", size.training(PILOT_UNITS))
            pilots.append((PILOT_TRIALS * (seconds or 0.0), compiling))
    return estimates, pilots


def _size(experiment: Experiment, registry: Registry) -> ProblemSize | None:
    try:
        return ProblemSize.of(build_problem(experiment, registry))
    except Exception as error:  # whatever a plugin raised: the run will say so where it matters
        LOG.warning("%s: no prediction (%s: %s)", experiment.name, type(error).__name__, error)
        return None
