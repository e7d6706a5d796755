"""The end of a stage of training with decay, on a problem's points, given the stage before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import jax
import numpy as np
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from harness.numerics.kernels.lazy import lazy_kernels
from harness.numerics.kernels.ridge import ridge_regression
from harness.numerics.posterior.coupled_linear import (
    initial_reference,
    solve_coupled_linear,
    stationary_reference,
)
from harness.numerics.posterior.decayed_units import solve_decayed_units
from harness.numerics.posterior.layers import solve_stationary_layers
from harness.numerics.posterior.mixture import solve_stationary_mixture
from harness.numerics.posterior.sampled_state import ConvergenceError, SampledState, UnitRates
from harness.numerics.posterior.stationary_linear import (
    solve_decayed_linear,
    solve_stationary_linear,
)
from harness.numerics.posterior.units import solve_stationary_units
from harness.numerics.problem import ProblemArrays, StageArrays, StageRates
from harness.numerics.sampling.gaussian import gram_factor
from harness.numerics.solver_error import SolverError

LARGEST_RESIDUAL = 0.05
"""Largest residual of the fixed point, and largest standard error of it, relative to the labels;
beyond either, the solver raises an error."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class StageEnd:
    """State at the end of a stage, on all points of a problem.

    Attributes:
        output: the predictor, (replicates, points).
        kernels: feature kernels, (replicates, layers, points, points).
        preactivations: of sampled units, (replicates, points, units) for every layer; else None.
        variances: of Gaussian pre-activations, (layers, points); else None.
        weights: weights to which a later stage may be coupled: the units', or those of a linear
            network's stationary law; None for the initial draw.
    """

    output: Float[np.ndarray, "replicates points"]
    kernels: Float[np.ndarray, "replicates layers points points"]
    preactivations: tuple[Float[np.ndarray, "replicates points units"], ...] | None = None
    variances: Float[np.ndarray, "layers points"] | None = None
    weights: Any = None


@dataclass(frozen=True)
class UnitSampling:
    """Settings of the draws of a replicate's hidden units.

    Attributes:
        units: number of units.
        observations: number of observations of the units.
        most: most units, drawn where a search fails with fewer.
        weighted: whether draws are weighted where that suffices, rather than moved.
        precision: arithmetic of the units.
        seed: of the draws.
    """

    units: int
    observations: int
    most: int
    weighted: bool
    precision: Literal["float32", "float64"]
    seed: int


@dataclass(frozen=True, eq=False)
class StageOrder:
    """Order of all points of a problem for a stage's solvers: first the points that it observes.

    Attributes:
        indices: into the points of the problem, (points,), beginning with `StageArrays.seen`.
    """

    indices: Int64[np.ndarray, " points"]

    @classmethod
    def of(cls, stage: StageArrays, points: int) -> StageOrder:
        """Return the order of a stage, training points first."""
        return cls(np.concatenate([stage.seen, np.setdiff1d(np.arange(points), stage.seen)]))

    def restored(self, values: NDArray[Any], *axes: int) -> NDArray[Any]:
        """Return values in the problem's order, from this order along the given axes."""
        back = np.argsort(self.indices)
        for axis in axes:
            values = np.take(values, back, axis)
        return values


@dataclass(frozen=True)
class TrainedStage:
    """A stage that trains all weights, as input of its solvers.

    Attributes:
        problem, index: the problem, and the number of the stage.
        order: order of the points for its solvers.
        y: labels on the training points, (replicates, train).
        before: end of the previous stage; weights may be coupled to its units.
    """

    problem: ProblemArrays
    index: int
    order: StageOrder
    y: Float[np.ndarray, "replicates train"]
    before: StageEnd | None

    @property
    def rates(self) -> StageRates:
        """The numbers of the stage."""
        return self.problem.stages[self.index].rates

    @property
    def gram(self) -> Float[np.ndarray, "points points"]:
        """K_x between all points, in the stage's order."""
        indices = self.order.indices
        return self.problem.gram[np.ix_(indices, indices)]

    @property
    def factor(self) -> tuple[Float[np.ndarray, "points rank"], int]:
        """E with E E^T = K_x in the stage's order, and the number of columns of training."""
        trained = self.problem.trained
        factor = gram_factor(self.problem.x, np.eye(len(trained))[:, trained])
        return factor[self.order.indices], min(int(trained.sum()), factor.shape[1])


Noted = tuple[StageEnd, dict[str, float]]
"""The end of a stage, and notes on its solution."""


def end_without_noise(task: TrainedStage, seed: int) -> Noted:
    """Return the end of a stage of two-layer units at temperature 0, by convex optimisation.

    Args:
        task: the stage.
        seed: of the random directions of the search.

    Raises:
        SolverError: if there is none, or it is not found.
    """
    factor, directions = task.factor
    rates, order = task.rates, task.order
    solved = solve_decayed_units(
        factor,
        task.y[0],
        activation=task.problem.activation,
        directions=directions,
        seed=seed,
        richness=rates.richness,
        decay=rates.decay,
    )
    output = np.repeat(order.restored(solved.output[None], 1), len(task.y), axis=0)
    kernels = np.repeat(order.restored(solved.kernel[None, None], 2, 3), len(task.y), axis=0)
    return StageEnd(output, kernels), {"gap": solved.gap, "directions": len(solved.masses)}


def linear_end(task: TrainedStage) -> Noted:
    """Return the end of a stage of linear networks of any depth, in closed form.

    Raises:
        SolverError: if there is none, or it is not found.
    """
    rates, order, y, depth = task.rates, task.order, task.y[0], task.problem.depth
    gram = task.gram
    cold = {"richness": rates.richness, "decay": rates.decay}
    warm = {**cold, "temperature": rates.temperature}
    solved: Any
    weights = None
    if rates.temperature <= 0:
        solved = solve_decayed_linear(gram, y, **cold)
    elif rates.elastic > 0:
        reference = None if task.before is None else task.before.weights
        if reference is None:
            reference = initial_reference(len(gram), depth)
        reference = reference._replace(pull=reference.pull[order.indices])
        solved = solve_coupled_linear(gram, y, reference, elastic=rates.elastic, **warm)
    else:
        solved = solve_stationary_linear(gram, y, depth=depth, **warm)
        weights = stationary_reference(solved, y, **warm)
        weights = weights._replace(pull=order.restored(weights.pull, 0))
    output = order.restored(solved.output[None], 1)
    kernels = order.restored(solved.kernels[None], 2, 3)
    variances = np.diagonal(kernels[0], axis1=1, axis2=2)
    noted = {"residual": solved.residual, "minima": solved.minima}
    return StageEnd(output, kernels, variances=variances, weights=weights), noted


def drawn_end(task: TrainedStage, sampling: UnitSampling) -> Noted:
    """Return the end of a stage at a temperature; draw more units if the search fails.

    Raises:
        SolverError: if the search fails with the most units, or the error is too large.
    """
    rates, order, units = task.rates, task.order, sampling.units
    while True:
        try:
            # matrices between draws are small: their threads would slow down the draws
            with threadpool_limits(1):
                solved = _drawn(task, sampling, units)
            allowed = LARGEST_RESIDUAL
            known = solved.residual_stderr
            if known > allowed or solved.residual > allowed + 3 * known:
                raise ConvergenceError(
                    f"the fixed point has a residual of {solved.residual:.2g} +- {known:.1g} of the"
                    f" labels, {allowed:g} is allowed"
                )
            break
        except ConvergenceError as error:
            if 2 * units <= sampling.most:
                units *= 2
                continue
            raise SolverError(
                error.reason,
                f"use more units ({units} a replicate), a higher temperature"
                f" ({rates.temperature:g}) or a lower richness ({rates.richness:g})",
            ) from None
    return StageEnd(
        order.restored(solved.output, 1),
        order.restored(solved.kernels, 2, 3),
        tuple(order.restored(h, 1) for h in solved.preactivations),
        weights=solved.units,
    ), {
        "residual": solved.residual,
        "residual-stderr": solved.residual_stderr,
        "newton-steps": solved.rounds,
        "acceptance": solved.acceptance,
    }


def _drawn(task: TrainedStage, sampling: UnitSampling, units: int) -> SampledState:
    """Return the solution with a number of units in every layer."""
    problem, stage = task.problem, task.rates
    rates = UnitRates(stage.richness, stage.decay, stage.elastic, stage.temperature)
    seed = 1 + len(problem.stages) * sampling.seed + task.index
    if problem.depth > 1:
        return solve_stationary_layers(
            task.gram,
            task.y,
            rates,
            depth=problem.depth,
            activation=problem.activation,
            units=units,
            observations=sampling.observations,
            seed=seed,
            dtype=sampling.precision,
        )
    factor, directions = task.factor
    if sampling.weighted:
        try:
            return solve_stationary_mixture(
                factor,
                task.y,
                rates,
                activation=problem.activation,
                directions=directions,
                samples=units * sampling.observations,
                kept=units,
                seed=seed,
            )
        except ConvergenceError:  # wells that two Gaussians do not cover: units move
            pass
    reference = None if task.before is None else task.before.weights
    if reference is None:
        shape = (len(task.y), units, factor.shape[1])
        reference = jax.random.normal(jax.random.key(sampling.seed), shape, sampling.precision)
    return solve_stationary_units(
        reference,
        factor,
        task.y,
        rates,
        activation=problem.activation,
        directions=directions,
        observations=sampling.observations,
        seed=seed,
    )


def initial_end(problem: ProblemArrays, replicates: int) -> StageEnd:
    """Return the exact features of the initial draw."""
    lazy = lazy_kernels(problem.x, problem.x, activation=problem.activation, depth=problem.depth)
    kernels = np.stack(lazy.features)[None]
    return StageEnd(
        np.zeros((replicates, len(problem.x))),
        np.repeat(kernels, replicates, axis=0),
        variances=lazy.variances,
    )


def regressed_end(features: StageEnd, order: StageOrder, y: Array, decay: float) -> StageEnd:
    """Return the end of a stage with frozen features."""
    last = features.kernels[:, -1][:, order.indices][:, :, order.indices]
    output = ridge_regression(last, y, decay)
    return replace(features, output=order.restored(output, 1))
