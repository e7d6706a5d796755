"""Draws of the data on the page: one section for all of them, and what went wrong in any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.report import sentences
from harness.store import ExperimentResults
from harness.suites.names import draw_of, without_draw


@dataclass(frozen=True)
class Draws:
    """Experiments that differ in nothing but the draw of the data; mostly a single one.

    Attributes:
        shown: the one that stands for them: the first with networks, else the first with cells.
        members: all of them.
    """

    shown: ExperimentResults
    members: list[ExperimentResults]

    @property
    def others(self) -> list[ExperimentResults]:
        """Those that are not shown."""
        return [each for each in self.members if each is not self.shown]


def by_draw(experiments: Sequence[ExperimentResults]) -> list[Draws]:
    """Return experiments, draws of one together, in the order of their first."""
    groups: dict[tuple[str, bool], list[ExperimentResults]] = {}
    for experiment in experiments:
        shared = without_draw(experiment.name)
        groups.setdefault((shared or experiment.name, shared is not None), []).append(experiment)
    return [Draws(_standing(members), members) for members in groups.values()]


def problems_of_others(draws: Draws) -> list[sentences.Problem]:
    """Return what has no result in the draws that are not shown, like with like."""
    groups: dict[tuple[str, str, str], tuple[sentences.Problem, list[int]]] = {}
    for experiment in draws.others:
        found = sentences.problems(experiment)
        if experiment.failure:
            found.append(sentences.Problem("failed", "all cells", experiment.failure, ""))
        if experiment.missing:
            cells = f"{experiment.missing} {'cell' if experiment.missing == 1 else 'cells'}"
            found.append(sentences.Problem("missing", cells, "not in the results folder", ""))
        for problem in found:
            key = (problem.status, problem.cells, problem.reason)
            groups.setdefault(key, (problem, []))[1].append(draw_of(experiment.name) or 0)
    return [
        sentences.Problem(
            problem.status,
            f"{problem.cells}; data {sentences.seed_runs(seeds)}",
            problem.reason,
            problem.traceback,
        )
        for problem, seeds in groups.values()
    ]


def _standing(members: Sequence[ExperimentResults]) -> ExperimentResults:
    with_networks = (each for each in members if each.networks())
    with_cells = (each for each in members if each.records)
    return next(with_networks, None) or next(with_cells, members[0])
