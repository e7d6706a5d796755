"""What figures are drawn from: observables of an experiment's cells as arrays and frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from harness.scoring import PRIMARY
from harness.scoring.leaderboard import last_stage, observable
from harness.store import CellRecord, ExperimentResults


@dataclass(frozen=True)
class Predictions:
    """Centred outputs on the test points of the last stage, at its end.

    Attributes:
        width: of the networks, the widest there is.
        seeds: number of networks.
        network: their mean on every point, (points,).
        network_stderr: its standard error; None with a single network.
        theory: the theory's prediction, (points,).
        theory_stderr: its standard error; None where the theory gives none.
    """

    width: int
    seeds: int
    network: Float[NDArray[Any], " points"]
    network_stderr: Float[NDArray[Any], " points"] | None
    theory: Float[NDArray[Any], " points"]
    theory_stderr: Float[NDArray[Any], " points"] | None


def stage_names(experiment: ExperimentResults) -> list[str]:
    """Return what the stages of an experiment are called, in order.

    Two stages are source and target, as in every built-in regime; one is the target.
    """
    done = experiment.with_status("done")
    count = last_stage(done[0]) + 1 if done else 0
    named = {0: [], 1: ["target"], 2: ["source", "target"]}
    return named.get(count, [f"stage {k}" for k in range(1, count + 1)])


def network_curves(experiment: ExperimentResults, name: str) -> pd.DataFrame:
    """Return an observable of every network: columns width, seed, stage, step and value."""
    parts = [
        _curve(record, name).assign(width=width, seed=record.facts["solver"]["seed"])
        for width, records in experiment.networks().items()
        for record in records
    ]
    return _concatenate(parts, ["stage", "step", "value", "stderr", "width", "seed"])


def theory_curves(experiment: ExperimentResults, name: str) -> pd.DataFrame:
    """Return an observable of every theory: columns theory, stage, step, value and stderr."""
    parts = [
        _curve(record, name).assign(theory=theory)
        for theory, record in experiment.theories().items()
    ]
    return _concatenate(parts, ["stage", "step", "value", "stderr", "theory"])


def predictions(experiment: ExperimentResults, theory: str) -> Predictions | None:
    """Return test outputs of the widest networks and of a theory; None where one is missing."""
    networks, record = experiment.networks(), experiment.theories().get(theory)
    if not networks or record is None:
        return None
    width = max(networks)
    outputs = [_final_output(r)[0] for r in networks[width]]
    predicted, stderr = _final_output(record)
    if not predicted.size or any(o.shape != predicted.shape for o in outputs):
        return None
    stacked = np.stack(outputs)
    spread = stacked.std(axis=0, ddof=1) / np.sqrt(len(stacked)) if len(stacked) > 1 else None
    return Predictions(width, len(stacked), stacked.mean(axis=0), spread, predicted, stderr)


def _curve(record: CellRecord, name: str) -> pd.DataFrame:
    curves = record.curves()
    parts = []
    for stage in range(last_stage(record) + 1):
        steps, values, stderr = observable(curves, stage, name)
        parts.append(
            pd.DataFrame(
                {
                    "stage": np.full(len(steps), stage),
                    "step": steps,
                    "value": values,
                    "stderr": np.full(len(steps), np.nan) if stderr is None else stderr,
                }
            )
        )
    return _concatenate(parts, ["stage", "step", "value", "stderr"])


def _final_output(record: CellRecord) -> tuple[NDArray[Any], NDArray[Any] | None]:
    steps, values, stderr = observable(record.curves(), last_stage(record), PRIMARY)
    last = steps == steps.max() if len(steps) else np.zeros(0, dtype=bool)
    return values[last], None if stderr is None else stderr[last]


def _concatenate(parts: Sequence[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=columns)
