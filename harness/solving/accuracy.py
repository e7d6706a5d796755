"""Samples until the error of a theory is small enough."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from harness import numerics
from harness.records import Problem, Trajectory
from harness.solving.stages import solve_further

MOST_GROWTH = 16.0
"""Largest growth of the samples from one solution to the next."""

S = TypeVar("S")
K = TypeVar("K")


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
    problem: Problem,
    solver: numerics.Solver[S, K],
    settings: S,
    *,
    target: float,
    first: int,
    most: int,
) -> Trajectory:
    """Solve with more and more samples until the error of the test predictor is small enough.

    Every solution receives the `known` of the previous one.

    Args:
        problem: problem to solve.
        solver: notes its total samples, over replicates, as ``samples``.
        settings: of the solver.
        target: `predictor_error` to reach.
        first: samples of the first solution.
        most: most samples, whatever the error; equal to `first` for a given number.

    Raises:
        LimitbenchError, DivergenceError: as `solve_problem`.
    """
    samples = first
    before: numerics.Solved[K] | None = None
    while True:
        found, before = solve_further(problem, solver, settings, samples, before)
        missing = (predictor_error(found) / target) ** 2
        samples = max(samples, int(found.notes["samples"]))
        if missing <= 1 or samples >= most:
            return found
        # errors fall at least as the inverse square root; aim a little below the target
        samples = min(most, int(np.ceil(samples * min(MOST_GROWTH, 1.2 * missing))))
