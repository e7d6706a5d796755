"""The leaderboard: every theory scored on every experiment of one or more results folders."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from harness.errors import StoreError
from harness.processes import processes_for, shared
from harness.scoring.comparison import Comparison, comparisons
from harness.scoring.statistics import Score, score
from harness.store import CellRecord, Store
from harness.store.files import not_a_file, write_file
from harness.store.tables import Allowance, of_observables, thinned

LOG = logging.getLogger("harness.scoring")
PRIMARY = "output/test"
SCORED = (PRIMARY, "loss/test", "loss/train")
"""Observables of the last stage that are scored: the predictor at its end, and loss curves."""

LARGEST = 10_000_000
"""Recorded values of the networks of one experiment that are scored together at most."""

FEW = 10_000
"""Recorded values up to which a table is not worth thinning before it is used."""

SMALLEST = 1e-100
"""Magnitude of a prediction that can be scored at least, and one over the greatest."""

Row = dict[str, Any]
Values = tuple[NDArray[Any], NDArray[Any] | None]
"""An observable as one vector, and its standard errors."""


@dataclass(frozen=True)
class Unscored:
    """A theory without a score on an experiment.

    Attributes:
        experiment, theory: their names.
        status: "not-applicable" if the problem is outside its domain, "failed", or "unscored" if
            there is nothing to compare it with.
        reason: why.
        problem: as of `Comparison`.
    """

    experiment: str
    theory: str
    status: str
    reason: str
    problem: str


@dataclass(frozen=True)
class Scores:
    """What results folders say of theories.

    Attributes:
        rows: the leaderboard, sorted by rank, then by experiment.
        unscored: theories that have no row on an experiment.
        notes: what a reader must know: cells kept apart, predictions that cannot be scored.
    """

    rows: list[Row] = field(default_factory=list)
    unscored: list[Unscored] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def score_folders(stores: Sequence[Store], observables: Sequence[str] = SCORED) -> Scores:
    """Score every theory on every experiment and observable.

    Theories are ranked within a problem and observable, nearest limit first. Cells of the same
    problem in several folders are scored together; those that differ in the data, or in version,
    source or a parameter of any component, have rows of their own, and a note says so.

    Args:
        stores: results folders.
        observables: which of `SCORED` to score.

    Raises:
        StoreError: if a folder holds no results.
    """
    notes: list[str] = []
    return score_compared(comparisons(stores, notes), observables, notes)


def score_compared(
    compared: Sequence[Comparison],
    observables: Sequence[str],
    notes: Sequence[str],
    processes: int | None = None,
) -> Scores:
    """Score what was compared: see `score_folders`.

    Args:
        compared: networks and theories of the same problems.
        observables: which of `SCORED` to score.
        notes: what a reader must know of how they were compared.
        processes: that share the work; as many as pay if None.
    """
    from threadpoolctl import threadpool_limits

    scores = Scores(notes=[*notes, *_same_problems(compared)])
    with threadpool_limits(1):  # matrices are small: more threads only wait for each other
        cells = sum(len(c.theories) + sum(map(len, c.networks.values())) for c in compared)
        count = processes_for(cells) if processes is None else processes
        for found in shared(partial(_scored, observables), compared, count):
            scores.rows.extend(found.rows)
            scores.unscored.extend(found.unscored)
            scores.notes.extend(found.notes)
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in scores.rows:
        key = row["experiment"], row["problem"], row["observable"]
        groups.setdefault(key, []).append(row)
    for group in groups.values():
        for rank, row in enumerate(sorted(group, key=_nearness), start=1):
            row["rank"] = rank
    scores.rows.sort(key=lambda r: r["rank"])
    return scores


def _same_problems(compared: Sequence[Comparison]) -> list[str]:
    """Return a line for each experiment that is another one under a second name."""
    first: dict[str, str] = {}
    return [
        f"{each.experiment}: the same problem as {first[each.problem]}; theories are counted once"
        for each in compared
        if first.setdefault(each.problem, each.experiment) != each.experiment
    ]


def score_results(stores: Sequence[Store]) -> list[Row]:
    """Return the rows of `score_folders`, for tables and figures."""
    return score_folders(stores).rows


def leaderboard(store: Store) -> Scores:
    """Score a results folder and keep the rows in its ``scores.parquet``.

    Scores that cannot be kept are a warning: they can be made again at any time.
    """
    scores = score_folders([store])
    path = store.root / "scores.parquet"
    try:
        if scores.rows:
            remedy = "the leaderboard is shown all the same"
            write_file(path, lambda opened: pq.write_table(_nested(scores.rows), opened), remedy)
        elif not not_a_file(path):
            path.unlink(missing_ok=True)  # of results that are gone
    except (StoreError, OSError) as error:
        LOG.warning("%s", error)
    return scores


def _nested(rows: Sequence[Row]) -> pa.Table:
    """Return rows as a table in which lists and objects are JSON."""
    return pa.table(
        {
            name: [
                json.dumps(r[name]) if isinstance(r[name], dict | tuple | list) else r[name]
                for r in rows
            ]
            for name in rows[0]
        }
    )


def _nearness(row: Row) -> tuple[float, float]:
    """Order theories by their gap; those that reach zero, by how large it may still be."""
    interval = row["limit_gap_ci"]
    return row["limit_gap"], np.inf if interval is None else interval[1]


def last_stage(record: CellRecord) -> int:
    """Return the index of a cell's last stage."""
    return len(record.facts.dts) - 1


def observable(
    curves: pa.Table, stage: int, name: str
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]:
    """Return steps, values and standard errors of one observable of a cell, all flat."""
    import pyarrow.compute as pc

    found = curves.filter((pc.field("stage") == stage) & (pc.field("observable") == name))
    stderr = found["stderr"]
    return (
        found["step"].to_numpy(),
        found["value"].to_numpy(),
        None if stderr.null_count else stderr.to_numpy(),
    )


def _scored(observables: Sequence[str], comparison: Comparison) -> Scores:
    """Return the scores of one comparison, without ranks."""
    scores = Scores()
    _score_comparison(comparison, observables, scores)
    return scores


def _score_comparison(comparison: Comparison, observables: Sequence[str], scores: Scores) -> None:
    """Add the rows of a comparison, and what has none, to the scores."""
    networks = comparison.networks
    applicable = []
    for record, label in comparison.theories:
        theory = record.facts.solver.name
        if record.status == "done" and networks:
            applicable.append((record, label))
            continue
        reason = record.facts.message
        status: str = record.status
        if status == "done":
            if comparison.theories_alone:
                continue
            status, reason = "unscored", "no network is finished"
        missed = Unscored(comparison.experiment, theory, status, reason, comparison.problem)
        scores.unscored.append(missed)
    if not applicable:
        return
    programs = comparison.versions(applicable[0][0]).get("limitbench", "")
    if "," in programs:
        scores.notes.append(f"{comparison.experiment}: scored with cells of limitbench {programs}")
    comparison, values = _readable(comparison, observables, scores.notes)
    ensembles = {
        name: {n: np.stack([each[name][0] for each in v]) for n, v in values.items()}
        for name in observables
    }
    for record, label in applicable:
        theory = record.facts.solver.name
        try:
            predicted = final_values(record, observables)
            drawn = {name: _replicates(record, name) for name in observables}
        except StoreError as error:
            missed = Unscored(
                comparison.experiment, theory, "unscored", str(error), comparison.problem
            )
            scores.unscored.append(missed)
            continue
        for name in observables:
            ensemble, (prediction, stderr) = ensembles[name], predicted[name]
            if reason := _misfit(ensemble, prediction, stderr, drawn[name]):
                scores.notes.append(
                    f"{comparison.experiment}: {theory} is not scored on {name}: {reason}"
                )
                if name == PRIMARY:
                    missed = Unscored(
                        comparison.experiment, theory, "unscored", reason, comparison.problem
                    )
                    scores.unscored.append(missed)
                continue
            found = score(ensemble, prediction, stderr, replicates=drawn[name])
            scores.rows.append(_row(comparison, record, label, name, found))


def _readable(
    comparison: Comparison, observables: Sequence[str], notes: list[str]
) -> tuple[Comparison, dict[int, list[dict[str, Values]]]]:
    """Return a comparison without the networks whose curves are none, and the others' values.

    Networks of one problem record the same points and steps; those that differ from the most are
    left out, as are those that cannot be read. A note says so for each.
    """
    found: dict[str, dict[str, Values]] = {}
    allowance = Allowance(LARGEST)
    for record in (r for records in comparison.networks.values() for r in records):
        try:
            found[record.key] = final_values(record, observables, allowance)
        except StoreError as error:
            notes.append(f"{comparison.experiment}: {error}; ignored")
    sizes = {key: tuple(len(v[name][0]) for name in observables) for key, v in found.items()}
    usual = Counter(sizes.values()).most_common(1)
    kept: dict[int, list[CellRecord]] = {}
    for width, records in comparison.networks.items():
        for record in (r for r in records if r.key in found):
            if sizes[record.key] == usual[0][0]:
                kept.setdefault(width, []).append(record)
            else:
                notes.append(
                    f"{comparison.experiment}: {record.folder}: has other points or steps than"
                    " most networks; ignored"
                )
    chosen = {width: [found[r.key] for r in records] for width, records in kept.items()}
    return replace(comparison, networks=kept), chosen


def _replicates(record: CellRecord, name: str) -> NDArray[Any] | None:
    """Return independent estimates of a theory: (replicates, values), as `final_values` has them.

    Raises:
        StoreError: if the cell's arrays are none.
    """
    drawn = record.array(f"stage{last_stage(record)}/{name}/replicates")
    return drawn[:, -1] if drawn is not None and name == PRIMARY and drawn.ndim == 3 else drawn


def _misfit(
    ensemble: dict[int, NDArray[Any]],
    prediction: NDArray[Any],
    stderr: NDArray[Any] | None,
    drawn: NDArray[Any] | None,
) -> str:
    """Return why a prediction cannot be scored against networks, or an empty string."""
    if not ensemble:
        return "no network can be read"
    points = next(iter(ensemble.values())).shape[1]
    numbers = f"({len(prediction)} values, networks have {points})"
    if len(prediction) != points:
        return f"it has other points or steps {numbers}"
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
        return f"it, or the networks, are beyond what squares can be taken of {numbers}"
    return ""


def final_values(
    record: CellRecord, names: Sequence[str], allowance: Allowance | None = None
) -> dict[str, Values]:
    """Return observables of a cell's last stage, each as one vector.

    Args:
        record: a finished cell.
        names: of observables: the whole curve of a number, the values at the last step of a
            vector such as `PRIMARY`.
        allowance: of values that are in memory at once, for all cells that are compared.

    Raises:
        StoreError: if the cell's curves are none, or more than is allowed.
    """
    columns = ("stage", "observable", "step", "index", "value", "stderr")
    chosen = of_observables(*names)
    table = record.columns(
        *columns, keep=lambda part: part if len(part) < FEW else thinned(chosen(part))
    )
    called = table["observable"].combine_chunks()
    codes = dict(zip(called.dictionary.to_pylist(), range(len(called.dictionary)), strict=True))
    indices = called.indices.to_numpy()
    in_stage = table["stage"].to_numpy() == last_stage(record)
    step, value, stderr = (table[name].to_numpy() for name in ("step", "value", "stderr"))
    found = {}
    for name in names:
        wanted = in_stage & (indices == codes.get(name, -1))
        if name == PRIMARY and wanted.any():
            wanted &= step == step[wanted].max()
        errors = stderr[wanted]
        found[name] = (value[wanted], None if np.isnan(errors).any() else errors)
    if allowance is not None:
        count = sum(len(values) for values, _ in found.values())
        allowance.take(record.folder / "curves.parquet", count)
    return found


def _row(comparison: Comparison, record: CellRecord, label: str, name: str, found: Score) -> Row:
    facts, networks = record.facts, comparison.networks
    used = [r for records in networks.values() for r in records]
    training = sum(r.facts.seconds for r in used if _counts(r, found))
    return {
        "experiment": comparison.experiment,
        "problem": comparison.problem,
        "task": facts.task.name,
        "architecture": facts.architecture.name,
        "regime": facts.regime.name,
        "theory": facts.solver.name,
        "cell": record.key,
        "observable": name,
        "apart": ", ".join(text for text in (comparison.apart, label) if text) or None,
        "versions": comparison.versions(record),
        "sources": {kind: digest[:8] for kind, digest in facts.sources.items()},
        "widths": list(networks),
        "seeds": min(len(records) for records in networks.values()),
        **{
            k: {str(n): v for n, v in x.items()} if isinstance(x, dict) else x
            for k, x in vars(found).items()
        },
        "fit": vars(found.fit).copy(),
        "theory_seconds": facts.seconds,
        "network_seconds_same_error": _seconds_same_error(found, training),
        "complete": comparison.complete,
        "rank": 0,
    }


def _counts(record: CellRecord, found: Score) -> bool:
    """Return whether a network took part in the extrapolation."""
    return record.facts.solver.width not in found.dropped_widths


def _seconds_same_error(found: Score, training: float) -> float | None:
    """Return the training time after which the networks' own limit is as exact as the theory.

    The theory's error is its standard error and the gap found; the limit's variance falls as one
    over the number of seeds, so as one over the time. None if the theory has no error that can
    be told from zero, or the limit none that is known.
    """
    error2 = found.limit_gap**2 + found.theory_stderr**2
    if found.limit_stderr is None or error2 == 0:
        return None
    return training * found.limit_stderr**2 / error2
