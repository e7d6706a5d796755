"""A stage's observables with their errors, from solutions and replicates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.numerics.sampling.window import halves_ratio, window_mean
from harness.records import Observable, Stage, Trajectory


def stage_observables(
    steps: NDArray[np.int64],
    recorded: Mapping[str, NDArray[Any]],
    final: Mapping[str, NDArray[Any]],
    replicated: bool = False,
) -> dict[str, Observable]:
    """Make a stage's observables from curves and the snapshot at its end.

    Args:
        steps: recorded steps, (R,).
        recorded: curves by name, each (R,), or (replicates, R).
        final: snapshot by name, each (...), or (replicates, ...).
        replicated: whether arrays lead with an axis of independent replicates; their mean is the
            value, their spread gives its standard error.
    """
    found = {}
    shaped = {name: (steps, v) for name, v in recorded.items()} | {
        name: (steps[-1:], np.expand_dims(v, int(replicated))) for name, v in final.items()
    }
    for name, (at, values) in shaped.items():
        if replicated:
            spread = values.std(axis=0, ddof=1) / np.sqrt(len(values))
            # kernels and densities are large, and nothing needs the correlation of their errors
            kept = values if values.ndim <= 3 else None
            found[name] = Observable(at, values.mean(axis=0), spread, kept)
        else:
            found[name] = Observable(at, values)
    return found


def stationary_observables(
    steps: int, blocks: Mapping[str, NDArray[Any]], replicated: bool = False
) -> dict[str, Observable]:
    """Make the averages over a stage's stationary window from their block means.

    Args:
        steps: number of steps of the stage.
        blocks: block means of curves and snapshots by name, each (blocks, ...), or
            (blocks, replicates, ...); empty if there is no window.
        replicated: whether there is an axis of independent replicates, whose spread gives the
            standard error; otherwise the autocorrelation of the blocks gives it.

    Returns:
        Averages at the last step, ``stationary/loss-test`` for ``loss/test`` and so on.
    """
    found = {}
    for name, values in blocks.items():
        if replicated:
            means = values.mean(axis=0)
            mean, stderr = means.mean(axis=0), means.std(axis=0, ddof=1) / np.sqrt(len(means))
        else:
            mean, stderr = window_mean(values)
        found[stationary_name(name)] = Observable(np.array([steps]), mean[None], stderr[None])
    return found


def stationary_name(name: str) -> str:
    """Return the name of an observable's average over the stationary window."""
    return "stationary/" + name.replace("/", "-")


def stationary_notes(
    index: int, stage: Stage, blocks: Mapping[str, NDArray[Any]]
) -> dict[str, float]:
    """Return indicators of the stationarity of a stage's window; empty if there is no window.

    Args:
        index: 0-based stage.
        stage: the stage, with a temperature.
        blocks: as for `stationary_observables`, with ``output/test`` among them.

    Returns:
        ``stage<k>/relaxation-times``, the number of times 1 / decay before the window and again
        within it, and ``stage<k>/halves``, the distance between the predictor's averages over the
        halves of the window in units of its expectation: about 1 if the window is stationary.
    """
    if not blocks:
        return {}
    return {
        f"stage{index}/relaxation-times": stage.steps / 2 * stage.step_size * stage.decay,
        f"stage{index}/halves": halves_ratio(blocks["output/test"]),
    }


def also_stationary(found: Trajectory) -> Trajectory:
    """Return a trajectory of stationary states, whose observables are also stationary averages."""
    stages = [
        {**stage} | {stationary_name(n): v for n, v in stage.items()} for stage in found.stages
    ]
    return Trajectory(tuple(stages), found.notes)
