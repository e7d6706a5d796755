"""Stationary states of the stages of a problem, one after the other, without marching in time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from harness.numerics.posterior.ends import (
    Noted,
    StageEnd,
    StageOrder,
    TrainedStage,
    UnitSampling,
    drawn_end,
    end_without_noise,
    initial_end,
    linear_end,
    regressed_end,
)
from harness.numerics.problem import KernelView, Observe, ProblemArrays, Solved
from harness.numerics.solver_error import SolverError

LEAST_UNITS = 32
LEAST_OBSERVATIONS = 8
MOST_AGAIN = 4
"""Factor of the units up to which a search that does not settle is repeated."""


class StationarySettings(NamedTuple):
    """Settings of `solve_stationary`.

    Attributes:
        replicates: independent solutions.
        units: units of a replicate and layer; a lower bound where weights are coupled.
        most: most units of a replicate.
        given: whether the number of units is fixed.
        observations: number of observations of coupled units.
        weighted: whether draws are weighted where that suffices, rather than moved.
        coupled: whether units are coupled to quenched weights, drawn once for each unit.
        precision: of the units.
        seed: of the draws.
    """

    replicates: int
    units: int
    most: int
    given: bool
    observations: int
    weighted: bool
    coupled: bool
    precision: Literal["float32", "float64"]
    seed: int

    def sampling(self, samples: int) -> UnitSampling:
        """Return the settings for about `samples` samples over all replicates."""
        units, observations = self.units, self.observations
        if self.coupled:
            wanted = samples / self.replicates / observations
            units = max(LEAST_UNITS, 2 ** int(np.ceil(np.log2(wanted))))
        else:
            observations = max(LEAST_OBSERVATIONS, round(samples / self.replicates / units))
        units = self.units if self.given else min(units, self.most)
        return UnitSampling(
            units,
            observations,
            most=units * (1 if self.given or self.coupled else MOST_AGAIN),
            weighted=self.weighted,
            precision=self.precision,
            seed=self.seed,
        )


def solve_stationary(
    problem: ProblemArrays,
    settings: StationarySettings,
    samples: int,
    observe: Observe,
    known: None,
) -> Solved[None]:
    """Find the stationary state of every stage.

    Args:
        problem: whose stages have decay.
        settings: of the solver.
        samples: of hidden units, over replicates; 0 where equations in closed form suffice.
        observe: receives the end of every stage.
        known: ignored.

    Raises:
        SolverError: if a stage has no stationary state, or none is found.
    """
    replicates = settings.replicates if samples else 1
    notes: dict[str, float | int] = {"samples": 0, "replicates": replicates}
    sampling = settings.sampling(samples) if samples else None
    if sampling is not None:
        drawn = replicates * sampling.units
        notes |= {"samples": drawn * sampling.observations, "units": drawn}

    def trained_end(task: TrainedStage) -> Noted:
        if sampling is None and problem.activation in ("linear", "he1"):
            return linear_end(task)
        if task.rates.temperature <= 0:
            return end_without_noise(task, settings.seed)
        assert sampling is not None
        return drawn_end(task, sampling)

    return Solved(notes | through_stages(problem, replicates, trained_end, observe), None)


def through_stages(
    problem: ProblemArrays,
    replicates: int,
    trained_end: Callable[[TrainedStage], Noted],
    observe: Observe,
) -> dict[str, float]:
    """Show the end of every stage; return the notes of its solution, by stage.

    Args:
        problem: whose stages have decay.
        replicates: number of independent solutions.
        trained_end: solves a stage that trains all weights; others keep the features before them.
        observe: receives the end of every stage.

    Raises:
        SolverError: if a stage has no stationary state, or none is found.
    """
    end: StageEnd | None = None
    before = np.zeros((replicates, len(problem.x)))
    notes: dict[str, float] = {}
    for index, stage in enumerate(problem.stages):
        rates, order = stage.rates, StageOrder.of(stage, len(problem.x))
        # f of the previous stage in the scale of this one, where training starts
        start = before / rates.richness * (stage.readout == "keep" and index > 0 and stage.center)
        y = stage.y + start[:, stage.train]
        if stage.frozen:
            features = end or initial_end(problem, replicates)
            end = regressed_end(features, order, y, rates.decay)
        else:
            try:
                end, noted = trained_end(TrainedStage(problem, index, order, y, end))
            except SolverError as error:
                raise SolverError(f"stage {index}: {error.reason}", error.advice) from None
            notes |= {f"stage{index}/{name}": value for name, value in noted.items()}
        before = end.output * rates.richness
        _show(problem, index, end, end.output - start, observe)
    return notes


def _show(
    problem: ProblemArrays,
    index: int,
    end: StageEnd,
    output: np.ndarray,
    observe: Observe,
) -> None:
    """Show the end of a stage, with its predictor centred."""
    stage = problem.stages[index]
    own = stage.seen

    def view(replicate: int) -> KernelView:
        kernels = end.kernels[replicate][:, own][:, :, own]
        draws = end.preactivations
        return KernelView(
            output[replicate, own],
            lambda rows, columns: kernels[-1, rows, columns],
            kernels,
            None if draws is None else [h[replicate, own] for h in draws],
            None if end.variances is None else end.variances[:, own],
        )

    observe(index, stage.steps, view, len(output))
