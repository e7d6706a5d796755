"""Adaptive kernels: what training with decay ends in, without marching through time."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
MORE_UNITS = 2048
"""Units of deep networks, whose search follows every step with all of its layers, and of
unbounded activations, whose tilted law has long tails."""
MOVES = 2000
"""Gradients that a unit follows while a fixed point is found, usually."""
OBSERVATIONS = 32
"""Times that averages are taken to begin with."""
LEAST_OBSERVATIONS = 8
MOST_AGAIN = 4
"""Times as many units that a search is repeated with if it does not settle."""
MOST_UNITS = 2**16
MOST_SAMPLES = 2**30
LARGEST_RESIDUAL = 0.05
"""Residual of the fixed point, relative to the labels, beyond which nothing is returned."""
RELAXATIONS = 5.0
"""Times 1 / decay that a stage has to run for its end to be its stationary state."""
RELAXATIONS_WITHOUT_NOISE = 100.0
"""The same for nonlinear units without noise, which approach their end algebraically."""
BOUNDED = ("tanh", "erf")
LINEAR = ("linear", "he1")
GROWING_LINEARLY = ("relu", "gelu", *LINEAR)


class AdaptiveKernelParams(Params):
    """Parameters of `adaptive-kernel`."""

    target_error: float = Field(default=0.005, gt=0)
    """Standard error to reach, as a fraction of the norm of the predictor on the test points."""
    units: int | None = Field(default=None, ge=32, le=MOST_UNITS)
    """Hidden units of each replicate (and layer); chosen for the target error when not given."""
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


@dataclass(frozen=True)
class _End:
    """What a stage ends in, on all points of a problem.

    Attributes:
        output: the predictor, (replicates, points).
        kernels: feature kernels, (replicates, layers, points, points).
        density: pre-activations of sampled units, (replicates, points, units) for every layer;
            or, of Gaussian ones, variances (layers, points); or None if they are not determined.
        units: weights that the next stage may be coupled to, or None.
    """

    output: NDArray[np.float64]
    kernels: NDArray[np.float64]
    density: tuple[Any, ...] | NDArray[np.float64] | None
    units: Any = None


@theory(
    "adaptive-kernel",
    version="2",
    tags={"adaptive", "stationary", "bayesian"},
    citation="Lauditi, Bordelon & Pehlevan, arXiv:2502.07998 (ICML 2025); arXiv:2507.04448v1",
)
class AdaptiveKernel:
    """Stationary state of training with decay, as kernel regression with the adapted kernel.

    With a temperature it is the Bayesian posterior, f = Phi(x, X) (lambda + Phi)^{-1} y with the
    feature kernel Phi that learning has adapted; it is found directly, as the fixed point for the
    training errors and, in deep networks, the conjugate kernels of lower layers, and describes the
    end of a stage in the limit of small dt. Newton's method finds it while Hamiltonian Monte Carlo
    (blackjax) draws hidden units. Linear networks: one equation in closed form. Without a
    temperature, two layers of ReLU: f = K(x, X) (K + 2 lambda)^{-1} y with the final tangent
    kernel K, by convex optimisation over units. Residuals (or duality gaps) are in the notes.
    Cost: depth x units x moves x points x (points + rank) where units are drawn, points^3 for
    linear networks, whatever the number of steps.

    Domain: dense layers; stages of at least five times 1 / decay, each with decay. At a
    temperature: any depth, activations that grow no faster than linearly, any readout and frozen
    features; elastic coupling for one hidden layer. Without: one hidden layer, linear or ReLU,
    trained from its initial draw (ReLU: for at least a hundred times 1 / decay), and frozen
    features.
    """

    def __init__(self, params: AdaptiveKernelParams) -> None:
        self.params = params

    def supports(self, problem: Problem) -> str | None:
        """Return None inside the domain, else the reason."""
        architecture = problem.architecture
        if architecture.connectivity != "dense":
            return f"describes dense layers, not {architecture.connectivity} ones"
        if architecture.activation not in (*BOUNDED, *GROWING_LINEARLY):
            return (
                f"describes activations that grow no faster than linearly, not"
                f" {architecture.activation}, whose units have no stationary law"
            )
        for index, stage in enumerate(problem.protocol.stages):
            reason = _stage_reason(problem, stage, index)
            if reason is not None:
                return f"{reason} (stage {index})"
        return None

    def cost(self, size: ProblemSize) -> Work:
        """Return the work of drawing units at the fixed points; of others, of one equation.

        Without given units it is that of the first and smallest solution. How many moves Newton's
        method takes is not known before: the number is a usual one.
        """
        coupled = any(stage.elastic > 0 for stage in size.stages)
        points = float(size.total)
        cold = all(stage.temperature <= 0 for stage in size.stages)
        if cold or (size.activation in LINEAR and not coupled):
            return Work(100.0 * len(size.stages) * points**3, 0.0, 20.0, 80.0 * points**2)
        first = self._units(size.activation, size.depth)
        units = float(first * self.params.replicates * size.depth)
        rank = min(points, size.inputs) if size.depth == 1 else points
        moves = MOVES * len(size.stages) * units
        held = units * (4 * points + 6 * rank) * np.dtype(self.params.precision).itemsize
        return Work(4.0 * moves * points * rank, 6.0 * moves * points, 50.0, held)

    def predict(self, problem: Problem) -> Trajectory:
        """Solve every stage's fixed point, with more samples until the target error is met."""
        if not _is_sampled(problem):
            return self._solve(problem, 0)
        from harness import observables

        p = self.params
        architecture = problem.architecture
        smallest = self._units(architecture.activation, architecture.depth)
        most = self._affordable(problem)
        first = p.replicates * OBSERVATIONS * min(smallest, most)
        bound = p.replicates * OBSERVATIONS * most if _is_coupled(problem) else MOST_SAMPLES
        return observables.until_accurate(
            lambda samples: self._solve(problem, samples),
            p.target_error,
            first if smallest == FIRST_UNITS or p.units else first // 4,
            first if p.units else bound,
        )

    def _units(self, activation: str, depth: int) -> int:
        """Return with how many units of a replicate a solution begins."""
        few = activation in BOUNDED and depth == 1
        return self.params.units or (FIRST_UNITS if few else MORE_UNITS)

    def _affordable(self, problem: Problem) -> int:
        """Return how many units of a replicate fit in the memory bound."""
        points, p = sum(len(d) for d in problem.data.sets().values()), self.params
        # moved one replicate at a time; weights and one sample of pre-activations are kept of all
        kept = problem.architecture.depth * points * 3 * p.replicates
        size = np.dtype(p.precision).itemsize * (kept + 40 * points)
        fitting = 2 ** int(np.log2(max(32.0, p.memory_gib * 2**30 / size)))
        return p.units or min(MOST_UNITS, fitting)

    def _solve(self, problem: Problem, samples: int) -> Trajectory:
        """Solve with about so many samples of hidden units, 0 where none are needed."""
        p, stages = self.params, problem.protocol.stages
        replicates = p.replicates if samples else 1
        points = sum(len(d) for d in problem.data.sets().values())
        end: _End | None = None
        before = np.zeros((replicates, points))
        found: list[dict[str, Observable]] = []
        architecture = problem.architecture
        units = self._units(architecture.activation, architecture.depth)
        observations = OBSERVATIONS
        if _is_coupled(problem):  # what units are coupled to is drawn once for each of them
            units = max(32, 2 ** int(np.ceil(np.log2(samples / replicates / observations))))
        elif samples:
            observations = max(LEAST_OBSERVATIONS, round(samples / replicates / units))
        units = p.units or min(units, self._affordable(problem))
        notes: dict[str, float] = {"samples": 0, "replicates": replicates}
        if samples:
            notes |= {"samples": replicates * units * observations, "units": replicates * units}
        for index, stage in enumerate(stages):
            points_of = _stage_points(problem, stage)
            keeps = stage.readout == "keep" and index > 0
            # f of the previous stage in this one's scale, where training starts
            start = before / stage.richness * (keeps and stage.center)
            y = problem.data.train(stage.data).y + start[:, points_of.order[: points_of.train]]
            if stage.trainable == "readout":
                end = _regressed(end or _initial(problem, replicates), points_of, y, stage.decay)
            else:
                try:
                    end, noted = _trained(
                        problem, stage, points_of, y, end, units, observations, p, index
                    )
                except (ValueError, ArithmeticError) as error:
                    raise LimitbenchError(f"adaptive-kernel: stage {index}: {error}") from None
                notes |= {f"stage{index}/{name}": value for name, value in noted.items()}
            before = end.output * stage.richness
            found.append(_observables(problem, stage, points_of, end, end.output - start))
        return Trajectory(tuple(found), notes)


def _stage_reason(problem: Problem, stage: Stage, index: int) -> str | None:
    """Return why a stage is outside the domain, or None."""
    linear, depth = problem.architecture.activation in LINEAR, problem.architecture.depth
    homogeneous = linear or problem.architecture.activation == "relu"
    trained, stages = stage.trainable == "all", problem.protocol.stages
    relaxations = RELAXATIONS
    if stage.decay <= 0:
        return "describes training with decay; decay is 0, and the end depends on the start"
    if stage.temperature <= 0 and trained:
        if depth > 1 or not homogeneous:
            return (
                "describes training without noise for two layers, linear or ReLU; temperature is 0"
            )
        if any(s.trainable == "all" for s in stages[:index]):
            return (
                "describes training without noise from the initial draw alone; temperature is 0,"
                " and decay has left no weights in most directions"
            )
        relaxations = RELAXATIONS if linear else RELAXATIONS_WITHOUT_NOISE
    if stage.elastic > 0 and trained:
        if depth > 1 or stage.temperature <= 0:
            return "describes elastic coupling for one hidden layer at a temperature"
        if any(s.trainable == "all" and s.temperature <= 0 for s in stages[:index]):
            return "describes elastic coupling to weights that were trained at a temperature"
    return _length_reason(stage, relaxations)


def _length_reason(stage: Stage, relaxations: float) -> str | None:
    """Return why a stage is too short, or its steps too long, or None."""
    times = stage.steps * stage.step_size * stage.decay
    if times < relaxations:
        return (
            f"describes the end of long training: steps x dt x decay is {times:.3g}, and at least"
            f" {relaxations:g} are needed"
        )
    if stage.step_size * (stage.decay + stage.elastic) >= 2:
        return f"describes stable steps; dt = {stage.step_size:g} is too large for the decay"
    return None


def _is_coupled(problem: Problem) -> bool:
    """Return whether hidden weights are coupled to where they started in a stage."""
    return any(s.elastic > 0 and s.trainable == "all" for s in problem.protocol.stages)


def _is_sampled(problem: Problem) -> bool:
    """Return whether hidden units have to be drawn in any stage."""
    warm = any(s.temperature > 0 and s.trainable == "all" for s in problem.protocol.stages)
    return warm and (problem.architecture.activation not in LINEAR or _is_coupled(problem))


def _trained(
    problem: Problem,
    stage: Stage,
    points: _Points,
    y: NDArray[np.float64],
    before: _End | None,
    units: int,
    observations: int,
    p: AdaptiveKernelParams,
    index: int,
) -> tuple[_End, dict[str, float]]:
    """Return the end of a stage that trains all weights, and notes.

    Args:
        problem: the problem.
        stage: the stage, number `index` of the protocol.
        points: of the stage.
        y: labels on the training points, (replicates, train).
        before: end of the previous stage, to whose units weights may be coupled.
        units: hidden units of each replicate, where they are drawn.
        observations: times that averages are taken.
        p: parameters.
        index: of the stage.
    """
    from harness import numerics

    architecture, order = problem.architecture, points.order
    replicates, rates = len(y), {"richness": stage.richness, "decay": stage.decay}
    if not _is_sampled(problem) and architecture.activation in LINEAR:
        gram = _gram(problem, order)
        solved: Any = (
            numerics.solve_stationary_linear(
                gram, y[0], depth=architecture.depth, temperature=stage.temperature, **rates
            )
            if stage.temperature > 0
            else numerics.solve_decayed_linear(gram, y[0], **rates)
        )
        output, kernels = _unordered(order, solved.output[None], solved.kernels[None])
        variances = np.diagonal(kernels[0], axis1=1, axis2=2)
        noted = {"residual": solved.residual, "minima": solved.minima}
        return _End(output, kernels, variances), noted
    if stage.temperature <= 0:
        factor, directions = _factor(problem)
        cold = numerics.solve_decayed_units(
            factor[order],
            y[0],
            activation=architecture.activation,
            directions=directions,
            seed=p.seed,
            **rates,
        )
        output, kernels = _unordered(order, cold.output[None], cold.kernel[None, None])
        everywhere = (
            np.repeat(output, replicates, axis=0),
            np.repeat(kernels, replicates, axis=0),
        )
        return _End(*everywhere, None), {"gap": cold.gap, "directions": len(cold.masses)}
    return _sampled(problem, stage, points, y, before, units, observations, p, index)


def _sampled(
    problem: Problem,
    stage: Stage,
    points: _Points,
    y: NDArray[np.float64],
    before: _End | None,
    units: int,
    observations: int,
    p: AdaptiveKernelParams,
    index: int,
) -> tuple[_End, dict[str, float]]:
    """Return the same as `_trained` by drawing hidden units, more of them if the search fails."""
    import jax
    import jax.numpy as jnp

    from harness import numerics

    architecture, order = problem.architecture, points.order
    numbers = numerics.UnitRates(stage.richness, stage.decay, stage.elastic, stage.temperature)
    seed = 1 + len(problem.protocol.stages) * p.seed + index
    most = units if p.units or _is_coupled(problem) else MOST_AGAIN * units
    solved: Any
    while True:
        try:
            if architecture.depth > 1:
                solved = numerics.solve_stationary_layers(
                    _gram(problem, order),
                    y,
                    numbers,
                    depth=architecture.depth,
                    activation=architecture.activation,
                    units=units,
                    observations=observations,
                    seed=seed,
                    dtype=p.precision,
                )
                kernels, weights = solved.kernels, None
                fields = solved.preactivations
            else:
                factor, directions = _factor(problem)
                reference = None if before is None else before.units
                if reference is None:
                    shape = (len(y), units, factor.shape[1])
                    reference = jax.random.normal(jax.random.key(p.seed), shape, p.precision)
                solved = numerics.solve_stationary_units(
                    reference,
                    factor[order],
                    y,
                    numbers,
                    activation=architecture.activation,
                    directions=directions,
                    observations=observations,
                    seed=seed,
                )
                kernels, weights = solved.kernel[:, None], solved.units
                everywhere_factor = jnp.asarray(factor[order], p.precision)
                fields = (jnp.einsum("rsk,pk->rps", weights, everywhere_factor),)
        except numerics.ConvergenceError as error:
            if 2 * units <= most:
                units *= 2
                continue
            raise ValueError(
                f"{error}; use more units ({units} a replicate), a higher temperature"
                f" ({stage.temperature:g}) or a lower richness ({stage.richness:g})"
            ) from None
        break
    if solved.residual > LARGEST_RESIDUAL + 5 * solved.residual_stderr:
        raise ValueError(
            f"the fixed point has a residual of {solved.residual:.2g} +-"
            f" {solved.residual_stderr:.1g} of the labels, {LARGEST_RESIDUAL:g} is allowed; use"
            f" more units ({units} a replicate)"
        )
    output, kernels = _unordered(order, solved.output, kernels)
    back = np.argsort(order)
    return _End(output, kernels, tuple(h[:, back] for h in fields), weights), {
        "residual": solved.residual,
        "residual-stderr": solved.residual_stderr,
        "newton-steps": solved.rounds,
        "acceptance": solved.acceptance,
    }


def _unordered(
    order: NDArray[np.int64], output: NDArray[np.float64], kernels: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a predictor and kernels on all points in the order of the problem's sets."""
    back = np.argsort(order)
    return output[:, back], kernels[:, :, back][:, :, :, back]


def _initial(problem: Problem, replicates: int) -> _End:
    """Return the features of the initial draw, exactly."""
    from harness import numerics

    x, architecture = _inputs(problem), problem.architecture
    lazy = numerics.lazy_kernels(x, x, activation=architecture.activation, depth=architecture.depth)
    kernels = np.stack([np.asarray(kernel) for kernel in lazy.features])[None]
    return _End(
        np.zeros((replicates, len(x))),
        np.repeat(kernels, replicates, axis=0),
        np.asarray(lazy.variances),
    )


def _regressed(features: _End, points: _Points, y: NDArray[np.float64], decay: float) -> _End:
    """Return ridge regression on features that stay as they are: f = Phi (lambda + Phi)^{-1} y."""
    train = points.order[: points.train]
    last = features.kernels[:, -1]
    ridged = last[:, train][:, :, train] + decay * np.eye(len(train))
    output = (last[:, :, train] @ np.linalg.solve(ridged, y[:, :, None]))[:, :, 0]
    return replace(features, output=output)


def _observables(
    problem: Problem, stage: Stage, points: _Points, end: _End, centred: NDArray[np.float64]
) -> dict[str, Observable]:
    """Return observables at a stage's last step, which are also their stationary averages."""
    import jax

    from harness import observables

    _, y, sets = observables.stage_points(problem.data, stage)
    own = points.order[: points.own]
    output, kernels = centred[:, own], end.kernels[:, :, own][:, :, :, own]
    rows = [
        observables.recorded_curves(sets, y, f[None], k[-1:])
        for f, k in zip(output, kernels, strict=True)
    ]
    final = {
        "output/test": output[:, slice(*sets.test)],
        "kernel/feature": kernels[:, :, sets.kept][:, :, :, sets.kept],
    }
    if isinstance(end.density, tuple):
        train = own[slice(*sets.train)]
        laws = jax.jit(jax.vmap(observables.preactivation_laws, (0, None)))
        found = laws([h[:, train] for h in end.density], y[slice(*sets.train)])
        final |= {name: np.asarray(value) for name, value in found.items()}
    elif end.density is not None:
        known = observables.gaussian_snapshot(sets, output[0], end.density[:, own], kernels[0])
        final |= {
            name: np.repeat(np.asarray(value)[None], len(output), axis=0)
            for name, value in known.items()
            if name not in final
        }
    curves = {name: np.stack([np.asarray(row[name]) for row in rows]) for name in rows[0]}
    replicated = len(output) > 1
    if not replicated:
        curves, final = ({n: v[0] for n, v in group.items()} for group in (curves, final))
    steps = np.array([stage.steps])
    named = observables.stage_observables(steps, curves, final, replicated)
    return named | {observables.stationary_name(name): value for name, value in named.items()}


def _gram(problem: Problem, order: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return K_x between all points, in an order."""
    x = _inputs(problem)
    return np.asarray((x @ x.T / x.shape[1])[np.ix_(order, order)])


def _inputs(problem: Problem) -> NDArray[np.float64]:
    """Return the inputs of all points of a problem."""
    mapped = [problem.architecture.input_map(d.x) for d in problem.data.sets().values()]
    return np.concatenate(mapped)


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
    x = _inputs(problem)
    trained = {stage.data for stage in problem.protocol.stages}
    member = np.concatenate([np.full(len(d), name in trained) for name, d in sets.items()])
    factor = numerics.gram_factor(x, np.eye(len(x))[:, member])
    return factor, min(int(member.sum()), factor.shape[1])
