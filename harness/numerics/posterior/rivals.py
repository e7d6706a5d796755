"""Approximate theories of the stationary state of two layers, through the stages of a problem."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.numerics.posterior.ends import Noted, StageEnd, TrainedStage
from harness.numerics.posterior.gaussian_adaptation import (
    GaussianAdaptation,
    solve_gaussian_adaptation,
)
from harness.numerics.posterior.kernel_rescaling import KernelRescaling, solve_kernel_rescaling
from harness.numerics.posterior.march import through_stages
from harness.numerics.posterior.sampled_state import ConvergenceError
from harness.numerics.problem import Observe, ProblemArrays, Solved
from harness.numerics.solver_error import SolverError


def solve_rescaled(
    problem: ProblemArrays, settings: None, samples: int, observe: Observe, known: None
) -> Solved[None]:
    """Find the end of every stage by `solve_kernel_rescaling`.

    Args:
        problem: of one hidden layer; its stages have decay, those that train all weights a
            temperature, and none is coupled.
        settings: ignored.
        samples: ignored.
        observe: receives the end of every stage.
        known: ignored.
    """
    return Solved(through_stages(problem, 1, _rescaled_end, observe), None)


def solve_adapted(
    problem: ProblemArrays, settings: None, samples: int, observe: Observe, known: None
) -> Solved[None]:
    """Find the end of every stage by `solve_gaussian_adaptation`; see `solve_rescaled`.

    Raises:
        SolverError: if the best Gaussian law of a stage is not found.
    """
    return Solved(through_stages(problem, 1, _adapted_end, observe), None)


def _rescaled_end(task: TrainedStage) -> Noted:
    solved = solve_kernel_rescaling(task.gram, task.y[0], **_numbers(task))
    return _end(task, solved), {"scale": solved.scale, "residual": solved.residual}


def _adapted_end(task: TrainedStage) -> Noted:
    factor, directions = task.factor
    try:
        solved = solve_gaussian_adaptation(
            factor, task.y[0], directions=directions, **_numbers(task)
        )
    except ConvergenceError as error:
        raise SolverError(
            error.reason,
            f"use a higher temperature ({task.rates.temperature:g}) or a lower richness"
            f" ({task.rates.richness:g})",
        ) from None
    return _end(task, solved), {"residual": solved.residual, "minimiser-steps": solved.steps}


def _numbers(task: TrainedStage) -> dict[str, Any]:
    """Return the activation and the rates that both theories take."""
    rates = task.rates
    return {
        "activation": task.problem.activation,
        "richness": rates.richness,
        "decay": rates.decay,
        "temperature": rates.temperature,
    }


def _end(task: TrainedStage, solved: KernelRescaling | GaussianAdaptation) -> StageEnd:
    """Return the end of a stage from a solution in the order of its points."""
    order = task.order
    kernels = order.restored(solved.kernel[None, None], 2, 3)
    variances = order.restored(np.asarray(solved.variances)[None], 1)
    return StageEnd(order.restored(solved.output[None], 1), kernels, variances=variances)
