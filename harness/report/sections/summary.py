"""The head of the page: the results of all theories, in one sentence and one figure."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from harness.report.parts import figure
from harness.report.wording import NBSP, joined, plural
from harness.scoring import PRIMARY
from harness.scoring.row import ScoreRow
from harness.store import ExperimentResults

if TYPE_CHECKING:
    from harness.report.figures.svg import Picture

OVERVIEW = 12
"""Most experiments that the overview shows one by one; for more, it shows distributions."""


@dataclass(frozen=True)
class Tally:
    """Results of a theory over the experiments that name it.

    Attributes:
        theory: its name.
        agrees, undecided, disagrees: number of experiments with that verdict.
        open: experiments without a verdict: the theory failed, or networks are missing.
        excluded: experiments to which the theory does not apply.
        mean_rank: among the theories of an experiment.
        median_gap: of its limits.
        seconds: median time of the theory.
        network_seconds: median training time after which networks are as near to the limit.
    """

    theory: str
    agrees: int
    undecided: int
    disagrees: int
    open: int
    excluded: int
    mean_rank: float | None
    median_gap: float | None
    seconds: float | None
    network_seconds: float | None

    @property
    def total(self) -> int:
        """Number of experiments to which the theory applies."""
        return self.agrees + self.undecided + self.disagrees + self.open

    @property
    def rest(self) -> str:
        """Outcomes of the experiments on which the theory does not agree."""
        parts = [
            (self.disagrees, "disagrees on {}"),
            (self.undecided, "undecided on {}"),
            (self.open, "no verdict on {}"),
            (self.excluded, "does not apply to {}"),
        ]
        return ", ".join(text.format(count) for count, text in parts if count)


def tallies(rows: Sequence[ScoreRow], found: Sequence[ExperimentResults]) -> list[Tally]:
    """Count every theory's verdicts on the primary observable, best theory first."""
    verdicts = {(r.experiment, r.theory): r.verdict for r in rows if r.observable == PRIMARY}
    counts: dict[str, Counter[str]] = {}
    for experiment in found:
        for record in experiment.records:
            solver = record.facts.solver
            if solver.width is None:
                outcome = verdicts.get((experiment.name, solver.name), record.status)
                if outcome == "done" and experiment.theories_alone:
                    continue  # no verdict is expected
                counts.setdefault(solver.name, Counter())[outcome] += 1
    made = []
    for name, c in counts.items():
        mine = [r for r in rows if r.observable == PRIMARY and r.theory == name]
        known = [s for r in mine if (s := r.network_seconds_same_error) is not None]
        made.append(
            Tally(
                name,
                c["agrees"],
                c["undecided"],
                c["disagrees"],
                c["failed"] + c["done"],
                c["not-applicable"],
                statistics.fmean(r.rank for r in mine) if mine else None,
                statistics.median(r.limit_gap for r in mine) if mine else None,
                statistics.median(r.theory_seconds for r in mine) if mine else None,
                statistics.median(known) if known else None,
            )
        )
    return sorted(
        made, key=lambda t: (-t.agrees / max(t.total, 1), -t.agrees, t.disagrees, t.theory)
    )


def headline(counted: Sequence[Tally]) -> str:
    """Return the result of the whole report in one sentence."""
    judged = [t for t in counted if t.agrees + t.undecided + t.disagrees]
    if not judged:
        return "There is no verdict yet"
    first, *others = [t for t in counted if t.total]
    if not first.agrees:
        return _none_agrees(judged)
    text = (
        f"{first.theory} describes wide networks in"
        f" {_share(first)} {plural('experiment', first.total)}{_undecided(first)}"
    )
    if len(others) > 2:
        next_best = others[0]
        return (
            f"{text}; the next best theory, {next_best.theory}, in {_share(next_best)}"
            f"{_undecided(next_best)}"
        )
    return "; ".join([text, *(f"{t.theory} in {_share(t)}{_undecided(t)}" for t in others)])


def _none_agrees(judged: Sequence[Tally]) -> str:
    """Return the headline where no theory agrees anywhere: open, or answered with no."""
    unknown = [t.theory for t in judged if t.undecided]
    refuted = [t.theory for t in judged if not t.undecided]
    if not unknown:
        subject = "No theory describes" if len(refuted) > 1 else f"{refuted[0]} does not describe"
        return f"{subject} wide networks in any experiment with a verdict"
    verb = "describes" if len(unknown) == 1 else "describe"
    text = f"It is undecided whether {joined(unknown)} {verb} wide networks"
    return (
        f"{text}; {joined(refuted)} {'does' if len(refuted) == 1 else 'do'} not"
        if refuted
        else text
    )


def _undecided(tally: Tally) -> str:
    """Return the number of undecided experiments in brackets, lest they be read as a no."""
    return f" (undecided on {tally.undecided})" if tally.undecided else ""


def summarize(
    rows: Sequence[ScoreRow], found: Sequence[ExperimentResults]
) -> tuple[list[Tally], str]:
    """Return each theory's tally, and the headline."""
    counted = tallies(rows, found)
    return counted, headline(counted)


def overview_picture(
    rows: Sequence[ScoreRow], theories: Sequence[str], headline: str, most: int = OVERVIEW
) -> Picture:
    """Return the figure at the top: every experiment, or beyond `most` the distribution of gaps."""
    from harness.report.figures import overview

    if len({row.experiment for row in rows}) > most:
        draw = overview.gap_distribution
        whose = "A point for every experiment: the"
        ending = "Agreement lies in the green field."
    else:
        draw = overview.overview
        whose = "For every experiment and theory, the"
        ending = (
            "Bars are 95\u00a0% intervals; a theory agrees when its bar lies in the green field."
        )
    caption = (
        f"{whose} gap between the networks, extrapolated to infinite width, and the theory:"
        f" relative distance of outputs on the test points. {ending}"
    )
    make = partial(draw, rows, theories=theories)
    return figure("overview", "Overview", "all experiments", caption, make, f"{headline}.")[0]


def _share(tally: Tally) -> str:
    """Return the number of experiments on which a theory agrees, without line breaks."""
    return f"{tally.agrees}{NBSP}of{NBSP}{tally.total}"
