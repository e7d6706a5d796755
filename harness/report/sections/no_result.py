"""Cells of an experiment without a result: failed, outside a theory's domain, or missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from harness.records.cell import SolverFacts
from harness.report.sections.draws import Draws
from harness.report.wording import plural, seed_runs, seeds_of
from harness.store import CellRecord, ExperimentResults
from harness.store.check import IDENTITY
from harness.suites.cells import FORMAT, digest
from harness.suites.names import draw_of

_PROBLEM = set(IDENTITY) - {"solver", "format"}
"""Facts in a cell's identity besides its solver."""


@dataclass(frozen=True)
class NoResult:
    """Cells of an experiment without a result, with the same status and reason.

    Attributes:
        status: "failed", "does not apply" or "missing".
        cells: list of the cells, in words.
        reason: reason of the status.
        traceback: of the first cell; empty where there is none.
    """

    status: str
    cells: str
    reason: str
    traceback: str


def failures(experiment: ExperimentResults) -> list[NoResult]:
    """Return cells that failed or do not apply, grouped by reason."""
    groups: dict[tuple[Any, ...], list[CellRecord]] = {}
    for record in experiment.records:
        if record.status != "done":
            facts = record.facts
            solver = facts.solver
            whose = (solver.name, solver.width)
            why = (record.status, facts.message, facts.phase)
            groups.setdefault((*whose, *why), []).append(record)
    return [
        NoResult(
            "failed" if status == "failed" else "does not apply",
            solver if width is None else f"networks of width {width}, {seeds_of(records)}",
            (message or "no reason was recorded") + (f" (phase: {phase})" if phase else ""),
            records[0].facts.traceback.strip(),
        )
        for (solver, width, status, message, phase), records in groups.items()
    ]


def missing_cells(experiment: ExperimentResults, records: Iterable[CellRecord]) -> list[NoResult]:
    """Return the cells of an experiment that are not in the folder.

    Keys are hashes, so each is compared with every solver that ran anywhere in the folder, with
    every seed; unknown keys are counted.

    Args:
        experiment: an experiment with missing cells.
        records: all cells of the folder.
    """
    wanted = set(experiment.absent)
    named: dict[str, list[int]] = {}
    if experiment.records:
        facts = experiment.records[0].facts
        problem = {"format": FORMAT, **facts.model_dump(include=_PROBLEM)}
        for solver in _solvers(records):
            key = digest({**problem, "solver": solver.model_dump()})
            if key in wanted:
                wanted.remove(key)
                width = solver.width
                whose = solver.name if width is None else f"networks of width {width}"
                named.setdefault(whose, []).extend([] if solver.seed is None else [solver.seed])
    cells = [f"{w}, {seed_runs(seeds)}" if seeds else w for w, seeds in named.items()]
    if wanted:
        other = "other " if named else ""
        cells.append(f"{len(wanted)} {other}{plural('cell', len(wanted))}")
    reason = "not computed: the run was stopped before, or the cell was removed or is damaged"
    return [NoResult("missing", cell, reason, "") for cell in cells]


def in_other_draws(draws: Draws) -> list[NoResult]:
    """Return cells without a result in the draws that are not shown, grouped by reason."""
    groups: dict[tuple[str, str, str], tuple[NoResult, list[int]]] = {}
    for experiment in draws.others:
        found = failures(experiment)
        if experiment.failure:
            found.append(NoResult("failed", "all cells", experiment.failure, ""))
        if experiment.missing:
            cells = f"{experiment.missing} {plural('cell', experiment.missing)}"
            found.append(NoResult("missing", cells, "not in the results folder", ""))
        for each in found:
            key = (each.status, each.cells, each.reason)
            groups.setdefault(key, (each, []))[1].append(draw_of(experiment.name) or 0)
    return [
        NoResult(
            each.status,
            f"{each.cells}; data {seed_runs(seeds)}",
            each.reason,
            each.traceback,
        )
        for each, seeds in groups.values()
    ]


def _solvers(records: Iterable[CellRecord]) -> list[SolverFacts]:
    """Return all theories, and networks of every width and seed, that ran in a folder."""
    solvers = [r.facts.solver for r in records]
    networks = [s for s in solvers if s.theory is None]
    seeds = sorted({s.network.seed for s in networks if s.network})
    kinds = {(s.network.width, s.network.dtype): s for s in networks if s.network}
    theories = {digest(s.model_dump()): s for s in solvers if s.theory is not None}
    crossed = [
        kinds[kind].model_copy(update={"seed": seed}) for kind in sorted(kinds) for seed in seeds
    ]
    return crossed + [s for _, s in sorted(theories.items())]
