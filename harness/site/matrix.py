"""The table of theories by experiments, and two theories side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.scoring import PRIMARY, ScoreRow, Unscored
from harness.scoring.ranking import difference, nearer
from harness.site.contents import Contents, Facts
from harness.site.names import experiment_page, link


@dataclass(frozen=True)
class Line:
    """A problem, with the outcome of every theory.

    Attributes:
        facts: of its experiment.
        cells: row, reason for having none, or None where the theory was not asked, by theory.
    """

    facts: Facts
    cells: dict[str, ScoreRow | Unscored | None]


def lines(contents: Contents, observable: str = PRIMARY) -> list[Line]:
    """Return a line for every problem, in the order of the experiments."""
    found: dict[str, dict[str, ScoreRow | Unscored]] = {}
    rows = [row for row in contents.scores.rows if row.observable == observable]
    outcomes: list[ScoreRow | Unscored] = [*rows, *contents.scores.unscored]
    for each in outcomes:
        found.setdefault(each.experiment, {}).setdefault(each.theory, each)
    return [
        Line(contents.facts[name], {theory: cells.get(theory) for theory in contents.theories})
        for name in contents.experiments
        if (cells := found.get(name))
    ]


def side_by_side(contents: Contents) -> dict[str, Any]:
    """Return the gaps of all theories, and the comparisons of all pairs, as plain JSON.

    Keys: ``theories``; ``observables``; ``experiments``, with their facts and pages; ``rows``, by
    observable, theory and place of the experiment: gap, ends of its interval, verdict; ``pairs``,
    by observable: places of two theories, the comparison, and for each common experiment its
    place, the difference, and -1 where the first is nearer, 1 where the second is, 0 for a tie.
    """
    problems = list(dict.fromkeys(problem for _, _, problem in contents.counted))
    named = {row.problem: row for row in reversed(list(contents.counted.values()))}
    order = {name: k for k, name in enumerate(contents.experiments)}
    problems.sort(key=lambda problem: order[named[problem].experiment])
    place = {problem: k for k, problem in enumerate(problems)}
    rows: dict[str, dict[str, dict[int, list[Any]]]] = {}
    for (observable, theory, problem), row in contents.counted.items():
        low, high = row.limit_gap_ci or (None, None)
        mine = rows.setdefault(observable, {}).setdefault(theory, {})
        mine[place[problem]] = [row.limit_gap, low, high, row.verdict]
    return {
        "theories": contents.theories,
        "observables": contents.ranking.observables,
        "experiments": [_experiment(contents, named[problem]) for problem in problems],
        "rows": rows,
        "pairs": {
            name: _pairs(contents, name, problems, place) for name in contents.ranking.observables
        },
    }


def _experiment(contents: Contents, row: ScoreRow) -> dict[str, Any]:
    facts = contents.facts[row.experiment]
    return {
        "experiment": facts.name,
        "page": link(experiment_page(facts.name)),
        "task": facts.task,
        "architecture": facts.architecture,
        "regime": facts.regime,
        "suite": "\n".join(facts.suites),
    }


def _pairs(
    contents: Contents, observable: str, problems: Sequence[str], place: dict[str, int]
) -> list[dict[str, Any]]:
    number = {name: k for k, name in enumerate(contents.theories)}
    found = []
    for pair in contents.ranking.comparisons:
        if pair.observable != observable:
            continue
        first, second = (
            {p: row for p in problems if (row := contents.counted.get((observable, name, p)))}
            for name in (pair.first, pair.second)
        )
        found.append(
            {
                "first": number[pair.first],
                "second": number[pair.second],
                "nearer": pair.nearer(),
                "counts": [pair.first_nearer, pair.tied, pair.second_nearer],
                "difference": [pair.difference, *pair.difference_ci],
                "each": [
                    [place[p], difference(row, second[p])[0], nearer(row, second[p])]
                    for p, row in first.items()
                    if p in second
                ],
            }
        )
    return found
