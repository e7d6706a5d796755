"""What a plan's cells will take: predicted without running them."""

from __future__ import annotations

import logging
from collections.abc import Container, Sequence
from typing import Any

import numpy as np

from harness.execution.calls import Inspected
from harness.execution.driver import Plan
from harness.execution.estimates import MIB, Estimates, distinct, jobs_of, kind
from harness.execution.history import Finished
from harness.execution.work import works_of
from harness.records import Architecture, ProblemSize
from harness.registry import Registry
from harness.suites import Cell, Experiment, Resolved, cells_of, solvers_of
from harness.suites.build import build_protocol
from harness.suites.cells import UNRESOLVED

LOG = logging.getLogger("harness.execution")

PILOT_UNITS, PILOT_TRIALS = 256, 3
"""Width of the network that a pilot run trains, and how often, usually."""


def predicted_plan(
    plan: Plan, registry: Registry, history: Sequence[Finished], workers: int, memory: float
) -> dict[str, Any]:
    """Return every cell of a plan with what it will take, and totals.

    Args:
        plan: of a suite, with the data looked at.
        registry: the components.
        history: jobs that finished on this machine.
        workers: that will share the cells.
        memory: bytes that they may use together.

    Returns:
        ``cells``: rows with "status" ("finished", "missing", "refused" where a cell would not fit
        in memory, "pilot" where a pilot run must find dt first, "failed" where the data cannot be
        made), "seconds" of computing on one worker, "compile_seconds", its share of what its job
        compiles, and "mebibytes" of its worker; null where nothing is known. ``total``: numbers of
        cells, seconds with compilation and compile_seconds of all missing cells on one worker,
        elapsed_seconds with all workers, the largest memory, and how all this is known.
    """
    estimates, pilots = _estimates(plan, registry, history)
    missing = {cell.key for cell in plan.missing}
    cells = [
        cell
        for experiment in plan.suite.experiments
        for cell in cells_of(experiment, plan.suite, _resolved(plan, experiment))
    ]
    ahead = [c for c in cells if _status(plan, c, missing) in {"pilot", "missing"}]
    jobs = jobs_of(ahead, estimates, workers, memory)
    job_of = {cell.key: job for job in jobs for cell in job.cells}
    rows = []
    for cell in cells:
        status = _status(plan, cell, missing)
        job, held = job_of.get(cell.key), estimates.bytes(cell)
        rows.append(
            {
                "experiment": cell.experiment.name,
                "solver": cell.solver.name,
                "width": cell.solver.width,
                "seed": cell.solver.seed,
                "cell": cell.title,
                "key": cell.key if status in {"missing", "finished"} else None,
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
            "failed": len(plan.failed),
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
    for experiment in plan.suite.experiments:
        data = plan.data.get(experiment.name)
        size = None if data is None else _size(experiment, data, registry)
        if size is None:
            continue
        dts = plan.dts.get(experiment.name)
        solvers = distinct(solvers_of(experiment, plan.suite))
        estimates.add_works(experiment.name, solvers, works_of(size, solvers, registry))
        if dts is None:
            seconds, compiling = estimates.times("network", size.training(PILOT_UNITS))
            pilots.append((PILOT_TRIALS * (seconds or 0.0), compiling))
    return estimates, pilots


def _resolved(plan: Plan, experiment: Experiment) -> Resolved:
    """Return what is known of an experiment; of one that needs a pilot run, the data alone."""
    data = plan.data.get(experiment.name)
    return UNRESOLVED if data is None else Resolved(data.digest, plan.dts[experiment.name] or ())


def _status(plan: Plan, cell: Cell, missing: Container[str]) -> str:
    if cell.experiment.name in plan.failed:
        return "failed"
    if plan.resolved(cell.experiment) is None:
        return "pilot"
    return "missing" if cell.key in missing else "finished"


def _size(experiment: Experiment, data: Inspected, registry: Registry) -> ProblemSize | None:
    try:
        stages = build_protocol(experiment, registry).stages
        architecture: Architecture = experiment.architecture.make(
            registry, registry.get("architecture", experiment.architecture.name)
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
        stages=stages,
    )
