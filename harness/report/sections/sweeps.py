"""One sweep on the page: a curve, or a heat map for every theory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from harness.report.parts import figure
from harness.report.wording import VERDICT_MARKS, joined
from harness.scoring.row import ScoreRow
from harness.store.check import slug

if TYPE_CHECKING:
    from harness.report.figures.svg import Picture
    from harness.report.figures.sweeps import Sweep

LARGEST_SWEEP = 400
"""Most points of a sweep over two parameters in a legible heat map."""


@dataclass(frozen=True)
class SweepSection:
    """One sweep, as figures for the page."""

    anchor: str
    name: str
    parameters: str
    pictures: list[Picture]


def sweep_section(sweep: Sweep, rows: Sequence[ScoreRow], theories: Sequence[str]) -> SweepSection:
    """Return the section of a sweep: a curve, a heat map for every theory, or nothing."""
    from harness.report.figures.sweeps import sweep_curve, sweep_map

    mark = f"sweep-{slug(' '.join((sweep.name, *sweep.parameters)))}"
    parameters = joined(sweep.parameters)
    made: list[Picture] = []
    if not any(row.experiment in sweep.points for row in rows):
        return SweepSection(mark, sweep.name, parameters, made)
    if len(sweep.parameters) == 1:
        caption = (
            "Gap between networks at infinite width and each theory, with its 95\u00a0% interval."
            " Symbols are verdicts; the green field is the tolerance."
        )
        title = f"Limit gap over {parameters}"

        draw = partial(sweep_curve, rows, sweep, theories=theories)
        made += figure(mark, title, sweep.name, caption, draw)
    elif len(sweep.parameters) == 2 and len(sweep.points) <= LARGEST_SWEEP:
        marks = ", ".join(f"{mark} {verdict}" for verdict, mark in VERDICT_MARKS.items())
        scored = {r.theory for r in rows if r.experiment in sweep.points}
        for theory in [t for t in theories if t in scored]:
            caption = (
                f"Gap between networks at infinite width and {theory}, and its verdict: {marks}."
                " Empty: no verdict."
            )
            title = f"Limit gap of {theory} over {parameters}"
            draw = partial(sweep_map, rows, sweep, theory)
            made += figure(f"{mark}-{theory}", title, sweep.name, caption, draw)
    return SweepSection(mark, sweep.name, parameters, made)
