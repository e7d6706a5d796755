"""What training with decay ends in, stage by stage, without marching through time.

The solvers of adaptive kernels are those of `harness.numerics`; here they meet a problem's points,
the end of the stage before, and the observables of a stage's last step (docs/theory.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import jax
import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from harness import numerics, observables
from harness.points import Points, StageOrder, trained_factor
from harness.records import Observable, Problem, Stage

LARGEST_RESIDUAL = 0.05
"""Residual of the fixed point, relative to the labels, beyond which nothing is returned; nor is
anything if its standard error is as large."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class StageEnd:
    """What a stage ends in, on all points of a problem.

    Attributes:
        output: the predictor, (replicates, points).
        kernels: feature kernels, (replicates, layers, points, points).
        density: pre-activations of sampled units, (replicates, points, units) for every layer;
            or, of Gaussian ones, variances (layers, points); or None if they are not determined.
        weights: that a later stage may be coupled to: of the units, or of a linear network's
            stationary law; None for the initial draw.
    """

    output: Float[np.ndarray, "replicates points"]
    kernels: Float[np.ndarray, "replicates layers points points"]
    density: tuple[Any, ...] | Float[np.ndarray, "layers points"] | None
    weights: Any = None


@dataclass(frozen=True)
class UnitSampling:
    """How hidden units of a replicate are drawn.

    Attributes:
        units: how many.
        observations: how often they are looked at.
        most: how many may be drawn where a search fails with fewer.
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


@dataclass(frozen=True)
class TrainedStage:
    """A stage that trains all weights, as its solvers take it.

    Attributes:
        problem, stage, index: the stage, number `index` of the problem's protocol.
        points, order: of the problem, and as the stage takes them.
        y: labels on the training points, (replicates, train).
        before: end of the previous stage, to whose units weights may be coupled.
    """

    problem: Problem
    stage: Stage
    index: int
    points: Points
    order: StageOrder
    y: Float[np.ndarray, "replicates train"]
    before: StageEnd | None

    @property
    def gram(self) -> Float[np.ndarray, "points points"]:
        """K_x between all points, in the stage's order."""
        indices = self.order.indices
        gram: Array = self.points.gram[np.ix_(indices, indices)]
        return gram


Noted = tuple[StageEnd, dict[str, float]]
"""The end of a stage, and notes on how it was found."""


def end_without_noise(task: TrainedStage, seed: int) -> Noted:
    """Return the end of a stage of two-layer units at temperature 0, by convex optimisation.

    Args:
        task: the stage.
        seed: of directions that are looked at.

    Raises:
        SolverError: if there is none, or it is not found.
    """
    factor, directions = trained_factor(task.points)
    stage, order = task.stage, task.order
    solved = numerics.solve_decayed_units(
        factor[order.indices],
        task.y[0],
        activation=task.problem.architecture.activation,
        directions=directions,
        seed=seed,
        richness=stage.richness,
        decay=stage.decay,
    )
    output = np.repeat(order.restored(solved.output[None], 1), len(task.y), axis=0)
    kernels = np.repeat(order.restored(solved.kernel[None, None], 2, 3), len(task.y), axis=0)
    return StageEnd(output, kernels, None), {"gap": solved.gap, "directions": len(solved.masses)}


def linear_end(task: TrainedStage) -> Noted:
    """Return the end of a stage of linear networks of any depth, in closed form.

    Raises:
        SolverError: if there is none, or it is not found.
    """
    stage, order, y, depth = task.stage, task.order, task.y[0], task.problem.architecture.depth
    gram = task.gram
    cold = {"richness": stage.richness, "decay": stage.decay}
    warm = {**cold, "temperature": stage.temperature}
    solved: Any
    weights = None
    if stage.temperature <= 0:
        solved = numerics.solve_decayed_linear(gram, y, **cold)
    elif stage.elastic > 0:
        reference = None if task.before is None else task.before.weights
        if reference is None:
            reference = numerics.initial_reference(len(gram), depth)
        reference = reference._replace(pull=reference.pull[order.indices])
        solved = numerics.solve_coupled_linear(gram, y, reference, elastic=stage.elastic, **warm)
    else:
        solved = numerics.solve_stationary_linear(gram, y, depth=depth, **warm)
        weights = numerics.stationary_reference(solved, y, **warm)
        weights = weights._replace(pull=order.restored(weights.pull, 0))
    output = order.restored(solved.output[None], 1)
    kernels = order.restored(solved.kernels[None], 2, 3)
    variances = np.diagonal(kernels[0], axis1=1, axis2=2)
    noted = {"residual": solved.residual, "minima": solved.minima}
    return StageEnd(output, kernels, variances, weights), noted


def drawn_end(task: TrainedStage, sampling: UnitSampling) -> Noted:
    """Return the end of a stage at a temperature, more units being drawn if the search fails.

    Raises:
        SolverError: if it is not found with the most units, or known too badly.
    """
    stage, order, units = task.stage, task.order, sampling.units
    while True:
        try:
            # matrices between draws are small: threads of theirs get in the way of the draws
            with threadpool_limits(1):
                solved = _drawn(task, sampling, units)
            allowed = LARGEST_RESIDUAL
            known = solved.residual_stderr
            if known > allowed or solved.residual > allowed + 3 * known:
                raise numerics.ConvergenceError(
                    f"the fixed point has a residual of {solved.residual:.2g} +- {known:.1g} of the"
                    f" labels, {allowed:g} is allowed"
                )
            break
        except numerics.ConvergenceError as error:
            if 2 * units <= sampling.most:
                units *= 2
                continue
            raise numerics.SolverError(
                error.reason,
                f"use more units ({units} a replicate), a higher temperature"
                f" ({stage.temperature:g}) or a lower richness ({stage.richness:g})",
            ) from None
    return StageEnd(
        order.restored(solved.output, 1),
        order.restored(solved.kernels, 2, 3),
        tuple(order.restored(h, 1) for h in solved.preactivations),
        solved.units,
    ), {
        "residual": solved.residual,
        "residual-stderr": solved.residual_stderr,
        "newton-steps": solved.rounds,
        "acceptance": solved.acceptance,
    }


def _drawn(task: TrainedStage, sampling: UnitSampling, units: int) -> numerics.SampledState:
    """Return the solution with a number of units in every layer."""
    stage, order, architecture = task.stage, task.order, task.problem.architecture
    rates = numerics.UnitRates(stage.richness, stage.decay, stage.elastic, stage.temperature)
    seed = 1 + len(task.problem.protocol.stages) * sampling.seed + task.index
    if architecture.depth > 1:
        return numerics.solve_stationary_layers(
            task.gram,
            task.y,
            rates,
            depth=architecture.depth,
            activation=architecture.activation,
            units=units,
            observations=sampling.observations,
            seed=seed,
            dtype=sampling.precision,
        )
    factor, directions = trained_factor(task.points)
    if sampling.weighted:
        try:
            return numerics.solve_stationary_mixture(
                factor[order.indices],
                task.y,
                rates,
                activation=architecture.activation,
                directions=directions,
                samples=units * sampling.observations,
                kept=units,
                seed=seed,
            )
        except numerics.ConvergenceError:  # wells that two Gaussians do not cover: units move
            pass
    reference = None if task.before is None else task.before.weights
    if reference is None:
        shape = (len(task.y), units, factor.shape[1])
        reference = jax.random.normal(jax.random.key(sampling.seed), shape, sampling.precision)
    return numerics.solve_stationary_units(
        reference,
        factor[order.indices],
        task.y,
        rates,
        activation=architecture.activation,
        directions=directions,
        observations=sampling.observations,
        seed=seed,
    )


def initial_end(problem: Problem, points: Points, replicates: int) -> StageEnd:
    """Return the features of the initial draw, exactly."""
    x, architecture = points.x, problem.architecture
    lazy = numerics.lazy_kernels(x, x, activation=architecture.activation, depth=architecture.depth)
    kernels = np.stack(lazy.features)[None]
    return StageEnd(
        np.zeros((replicates, len(x))),
        np.repeat(kernels, replicates, axis=0),
        lazy.variances,
    )


def regressed_end(features: StageEnd, order: StageOrder, y: Array, stage: Stage) -> StageEnd:
    """Return the end of a stage whose features stay as they are."""
    last = features.kernels[:, -1][:, order.indices][:, :, order.indices]
    output = numerics.ridge_regression(last, y, stage.decay)
    return replace(features, output=order.restored(output, 1))


def end_observables(
    problem: Problem, stage: Stage, order: StageOrder, end: StageEnd, centred: Array
) -> dict[str, Observable]:
    """Return observables at a stage's last step, which are also their stationary averages.

    Args:
        problem: with the stage's data.
        stage: the stage.
        order: of its points.
        end: what it ends in.
        centred: predictor on all points, without what is subtracted from it, (replicates, points).
    """
    _, y, sets = observables.stage_points(problem.data, stage)
    own, count = order.indices[: order.seen], len(centred)
    output, kernels = centred[:, own], end.kernels[:, :, own][:, :, :, own]
    final: list[dict[str, Any]] = [{} for _ in output]
    if isinstance(end.density, tuple):
        train = own[slice(*sets.train)]
        fields = [h[:, train] for h in end.density]
        found = observables.replicate_laws(fields, y[slice(*sets.train)])
        final = [
            {name: np.asarray(value[r]) for name, value in found.items()} for r in range(count)
        ]
    elif end.density is not None:
        known = observables.gaussian_snapshot(sets, output[0], end.density[:, own], kernels[0])
        final = [dict(known) for _ in output]
    for replicate, kept in enumerate(final):
        kept["output/test"] = output[replicate, slice(*sets.test)]
        kept["kernel/feature"] = kernels[replicate][:, sets.kept][:, :, sets.kept]
    steps = np.array([stage.steps])
    named = observables.solved_observables(
        steps, sets, y, list(output[:, None]), list(kernels[:, -1:]), final
    )
    return named | {observables.stationary_name(name): value for name, value in named.items()}
