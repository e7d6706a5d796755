"""Scores of results folders, by several processes where there are very many cells.

One process then reads, groups by problem and scores each experiment, so that only rows travel
between processes, and neither records of cells nor curves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from harness.processes import processes_for, shared
from harness.scoring.leaderboard import (
    Scores,
    ranked,
    score_problem,
    second_names,
)
from harness.scoring.problems import group_by_problem
from harness.scoring.row import ScoreRow
from harness.store import CellRecord, ListedExperiment, Store, listed_experiments
from harness.store.cells import read_record


@dataclass(frozen=True)
class _Scored:
    """Scores of the experiments of one name, without ranks.

    Attributes:
        problems: experiment and problem of each group.
        notes: notes on the grouping of cells.
        scores: scores of the problems.
        faults: unusable cells: the number of the folder, and the reason.
    """

    problems: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    scores: Scores = field(default_factory=Scores)
    faults: list[tuple[int, str]] = field(default_factory=list)


Parts = list[tuple[int, ListedExperiment]]
"""Experiments of one name: the number of the folder, and the entry of its manifest."""


def score_folders(
    stores: Sequence[Store],
    observables: Sequence[str] | None = None,
    processes: int | None = None,
) -> Scores:
    """Score every theory on every experiment and observable.

    Theories are ranked within a problem and observable, nearest limit first. Cells of the same
    problem in several folders are scored together; those that differ in the data, or in version,
    source or a parameter of any component, have rows of their own, and a note says so.

    Args:
        stores: results folders.
        observables: those to score: see `score_problem`; by default all, `SCORED` and one's own
            where a suite asks for it.
        processes: number of processes; if None, as many as save time.

    Raises:
        StoreError: if a folder holds no results.
    """
    from threadpoolctl import threadpool_limits

    named: dict[str, Parts] = {}
    for number, store in enumerate(stores):
        for each in listed_experiments(store):
            named.setdefault(each.name, []).append((number, each))
    if processes is None:
        cells = sum(len(each.keys) for parts in named.values() for _, each in parts)
        processes = processes_for(cells)
    work = partial(_scored, stores, observables)
    with threadpool_limits(1):  # matrices are small: more threads only wait for each other
        found = list(shared(work, list(named.values()), processes))
    for number, fault in dict.fromkeys(pair for each in found for pair in each.faults):
        stores[number].report(fault)
    return Scores(
        sorted(ranked([row for f in found for row in f.scores.rows]), key=lambda row: row.rank),
        [unscored for f in found for unscored in f.scores.unscored],
        [
            *(note for f in found for note in f.notes),
            *second_names([pair for f in found for pair in f.problems]),
            *(note for f in found for note in f.scores.notes),
        ],
        {place: apart for f in found for place, apart in f.scores.apart.items()},
    )


def score_results(stores: Sequence[Store]) -> list[ScoreRow]:
    """Return the rows of `score_folders`, for tables and figures."""
    return score_folders(stores).rows


def _scored(stores: Sequence[Store], observables: Sequence[str] | None, parts: Parts) -> _Scored:
    """Read the experiments of one name, group their cells by problem, and score these."""
    found = _Scored()
    read = []
    for number, each in parts:
        cells: dict[str, CellRecord] = {}
        for key in each.keys:
            record = read_record(stores[number].folder("cells") / key)
            if isinstance(record, CellRecord):
                cells[key] = record
            elif record is not None:
                found.faults.append((number, record))
        read.append(each.filled(cells))
    for results in group_by_problem(read, found.notes):
        found.problems.append((results.experiment, results.problem))
        score_problem(results, observables, found.scores)
    return found
