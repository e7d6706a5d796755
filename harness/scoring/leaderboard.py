"""The leaderboard: every theory scored on every experiment of a results folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from harness.scoring.statistics import score
from harness.store import CellRecord, ExperimentResults, Store, experiments

PRIMARY = "output/test"
SCORED = (PRIMARY, "loss/test", "loss/train")
"""Observables of the last stage that are scored: the predictor at its end, and loss curves."""

Row = dict[str, Any]


def score_results(stores: Sequence[Store], problems: list[str] | None = None) -> list[Row]:
    """Return one row for each experiment, theory and observable, as the contract defines them.

    Theories are ranked within an experiment and observable, nearest limit first; rows are sorted
    by rank, then by experiment.

    Args:
        stores: results folders.
        problems: takes a line for each prediction that cannot be scored.

    Raises:
        StoreError: if a folder holds no results.
    """
    unscored: list[str] = [] if problems is None else problems
    found = [experiment for store in stores for experiment in experiments(store)]
    rows = [row for experiment in found for row in _score_experiment(experiment, unscored)]
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["experiment"], row["observable"]), []).append(row)
    for group in groups.values():
        for rank, row in enumerate(sorted(group, key=_nearness), start=1):
            row["rank"] = rank
    return sorted(rows, key=lambda r: r["rank"])


def _nearness(row: Row) -> tuple[float, float]:
    """Order theories by their gap; those that reach zero, by how large it may still be."""
    interval = row["limit_gap_ci"]
    return row["limit_gap"], np.inf if interval is None else interval[1]


def leaderboard(store: Store, problems: list[str] | None = None) -> list[Row]:
    """Score a results folder as `score_results` and keep the scores in ``scores.parquet``."""
    rows = score_results([store], problems)
    if rows:
        nested = {
            name: [
                json.dumps(r[name]) if isinstance(r[name], dict | tuple | list) else r[name]
                for r in rows
            ]
            for name in rows[0]
        }
        pq.write_table(pa.table(nested), store.root / "scores.parquet")
    return rows


def last_stage(record: CellRecord) -> int:
    """Return the index of a cell's last stage."""
    return len(record.facts["dts"]) - 1


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


def _score_experiment(experiment: ExperimentResults, problems: list[str]) -> list[Row]:
    networks = experiment.networks()
    theories = experiment.theories()
    if not networks or not theories:
        return []
    stage = last_stage(next(iter(theories.values())))
    curves = {r.key: r.curves() for records in networks.values() for r in records}
    predictions = {name: record.curves() for name, record in theories.items()}
    rows = []
    for name in SCORED:
        ensemble = {
            width: np.stack([_final(curves[r.key], stage, name)[0] for r in records])
            for width, records in networks.items()
        }
        points = next(iter(ensemble.values())).shape[1]
        for theory, record in theories.items():
            values, stderr = _final(predictions[theory], stage, name)
            if len(values) != points or not np.any(values):
                what = "predicts zero" if len(values) == points else "has other points or steps"
                problems.append(
                    f"{experiment.name}: {theory} is not scored on {name}: it {what}"
                    f" ({len(values)} values, networks have {points})"
                )
                continue
            found = score(ensemble, values, stderr)
            rows.append(_row(experiment, record, theory, name, asdict(found)))
    return rows


def _final(curves: pa.Table, stage: int, name: str) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return an observable of a stage as one vector: a whole curve, or a vector at the end."""
    steps, values, stderr = observable(curves, stage, name)
    if name == PRIMARY and len(steps):
        last = steps == steps.max()
        return values[last], None if stderr is None else stderr[last]
    return values, stderr


def _row(
    experiment: ExperimentResults,
    record: CellRecord,
    theory: str,
    name: str,
    found: Mapping[str, Any],
) -> Row:
    facts = record.facts
    networks = experiment.networks()
    return {
        "experiment": experiment.name,
        "task": facts["task"]["name"],
        "architecture": facts["architecture"]["name"],
        "regime": facts["regime"]["name"],
        "theory": theory,
        "observable": name,
        "widths": list(networks),
        "seeds": min(len(records) for records in networks.values()),
        **{
            k: {str(n): v for n, v in x.items()} if isinstance(x, dict) else x
            for k, x in found.items()
        },
        "theory_seconds": facts["seconds"],
        "complete": experiment.missing == 0 and not experiment.with_status("failed"),
        "rank": 0,
    }
