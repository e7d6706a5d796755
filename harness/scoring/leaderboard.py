"""The leaderboard: every theory scored on every experiment of one or more results folders."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from harness.errors import StoreError
from harness.processes import processes_for, shared
from harness.scoring.problems import ProblemResults, group_by_problem
from harness.scoring.row import ScoreRow, score_row
from harness.scoring.statistics import score
from harness.scoring.values import (
    ARRAYS,
    LOSSES,
    PRIMARY,
    SCORED,
    SMALLEST,
    Values,
    final_values,
    last_stage,
)
from harness.store import CellRecord, ExperimentResults, Store, experiments
from harness.store.files import not_a_file, write_file
from harness.store.tables import Allowance

LOG = logging.getLogger("harness.scoring")

ALIKE = 1e-5
"""Gaps that differ by less are equal: rounding in single precision moves them by about as much."""

LARGEST = 10_000_000
"""Most recorded values of one experiment's networks that are scored together."""


@dataclass(frozen=True)
class Unscored:
    """A theory without a score on an experiment.

    Attributes:
        experiment, theory: their names.
        status: "not-applicable" if the problem is outside its domain, "failed", or "unscored" if
            there is nothing to compare it with.
        reason: reason of the status.
        problem: as in `ProblemResults`.
    """

    experiment: str
    theory: str
    status: str
    reason: str
    problem: str


@dataclass(frozen=True)
class Scores:
    """Scores of theories from results folders.

    Attributes:
        rows: the leaderboard, sorted by rank, then by experiment.
        unscored: theories without a row on an experiment.
        notes: notes for the reader: cells kept apart, predictions that cannot be scored.
        apart: difference of a problem from others of the same name, by experiment and problem;
            only where there are others.
    """

    rows: list[ScoreRow] = field(default_factory=list)
    unscored: list[Unscored] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    apart: dict[tuple[str, str], str] = field(default_factory=dict)

    def name(self, experiment: str, problem: str) -> str:
        """Return an experiment's name, marked where other problems have the same one."""
        apart = self.apart.get((experiment, problem))
        return f"{experiment} ({apart})" if apart else experiment


@dataclass(frozen=True)
class ScoredFolder:
    """A results folder, read, grouped by problem and scored in one go.

    Attributes:
        experiments: with their cells.
        problems: networks and theories, by problem.
        scores: on all scored observables.
    """

    experiments: list[ExperimentResults]
    problems: list[ProblemResults]
    scores: Scores


def score_folder(store: Store) -> ScoredFolder:
    """Read a results folder and score it: see `score_folders`.

    Raises:
        StoreError: if the folder holds no results.
    """
    read, notes = experiments(store), list[str]()
    problems = group_by_problem(read, notes)
    return ScoredFolder(read, problems, score_problems(problems, None, notes))


def score_problems(
    problems: Sequence[ProblemResults],
    observables: Sequence[str] | None,
    notes: Sequence[str],
    processes: int | None = None,
) -> Scores:
    """Score networks and theories of the same problems: see `score_folders`.

    Args:
        problems: networks and theories, by problem.
        observables: see `score_problem`.
        notes: notes for the reader on the grouping of cells.
        processes: number of processes; if None, as many as save time.
    """
    from threadpoolctl import threadpool_limits

    scores = Scores(notes=[*notes, *second_names((c.experiment, c.problem) for c in problems)])
    with threadpool_limits(1):  # matrices are small: more threads only wait for each other
        cells = sum(len(c.theories) + sum(map(len, c.networks.values())) for c in problems)
        count = processes_for(cells) if processes is None else processes
        for found in shared(partial(_scored, observables), problems, count):
            scores.rows.extend(found.rows)
            scores.unscored.extend(found.unscored)
            scores.notes.extend(found.notes)
            scores.apart.update(found.apart)
    scores.rows[:] = sorted(ranked(scores.rows), key=lambda row: row.rank)
    return scores


def ranked(rows: Sequence[ScoreRow]) -> list[ScoreRow]:
    """Return rows with their ranks, in the same order; equal gaps have equal ranks."""
    groups: dict[tuple[str, str, str], list[int]] = {}
    for place, row in enumerate(rows):
        groups.setdefault((row.experiment, row.problem, row.observable), []).append(place)
    ranks: dict[int, int] = {}
    for group in groups.values():
        near = [_nearness(rows[i]) for i in group]
        ranks |= {
            i: 1 + sum(other < own for other in near) for i, own in zip(group, near, strict=True)
        }
    return [replace(row, rank=ranks[place]) for place, row in enumerate(rows)]


def second_names(problems: Iterable[tuple[str, str]]) -> list[str]:
    """Return a line for each experiment that repeats another one under a second name.

    Args:
        problems: experiment and problem of each group.
    """
    first: dict[str, str] = {}
    return [
        f"{experiment}: the same problem as {first[problem]}; theories are counted once"
        for experiment, problem in problems
        if first.setdefault(problem, experiment) != experiment
    ]


def keep_scores(store: Store, scores: Scores) -> None:
    """Write the rows of a folder's leaderboard to its ``scores.parquet``.

    A failure to write is only a warning: scores can be made again at any time.
    """
    path = store.root / "scores.parquet"
    try:
        if scores.rows:
            remedy = "the leaderboard is shown all the same"
            write_file(path, lambda opened: pq.write_table(_nested(scores.rows), opened), remedy)
        elif not not_a_file(path):
            path.unlink(missing_ok=True)  # scores of results that no longer exist
    except (StoreError, OSError) as error:
        LOG.warning("%s", error)


def _nested(rows: Sequence[ScoreRow]) -> pa.Table:
    """Return rows as a table, with lists and objects as JSON."""
    plain = [row.as_json() for row in rows]
    return pa.table(
        {
            name: [
                json.dumps(r[name]) if isinstance(r[name], dict | list) else r[name] for r in plain
            ]
            for name in plain[0]
        }
    )


def _nearness(row: ScoreRow) -> tuple[float, float]:
    """Order theories by their gap, and those with gap zero by the upper end of its interval.

    Both are rounded to `ALIKE`, so that one prediction by two programs has one rank.
    """
    gap, interval = row.limit_gap, row.limit_gap_ci
    if gap > 0:
        return round(gap / ALIKE) * ALIKE, 0.0
    return 0.0, np.inf if interval is None else round(interval[1] / ALIKE) * ALIKE


def _scored(observables: Sequence[str] | None, results: ProblemResults) -> Scores:
    """Return the scores of one problem, without ranks."""
    scores = Scores()
    score_problem(results, observables, scores)
    return scores


def score_problem(results: ProblemResults, wanted: Sequence[str] | None, scores: Scores) -> None:
    """Add the rows of a problem, without ranks, and theories that have none, to the scores.

    Args:
        results: networks and theories of the problem.
        wanted: observables to score out of `SCORED`, `ARRAYS` and one's own, which count where the
            experiment asks for it. None for `SCORED` and one's own.
        scores: takes the rows.
    """
    networks = results.networks
    if results.apart:
        scores.apart[results.experiment, results.problem] = results.apart
    own = (*SCORED, *results.scored)
    known = (*own, *ARRAYS)
    observables = own if wanted is None else [name for name in wanted if name in known]
    applicable = []
    for record, label in results.theories:
        theory = record.facts.solver.name
        if record.status == "done" and networks:
            applicable.append((record, label))
            continue
        reason = record.facts.message
        status: str = record.status
        if status == "done":
            if results.theories_alone:
                continue
            status, reason = "unscored", "no network is finished"
        missed = Unscored(results.experiment, theory, status, reason, results.problem)
        scores.unscored.append(missed)
    if not applicable:
        return
    programs = results.versions(applicable[0][0]).get("limitbench", "")
    if "," in programs:
        scores.notes.append(f"{results.name}: scored with cells of limitbench {programs}")
    results, values = _readable(results, observables, scores.notes)
    ensembles = {
        name: {n: np.stack([each[name][0] for each in v]) for n, v in values.items()}
        for name in observables
    }
    for record, label in applicable:
        theory = record.facts.solver.name
        try:
            predicted = final_values(record, observables)
            drawn = {name: replicates_of(record, name) for name in observables}
        except StoreError as error:
            missed = Unscored(results.experiment, theory, "unscored", str(error), results.problem)
            scores.unscored.append(missed)
            continue
        for name in observables:
            ensemble, (prediction, stderr) = ensembles[name], predicted[name]
            if reason := _misfit(ensemble, prediction, stderr, drawn[name]):
                scores.notes.append(f"{results.name}: {theory} is not scored on {name}: {reason}")
                if name == PRIMARY:
                    missed = Unscored(
                        results.experiment, theory, "unscored", reason, results.problem
                    )
                    scores.unscored.append(missed)
                continue
            found = score(ensemble, prediction, stderr, replicates=drawn[name])
            scores.rows.append(score_row(results, record, label, name, found))


def _readable(
    results: ProblemResults, observables: Sequence[str], notes: list[str]
) -> tuple[ProblemResults, dict[int, list[dict[str, Values]]]]:
    """Return results without networks whose curves cannot be read, and the others' values.

    Networks of one problem record the same points and steps; those that differ from the majority
    are left out, as are those that cannot be read. Each gets a note.
    """
    found: dict[str, dict[str, Values]] = {}
    allowance = Allowance(LARGEST)
    for record in (r for records in results.networks.values() for r in records):
        try:
            found[record.key] = final_values(record, observables, allowance)
        except StoreError as error:
            notes.append(f"{results.name}: {error}; ignored")
    sizes = {key: tuple(len(v[name][0]) for name in observables) for key, v in found.items()}
    usual = Counter(sizes.values()).most_common(1)
    kept: dict[int, list[CellRecord]] = {}
    for width, records in results.networks.items():
        for record in (r for r in records if r.key in found):
            if sizes[record.key] == usual[0][0]:
                kept.setdefault(width, []).append(record)
            else:
                notes.append(
                    f"{results.name}: {record.folder}: has other points or steps than"
                    " most networks; ignored"
                )
    chosen = {width: [found[r.key] for r in records] for width, records in kept.items()}
    return replace(results, networks=kept), chosen


def replicates_of(record: CellRecord, name: str) -> NDArray[Any] | None:
    """Return independent estimates of a theory, (replicates, values), in `final_values` order.

    Raises:
        StoreError: if the cell's arrays cannot be read.
    """
    drawn = record.array(f"stage{last_stage(record)}/{name}/replicates")
    vector = drawn is not None and name not in LOSSES and drawn.ndim == 3
    return drawn[:, -1] if drawn is not None and vector else drawn


def _misfit(
    ensemble: dict[int, NDArray[Any]],
    prediction: NDArray[Any],
    stderr: NDArray[Any] | None,
    drawn: NDArray[Any] | None,
) -> str:
    """Return the reason why a prediction cannot be scored against networks, or an empty string."""
    if not ensemble:
        return "no network can be read"
    points = next(iter(ensemble.values())).shape[1]
    numbers = f"({len(prediction)} values, networks have {points})"
    if len(prediction) != points:
        other = f"it has other points or steps {numbers}"
        return other if len(prediction) else "it does not predict it"
    if not np.any(prediction):
        return f"it predicts zero {numbers}"
    sizes = [np.abs(prediction).max(), *(np.abs(each).max() for each in ensemble.values())]
    sizes += [] if stderr is None else [stderr.max()]
    if drawn is not None:
        if drawn.shape[1:] != prediction.shape or not len(drawn):
            return f"its replicates have shape {drawn.shape} {numbers}"
        sizes.append(np.abs(drawn).max())
    # of single precision, and then the bound itself would overflow
    largest, first = float(max(sizes)), float(sizes[0])
    if largest > 1 / SMALLEST or first < SMALLEST:
        return f"its squares, or those of the networks, are too large or too small {numbers}"
    return ""
