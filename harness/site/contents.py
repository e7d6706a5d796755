"""Contents of a site: experiments, scores, rankings; from one or several results folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from harness.registry.component import PROBLEM_KINDS
from harness.scoring import (
    ARRAYS,
    PRIMARY,
    RANKED,
    SCORED,
    Ranking,
    ScoredFolder,
    ScoreRow,
    Scores,
    group_by_problem,
    rank_theories,
    score_problems,
)
from harness.scoring.distinct import Distinct, distinct_experiments
from harness.scoring.ranking import counted
from harness.store import ExperimentResults, Store, experiments


@dataclass(frozen=True)
class Facts:
    """What readers choose experiments by.

    Attributes:
        name: of the experiment.
        task, architecture, regime: names of its components; empty without cells.
        suites: of which it is.
    """

    name: str
    task: str
    architecture: str
    regime: str
    suites: tuple[str, ...]


@dataclass(frozen=True)
class Contents:
    """Everything that a site shows.

    Attributes:
        experiments: by name, with the cells of all inputs; one for each problem.
        facts: of the experiments, by name.
        scores: of all observables.
    """

    experiments: dict[str, ExperimentResults]
    facts: dict[str, Facts]
    scores: Scores

    @cached_property
    def ranking(self) -> Ranking:
        """Ranking over all experiments."""
        return rank_theories(self.scores)

    @cached_property
    def counted(self) -> dict[tuple[str, str, str], ScoreRow]:
        """Rows that the ranking counts, by observable, theory and problem."""
        return counted(self.scores, self.ranking.observables)

    @cached_property
    def theories(self) -> list[str]:
        """Names of the theories, in the order of the ranking."""
        return [standing.theory for standing in self.ranking.standings]

    @cached_property
    def suites(self) -> list[str]:
        """Names of the suites."""
        return list(dict.fromkeys(s for each in self.facts.values() for s in each.suites))

    @cached_property
    def rows(self) -> dict[str, list[ScoreRow]]:
        """Rows of every experiment: outputs first, and the theories in their order."""
        observables = list(dict.fromkeys([PRIMARY, *RANKED, *SCORED]))
        observables += sorted({r.observable for r in self.scores.rows}.difference(observables))
        place = {name: k for k, name in enumerate(self.theories)}
        found: dict[str, list[ScoreRow]] = {name: [] for name in self.experiments}
        ordered = sorted(
            self.scores.rows, key=lambda r: (observables.index(r.observable), place[r.theory])
        )
        for row in ordered:
            found[row.experiment].append(row)
        return found

    @cached_property
    def started(self) -> dict[str, str]:
        """Time at which each cell was begun, by its key."""
        records = (r for each in self.experiments.values() for r in each.records)
        return {record.key: record.facts.started for record in records}

    def of_suite(self, suite: str) -> Ranking:
        """Return the ranking over the experiments of one suite."""
        names = {name for name, each in self.facts.items() if suite in each.suites}
        rows = [row for row in self.scores.rows if row.experiment in names]
        missed = [each for each in self.scores.unscored if each.experiment in names]
        return rank_theories(Scores(rows, missed))


def read(stores: Sequence[Store]) -> Contents:
    """Read results folders and score them together, as `score_folders` does.

    Raises:
        StoreError: if a folder holds no results.
    """
    found, notes = [each for store in stores for each in experiments(store)], list[str]()
    own = [name for each in found for name in each.scored]
    problems = group_by_problem(found, notes)
    scores = score_problems(problems, list(dict.fromkeys([*SCORED, *ARRAYS, *own])), notes)
    each_problem, scores = distinct_experiments(ScoredFolder(found, problems, scores))
    return Contents(
        {each.results.name: each.results for each in each_problem},
        {each.results.name: _facts(each) for each in each_problem},
        scores,
    )


def _facts(experiment: Distinct) -> Facts:
    results = experiment.results
    cell = next((record.facts for record in results.records), None)
    named = {kind: "" if cell is None else cell.components[kind].name for kind in PROBLEM_KINDS}
    return Facts(results.name, suites=experiment.suites, **named)
