"""Adaptive kernels: what training with decay ends in, without marching through time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from harness import (
    LimitbenchError,
    Observable,
    Params,
    Problem,
    ProblemSize,
    Stage,
    Trajectory,
    Work,
    theory,
)

FIRST_UNITS = 512
MOST_UNITS = 2**16
MOVES = 2000
"""Gradients that a unit follows while a fixed point is found, usually."""
LARGEST_RESIDUAL = 0.05
"""Residual of the fixed point, relative to the labels, beyond which nothing is returned."""
RELAXATIONS = 5.0
"""Times 1 / decay that a stage has to run for its end to be its stationary state."""


class AdaptiveKernelParams(Params):
    """Parameters of `adaptive-kernel`."""

    target_error: float = Field(default=0.005, gt=0)
    """Standard error to reach, as a fraction of the norm of the predictor on the test points."""
    units: int | None = Field(default=None, ge=32, le=MOST_UNITS)
    """Hidden units of each replicate; chosen for the target error when not given."""
    replicates: int = Field(default=8, ge=2, le=64)
    """Independent solutions whose spread gives the standard errors."""
    memory_gib: float = Field(default=2.0, gt=0)
    """Bound on the memory of the units; the target error gives way to it."""
    precision: Literal["float32", "float64"] = "float32"
    """Arithmetic of the units; the fixed point is solved in float64."""
    seed: int = Field(default=0, ge=0)
    """Seed of the units."""


@dataclass(frozen=True)
class _Points:
    """All points of a problem, a stage's training points first and then what else it looks at.

    `order` are indices into the sets of the problem one after the other; the first `own` of them
    are the stage's points, as `observables.stage_points` has them.
    """

    order: NDArray[np.int64]
    own: int
    train: int


@theory(
    "adaptive-kernel",
    version="1",
    tags={"adaptive", "stationary", "bayesian"},
    citation="Lauditi, Bordelon & Pehlevan, arXiv:2502.07998 (ICML 2025); arXiv:2507.04448v1",
)
class AdaptiveKernel:
    """Stationary state of training with decay, as kernel regression with the adapted kernel.

    With a temperature it is the Bayesian posterior, f = Phi(x, X) (lambda + Phi)^{-1} y with the
    feature kernel Phi that learning has adapted; it is found directly, by solving the fixed point
    for the training errors, and describes the end of a stage in the limit of small dt. Two layers:
    Newton's method for the errors while Hamiltonian Monte Carlo (blackjax) draws hidden units.
    Linear networks of any depth: one equation in closed form. Residuals are in the notes. Cost:
    units x moves x points x rank for two layers, points^3 for linear networks, whatever the
    number of steps and the depth.

    Domain: dense layers; stages of at least five times 1 / decay, each with decay and temperature.
    One hidden layer of any activation, with or without elastic coupling, any readout and frozen
    features; deeper networks if they are linear and without coupling. Without a temperature: one
    hidden layer, linear.
    """

    def __init__(self, params: AdaptiveKernelParams) -> None:
        self.params = params

    def supports(self, problem: Problem) -> str | None:
        """Return None inside the domain, else the reason."""
        architecture = problem.architecture
        if architecture.connectivity != "dense":
            return f"describes dense layers, not {architecture.connectivity} ones"
        if architecture.depth > 1 and architecture.activation != "linear":
            return (
                f"describes deep networks if they are linear, not {architecture.activation}"
                f" with {architecture.depth} hidden layers"
            )
        for index, stage in enumerate(problem.protocol.stages):
            reason = _stage_reason(problem, stage)
            if reason is not None:
                return f"{reason} (stage {index})"
        return None

    def cost(self, size: ProblemSize) -> Work:
        """Return the work of drawing units at the fixed points; of linear ones, of one equation.

        Without given units it is that of the first and smallest solution. How many moves Newton's
        method takes is not known before: the number is a usual one.
        """
        coupled = any(stage.elastic > 0 for stage in size.stages)
        points = float(size.total)
        if size.activation == "linear" and not coupled:
            return Work(100.0 * len(size.stages) * points**3, 0.0, 20.0, 80.0 * points**2)
        units = float((self.params.units or FIRST_UNITS) * self.params.replicates)
        rank = min(points, size.inputs)
        moves = MOVES * len(size.stages) * units
        held = units * (4 * points + 6 * rank) * np.dtype(self.params.precision).itemsize
        return Work(4.0 * moves * points * rank, 6.0 * moves * points, 50.0, held)

    def predict(self, problem: Problem) -> Trajectory:
        """Solve every stage's fixed point, with more units until the target error is met."""
        if _is_exact(problem):
            return _solve_exactly(problem)
        from harness import observables

        p = self.params
        units = p.units or FIRST_UNITS
        most = min(MOST_UNITS, self._affordable(problem))
        while True:
            found = self._solve(problem, units)
            error = observables.predictor_error(found)
            if p.units is not None or error <= p.target_error or units >= most:
                return found
            wanted = units * min(16.0, 1.2 * (error / p.target_error) ** 2)
            units = min(most, 2 ** int(np.ceil(np.log2(wanted))))

    def _affordable(self, problem: Problem) -> int:
        """Return how many units of a replicate fit in the memory bound."""
        points = sum(len(d) for d in problem.data.sets().values())
        numbers = 4 * points + 6 * min(points, problem.data.target.x[0].size)
        size = np.dtype(self.params.precision).itemsize * self.params.replicates
        return max(32, 2 ** int(np.log2(self.params.memory_gib * 2**30 / (numbers * size))))

    def _solve(self, problem: Problem, units: int) -> Trajectory:
        """Solve with a number of units in each replicate."""
        import jax
        import jax.numpy as jnp

        from harness import numerics

        p, stages = self.params, problem.protocol.stages
        factor, directions = _factor(problem)
        shape = (p.replicates, units, factor.shape[1])
        reference = jax.random.normal(jax.random.key(p.seed), shape, p.precision)
        before = np.zeros((p.replicates, len(factor)))
        found: list[dict[str, Observable]] = []
        notes: dict[str, float] = {"units": units * p.replicates, "replicates": p.replicates}
        for index, stage in enumerate(stages):
            points = _stage_points(problem, stage)
            keeps = stage.readout == "keep" and index > 0
            # f of the previous stage in this one's scale, where training starts
            start = before / stage.richness * (keeps and stage.center)
            labels = problem.data.train(stage.data).y
            try:
                solved = numerics.solve_stationary_units(
                    reference,
                    factor[points.order],
                    labels + start[:, points.order[: points.train]],
                    numerics.UnitRates(
                        stage.richness, stage.decay, stage.elastic, stage.temperature
                    ),
                    activation=problem.architecture.activation,
                    directions=directions,
                    frozen=stage.trainable == "readout",
                    seed=1 + len(stages) * p.seed + index,
                )
            except numerics.ConvergenceError as error:
                raise LimitbenchError(
                    f"adaptive-kernel: stage {index}: {error}; use more units ({units} a"
                    f" replicate), a higher temperature ({stage.temperature:g}) or a lower"
                    f" richness ({stage.richness:g})"
                ) from None
            if solved.residual > LARGEST_RESIDUAL + 5 * solved.residual_stderr:
                raise LimitbenchError(
                    f"adaptive-kernel: stage {index}: the fixed point has a residual of"
                    f" {solved.residual:.2g} +- {solved.residual_stderr:.1g} of the labels,"
                    f" {LARGEST_RESIDUAL:g} is allowed; use more units ({units} a replicate)"
                )
            reference = jnp.asarray(solved.units)
            output = np.empty_like(before)
            output[:, points.order] = solved.output
            before = output * stage.richness
            found.append(self._observables(problem, stage, points, solved, output - start, factor))
            notes |= {
                f"stage{index}/residual": solved.residual,
                f"stage{index}/residual-stderr": solved.residual_stderr,
                f"stage{index}/newton-steps": solved.rounds,
                f"stage{index}/acceptance": solved.acceptance,
            }
        return Trajectory(tuple(found), notes)

    def _observables(
        self,
        problem: Problem,
        stage: Stage,
        points: _Points,
        solved: Any,
        output: NDArray[np.float64],
        factor: NDArray[np.float64],
    ) -> dict[str, Observable]:
        import jax.numpy as jnp

        from harness import numerics, observables

        _, y, sets = observables.stage_points(problem.data, stage)
        own = points.order[: points.own]
        phi = numerics.activation(problem.architecture.activation)
        h = jnp.einsum("rsk,pk->rps", solved.units, jnp.asarray(factor[own], solved.units.dtype))
        kernel = solved.kernel[:, : points.own, : points.own]
        final = observables.replicate_snapshots(sets, y, output[:, own], (h,), (phi(h),))
        curves = [
            observables.recorded_curves(sets, y, f[None], k[None])
            for f, k in zip(output[:, own], kernel, strict=True)
        ]
        kept = {name: np.asarray(value) for name, value in final.items()}
        kept["kernel/feature"] = kernel[:, None, sets.kept][:, :, :, sets.kept]
        return _at_the_end(
            stage,
            {name: np.stack([np.asarray(c[name]) for c in curves]) for name in curves[0]},
            kept,
            replicated=True,
        )


def _stage_reason(problem: Problem, stage: Stage) -> str | None:
    """Return why a stage is outside the domain, or None."""
    linear, depth = problem.architecture.activation == "linear", problem.architecture.depth
    if stage.decay <= 0:
        return "describes training with decay; decay is 0, and the end depends on the start"
    if stage.temperature <= 0 and not (linear and depth == 1):
        return "describes training without noise for two-layer linear networks; temperature is 0"
    if stage.elastic > 0 and (depth > 1 or stage.temperature <= 0):
        return "describes elastic coupling for one hidden layer at a temperature"
    times = stage.steps * stage.step_size * stage.decay
    if times < RELAXATIONS:
        return (
            f"describes the end of long training: steps x dt x decay is {times:.3g}, and at least"
            f" {RELAXATIONS:g} are needed"
        )
    if stage.step_size * (stage.decay + stage.elastic) >= 2:
        return f"describes stable steps; dt = {stage.step_size:g} is too large for the decay"
    return None


def _is_exact(problem: Problem) -> bool:
    """Return whether a problem is linear and has no coupling, so that it needs no sampling."""
    coupled = any(s.elastic > 0 for s in problem.protocol.stages)
    return problem.architecture.activation == "linear" and not coupled


def _solve_exactly(problem: Problem) -> Trajectory:
    """Solve the stages of a linear network in closed form."""
    from harness import numerics, observables

    x = np.concatenate([problem.architecture.input_map(d.x) for d in problem.data.sets().values()])
    gram, depth = x @ x.T / x.shape[1], problem.architecture.depth
    kernels = np.broadcast_to(gram, (depth, *gram.shape))  # of weights with unit variance
    before = np.zeros(len(gram))
    found: list[dict[str, Observable]] = []
    notes: dict[str, float] = {}
    for index, stage in enumerate(problem.protocol.stages):
        points = _stage_points(problem, stage)
        order, train = points.order, points.order[: points.train]
        start = before / stage.richness * (stage.readout == "keep" and index > 0 and stage.center)
        y = problem.data.train(stage.data).y + start[train]
        if stage.trainable == "readout":
            last = kernels[-1]
            ridged = last[np.ix_(train, train)] + stage.decay * np.eye(len(train))
            output, residual, minima = last[:, train] @ np.linalg.solve(ridged, y), 0.0, 1
        else:
            ordered = gram[np.ix_(order, order)]
            try:
                solved = (
                    numerics.solve_stationary_linear(
                        ordered,
                        y,
                        depth=depth,
                        richness=stage.richness,
                        decay=stage.decay,
                        temperature=stage.temperature,
                    )
                    if stage.temperature > 0
                    else numerics.solve_decayed_linear(
                        ordered, y, richness=stage.richness, decay=stage.decay
                    )
                )
            except ValueError as error:
                raise LimitbenchError(f"adaptive-kernel: stage {index}: {error}") from None
            output, kernels = np.empty(len(gram)), np.empty((depth, *gram.shape))
            output[order] = solved.output
            kernels[np.ix_(np.arange(depth), order, order)] = solved.kernels
            residual, minima = solved.residual, solved.minima
        before = output * stage.richness
        notes |= {f"stage{index}/residual": residual, f"stage{index}/minima": minima}
        _, labels, sets = observables.stage_points(problem.data, stage)
        own = order[: points.own]
        layers = kernels[:, own][:, :, own]
        centred = (output - start)[own]
        curves = observables.recorded_curves(sets, labels, centred[None], layers[-1:])
        variances = np.diagonal(layers, axis1=1, axis2=2)
        final = observables.gaussian_snapshot(sets, centred, variances, layers)
        found.append(
            _at_the_end(stage, {n: np.asarray(v) for n, v in curves.items()}, final, False)
        )
    return Trajectory(tuple(found), notes)


def _at_the_end(
    stage: Stage, curves: dict[str, Any], final: dict[str, Any], replicated: bool
) -> dict[str, Observable]:
    """Return observables at a stage's last step, which are also their stationary averages."""
    from harness import observables

    found = observables.stage_observables(np.array([stage.steps]), curves, final, replicated)
    return found | {observables.stationary_name(name): value for name, value in found.items()}


def _stage_points(problem: Problem, stage: Stage) -> _Points:
    """Return all points of a problem in the order that a stage needs."""
    sets = problem.data.sets()
    ends = np.cumsum([0, *(len(d) for d in sets.values())])
    where = {name: np.arange(a, b) for name, a, b in zip(sets, ends[:-1], ends[1:], strict=True)}
    names = [stage.data, f"{stage.data}_test"]
    if stage.data == "target" and "source" in sets:
        names += ["source", "source_test"]
    own = np.concatenate([where[name] for name in names])
    rest = np.setdiff1d(np.arange(ends[-1]), own)
    return _Points(np.concatenate([own, rest]), len(own), len(where[stage.data]))


def _factor(problem: Problem) -> tuple[NDArray[np.float64], int]:
    """Return E on all points, and how many leading directions hold the training points."""
    from harness import numerics

    sets = problem.data.sets()
    x = np.concatenate([problem.architecture.input_map(d.x) for d in sets.values()])
    trained = {stage.data for stage in problem.protocol.stages}
    member = np.concatenate([np.full(len(d), name in trained) for name, d in sets.items()])
    factor = numerics.gram_factor(x, np.eye(len(x))[:, member])
    return factor, min(int(member.sum()), factor.shape[1])
