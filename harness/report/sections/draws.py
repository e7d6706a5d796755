"""Draws of the data on the page, in one section."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.store import ExperimentResults
from harness.suites.names import without_draw


@dataclass(frozen=True)
class Draws:
    """Experiments that differ only in the draw of the data; mostly a single one.

    Attributes:
        shown: their representative: the first with networks, else the first with cells.
        members: all of them.
    """

    shown: ExperimentResults
    members: list[ExperimentResults]

    @property
    def others(self) -> list[ExperimentResults]:
        """Members that are not shown."""
        return [each for each in self.members if each is not self.shown]


def by_draw(experiments: Sequence[ExperimentResults]) -> list[Draws]:
    """Return experiments grouped by draws, in the order of each group's first."""
    groups: dict[tuple[str, bool], list[ExperimentResults]] = {}
    for experiment in experiments:
        shared = without_draw(experiment.name)
        groups.setdefault((shared or experiment.name, shared is not None), []).append(experiment)
    return [Draws(_standing(members), members) for members in groups.values()]


def _standing(members: Sequence[ExperimentResults]) -> ExperimentResults:
    with_networks = (each for each in members if each.networks())
    with_cells = (each for each in members if each.records)
    return next(with_networks, None) or next(with_cells, members[0])
