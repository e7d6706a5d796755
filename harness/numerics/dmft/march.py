"""DMFT of a problem in replicates; their number and size follow the error to reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from harness.numerics.dmft.causal_pass import RankError, StageSolution, solve
from harness.numerics.dmft.fields import Activation
from harness.numerics.dmft.linear import solve_deep_linear
from harness.numerics.dmft.noise import Dtype
from harness.numerics.kernels.activations import activation, derivative
from harness.numerics.problem import (
    KernelView,
    Observe,
    ProblemArrays,
    Solved,
    StageArrays,
    UnitView,
)
from harness.numerics.solver_error import SolverError

Solutions = Mapping[int, Sequence[list[StageSolution]]]
"""Solved replicates, each a list of its stages, by the samples of a replicate."""

MORE_REPLICATES = 1.5
"""Growth of the total samples up to which, at least, replicates are added."""
SAMPLES_TO_REPLICATES = 32
"""Least samples of a replicate, per replicate, where more replicates are taken: their programs are
compiled already, while more samples in each also reduce bias. Bias, about 1 / S, stays below the
error, about 0.3 / sqrt(R S) in small problems."""
SAMPLES_EXPONENT = 0.8
"""Exponent that reduces the growth of samples from that of errors like 1 / sqrt(S): errors mostly
fall faster, like S^-0.49 to S^-0.63; where they do not, samples are added again."""


class DMFTSettings(NamedTuple):
    """Settings of `solve_dmft`.

    Attributes:
        replicates: independent solutions at first; more are multiples of them.
        precision: of the fields.
        seed: of the samples.
        tolerance: relative variance below which a direction of the history is dropped.
        first: samples of a replicate in the first solution.
        most: most samples of a replicate.
        most_replicates: most replicates.
        side_by_side: samples of all replicates that run together.
        bound: name of the bound on the samples, for error messages.
        responses: whether to keep the response functions A and B.
    """

    replicates: int
    precision: Dtype
    seed: int
    tolerance: float
    first: int
    most: int
    most_replicates: int
    side_by_side: int
    bound: str
    responses: bool = True

    def together(self, samples: int) -> int:
        """Return the number of replicates of so many samples that run side by side."""
        return max(1, min(self.replicates, self.side_by_side // samples))


def solve_dmft(
    problem: ProblemArrays,
    settings: DMFTSettings,
    samples: int,
    observe: Observe,
    known: Solutions | None,
) -> Solved[Solutions]:
    """Solve networks of any depth in independent replicates, linear ones once and exactly.

    Args:
        problem: without temperature.
        settings: of the solver.
        samples: total over replicates; a small increase, or one beyond the memory bound, adds
            replicates instead of samples in each.
        observe: receives every stage.
        known: replicates that were solved before.

    Raises:
        SolverError: if a history explores more directions than the samples resolve.
    """
    # fresh weights answer the history with noise that only a sample can draw
    redrawn = any(stage.redrawn for stage in problem.stages[1:])
    if problem.activation == "linear" and not redrawn:
        exact = solve_deep_linear(
            problem.gram,
            problem.stages,
            depth=problem.depth,
            branch_scale=problem.branch_scale,
            responses=settings.responses,
        )
        _show(problem.stages, [exact], observe, activation(problem.activation))
        return Solved({"samples": 0}, {})
    solutions = {n: list(found) for n, found in (known or {}).items()}
    size, replicates = _wanted(settings, samples, solutions)
    points = sum(len(stage.train) for stage in problem.stages)
    phi = activation(problem.activation)
    gram, slope = problem.gram, derivative(phi)
    while True:
        found = solutions.setdefault(size, [])
        # room for directions, given the numbers explored with other samples
        others = [f for n in solutions if n != size for f in solutions[n]]
        capacity = room(points, [int(f[-1].rank.max(initial=0)) for f in others])
        try:
            while len(found) < replicates:
                end = min(len(found) + settings.together(size), replicates)
                found += solve(
                    gram,
                    problem.stages,
                    depth=problem.depth,
                    phi=phi,
                    slope=slope,
                    samples=size,
                    seeds=[(settings.seed, r) for r in range(len(found), end)],
                    branch_scale=problem.branch_scale,
                    tolerance=settings.tolerance,
                    capacity=capacity,
                    dtype=settings.precision,
                    responses=settings.responses,
                    shown=problem.units,
                )
        except RankError as error:
            if size >= settings.most:
                raise SolverError(
                    str(error), f"{size} samples a replicate are the bound of {settings.bound}"
                ) from None
            size *= 2
            continue
        _show(problem.stages, found, observe, phi)
        return Solved({"samples": size * len(found), "replicates": len(found)}, solutions)


def room(points: int, explored: Sequence[int] = ()) -> int:
    """Return room for the directions of the history that training may explore.

    Args:
        points: that stages train on.
        explored: directions that other solutions have explored.
    """
    return 32 * int(np.ceil(max(64, 4 * points + 24, *(points + n for n in explored)) / 32))


def _wanted(settings: DMFTSettings, samples: int, known: Solutions) -> tuple[int, int]:
    """Return samples of a replicate, and replicates, for a total of `samples`."""
    size = max([settings.first, *known])
    count = len(known.get(size, []))
    more = samples / (settings.replicates * size)
    enough = max(MORE_REPLICATES, size / (SAMPLES_TO_REPLICATES * settings.replicates))
    if size < settings.most and (more > enough or count >= settings.most_replicates):
        factor = 2 ** max(1, round(SAMPLES_EXPONENT * np.log2(more)))
        size, count, more = min(settings.most, size * factor), 0, 1.0
    sets = max(count // settings.replicates + 1, round(more))
    return size, min(settings.most_replicates, settings.replicates * sets)


def _show(
    stages: Sequence[StageArrays],
    solutions: Sequence[list[StageSolution]],
    observe: Observe,
    phi: Activation,
) -> None:
    for index, stage in enumerate(stages):

        def view(replicate: int, index: int = index) -> KernelView:
            found = solutions[replicate][index]

            def kernel(rows: slice, columns: slice) -> Float64[np.ndarray, "records rows columns"]:
                return found.last_kernels[:, rows, columns]

            output = np.concatenate([found.train, found.query], axis=1)
            shown = KernelView(output, kernel, found.kernels, list(found.preactivations))
            if found.units is None:
                return shown
            ends = zip((output[0], output[-1]), found.units, strict=True)
            start, end = (UnitView(f, h, [np.asarray(phi(each)) for each in h]) for f, h in ends)
            return shown._replace(units=(start, end))

        observe(index, stage.records, view, len(solutions))
