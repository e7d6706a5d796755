"""Experiments as readers see them: one for each problem, under names that tell them apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.scoring.leaderboard import ScoredFolder, Scores, Unscored
from harness.scoring.problems import ProblemResults, read_problems, same_problem
from harness.scoring.row import ScoreRow
from harness.store import CellRecord, ExperimentResults, Store


@dataclass(frozen=True)
class Distinct:
    """An experiment with the cells of one problem, from all folders.

    Attributes:
        results: its cells; its name is marked where other problems have the same one.
        name: its name in the suite.
        suites: of which it is.
    """

    results: ExperimentResults
    name: str
    suites: tuple[str, ...]


def distinct_experiments(found: ScoredFolder) -> tuple[list[Distinct], Scores]:
    """Return an experiment for each problem, and the scores under their names.

    Args:
        found: results folders, scored together.
    """
    named: dict[str, list[ExperimentResults]] = {}
    for each in found.experiments:
        named.setdefault(each.name, []).append(each)
    problems: dict[str, list[ProblemResults]] = {}
    for results in found.problems:
        problems.setdefault(results.experiment, []).append(results)
    experiments = [
        each
        for name, parts in named.items()
        for each in _by_problem(name, parts, problems.get(name, []))
    ]
    return experiments, _renamed(found.scores)


def marks(store: Store) -> dict[tuple[str, str], tuple[str, str]]:
    """Return names that tell apart the solutions of different problems, for `export_tables`.

    Returns:
        Experiment and solver as shown, by experiment and key of the cell.

    Raises:
        StoreError: if the folder holds no results.
    """
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for results in read_problems([store], []):
        labels = {record.key: label for record, label in results.theories if label}
        for record in results.records:
            solver, label = record.facts.solver.name, labels.get(record.key)
            names = results.name, f"{solver} ({label})" if label else solver
            found.setdefault((results.experiment, record.key), names)
    return found


def _by_problem(
    name: str, parts: Sequence[ExperimentResults], problems: Sequence[ProblemResults]
) -> list[Distinct]:
    """Return the experiments of one name; all that no problem has is with the first."""
    if len(problems) < 2:
        return [_joined(name, name, parts)]
    known = [{(r.key, same_problem(r)) for r in each.records} for each in problems]
    chosen: list[list[ExperimentResults]] = [[] for _ in problems]
    for part in parts:
        holders = {(r.key, same_problem(r)): r for r in part.records}
        of = [k for k, cells in enumerate(known) if not cells.isdisjoint(holders)] or [0]
        for k in of:
            records = [r for place, r in holders.items() if place in known[k]]
            absent = part.absent if k == of[0] else ()
            chosen[k].append(replace(part, records=records, absent=absent))
    return [
        _joined(each.name, name, members) for each, members in zip(problems, chosen, strict=True)
    ]


def _joined(shown: str, name: str, parts: Sequence[ExperimentResults]) -> Distinct:
    """Return one experiment with the cells of several folders; of equal ones, a finished one."""
    records: dict[str, CellRecord] = {}
    for record in (r for part in parts for r in part.records):
        if record.key not in records or records[record.key].status != "done":
            records[record.key] = record
    joined = replace(
        parts[0],
        name=shown,
        records=[*records.values()],
        absent=tuple(dict.fromkeys(k for part in parts for k in part.absent if k not in records)),
        failure="" if records and parts[1:] else next((p.failure for p in parts if p.failure), ""),
        scored=tuple(dict.fromkeys(own for part in parts for own in part.scored)),
    )
    suites = tuple(dict.fromkeys(part.suite for part in parts if part.suite))
    return Distinct(joined, name, suites)


def _renamed(scores: Scores) -> Scores:
    """Return scores with marked names; rows keep the difference of their theory from others."""

    def row(each: ScoreRow) -> ScoreRow:
        mark = scores.apart.get((each.experiment, each.problem), "")
        label = (each.apart or "").removeprefix(mark).removeprefix(", ") if mark else each.apart
        name = scores.name(each.experiment, each.problem)
        return replace(each, experiment=name, apart=label or None)

    def missed(each: Unscored) -> Unscored:
        return replace(each, experiment=scores.name(each.experiment, each.problem))

    return Scores([*map(row, scores.rows)], [*map(missed, scores.unscored)], scores.notes)
