"""A stage's observables with their errors, from solutions and replicates; and when to stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from harness.numerics.sampling.window import halves_ratio, window_mean
from harness.observables.recorded import recorded_curves
from harness.observables.sets import Sets
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
            # kernels and densities are large, and nothing asks how their errors are correlated
            kept = values if values.ndim <= 3 else None
            found[name] = Observable(at, values.mean(axis=0), spread, kept)
        else:
            found[name] = Observable(at, values)
    return found


def solved_observables(
    steps: NDArray[np.int64],
    sets: Sets,
    y: Float[np.ndarray, " points"],
    outputs: Sequence[Float[np.ndarray, "records points"]],
    kernels: Sequence[Float[np.ndarray, "records points points"]],
    final: Sequence[Mapping[str, Any]],
) -> dict[str, Observable]:
    """Make a stage's observables from independent solutions, or from a single exact one.

    Args:
        steps: recorded steps, (R,).
        sets: where the stage's sets lie.
        y: labels of all points that the stage looks at.
        outputs: centred predictor at recorded steps, of every solution.
        kernels: the last layer's feature kernel there, of every solution.
        final: snapshot at the stage's end by name, of every solution.
    """
    curves = [
        {n: np.asarray(v) for n, v in recorded_curves(sets, y, f, k).items()}
        for f, k in zip(outputs, kernels, strict=True)
    ]
    replicated = len(curves) > 1

    def gather(parts: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
        if not replicated:
            return {name: np.asarray(value) for name, value in parts[0].items()}
        return {name: np.stack([np.asarray(part[name]) for part in parts]) for name in parts[0]}

    return stage_observables(steps, gather(curves), gather(final), replicated)


def stationary_observables(
    steps: int, blocks: Mapping[str, NDArray[Any]], replicated: bool = False
) -> dict[str, Observable]:
    """Make the averages over a stage's stationary window from their block means.

    Args:
        steps: number of steps of the stage.
        blocks: block means of curves and snapshots by name, each (blocks, ...), or
            (blocks, replicates, ...); empty if there is no window.
        replicated: whether there is an axis of independent replicates, whose spread gives the
            standard error; it comes from the autocorrelation of the blocks otherwise.

    Returns:
        ``loss/test`` averaged is ``stationary/loss-test``, and so on, at the last step.
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
    """Return what tells whether a stage's window is stationary; empty if there is no window.

    Args:
        index: 0-based stage.
        stage: the stage, with a temperature.
        blocks: as for `stationary_observables`, with ``output/test`` among them.

    Returns:
        ``stage<k>/relaxation-times``, how many times 1 / decay ran before the window and again
        within it, and ``stage<k>/halves``, the distance between the predictor's averages over the
        halves of the window in units of its expectation: about 1 if the window is stationary.
    """
    if not blocks:
        return {}
    return {
        f"stage{index}/relaxation-times": stage.steps / 2 * stage.step_size * stage.decay,
        f"stage{index}/halves": halves_ratio(blocks["output/test"]),
    }


def predictor_error(found: Trajectory) -> float:
    """Return the largest standard error of a stage's test predictor, relative to its norm.

    Outputs of 1e-6 and less are rounding errors of zero, and count as 1e-6.
    """
    errors = []
    for stage in found.stages:
        output = stage["output/test"]
        norm = max(float(np.linalg.norm(output.values)), 1e-6 * output.values.size**0.5)
        spread = 0.0 if output.stderr is None else float(np.linalg.norm(output.stderr))
        errors.append(spread / norm)
    return max(errors)


def until_accurate(
    solve: Callable[[int], Trajectory], target: float, first: int, most: int
) -> Trajectory:
    """Solve with more and more samples until the error of the test predictor is small enough.

    Args:
        solve: solves with about so many samples in all, over replicates, and notes how many it
            has taken as ``samples``.
        target: `predictor_error` to reach.
        first: samples to begin with.
        most: samples that the target error gives way to; `first` for a number that is given.
    """
    samples = first
    while True:
        found = solve(samples)
        missing = (predictor_error(found) / target) ** 2
        samples = max(samples, int(found.notes["samples"]))
        if missing <= 1 or samples >= most:
            return found
        # errors fall at least like the square root; aim a little below the target
        samples = min(most, int(np.ceil(samples * min(16.0, 1.2 * missing))))
