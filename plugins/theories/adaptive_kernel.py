"""Adaptive kernels: what training with decay ends in, without marching through time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from harness import (
    LimitbenchError,
    Observable,
    Params,
    Problem,
    ProblemSize,
    Stage,
    Trajectory,
    Unkeyed,
    Work,
    theory,
)

if TYPE_CHECKING:
    from harness import stationary_ends as ends

FIRST_UNITS = 512
MORE_UNITS = 2048
"""Units of deep networks, whose search follows every step with all of its layers, and of
unbounded activations, whose tilted law has long tails."""
GRADIENTS = 1200
"""Gradients that a unit follows while a fixed point is found and observed, usually."""
GRADIENT_ELEMENTS = 6.0
"""Elements of work that a gradient takes for every training point and direction."""
PROGRAMS = 12.0
"""Compiled programs of a solution, five times as many in deep networks."""
DEEP = 2.0
"""Times as many in deep networks, whose tilts are matrices."""
DRAW_ELEMENTS = 25.0
"""Elements of work that a weighted draw takes for every point and direction."""
LOOKS = 48
"""Times that averages on all points are taken."""
KRYLOV_PASSES = 800
"""Times that a layer is passed in all Newton steps of a deep network."""
OBSERVATIONS = 32
"""Times that averages are taken to begin with."""
LEAST_OBSERVATIONS = 8
MOST_AGAIN = 4
"""Times as many units that a search is repeated with if it does not settle."""
MOST_UNITS = 2**16
MOST_SAMPLES = 2**30
RELAXATIONS = 5.0
"""Times 1 / decay that a stage has to run for its end to be its stationary state."""
RELAXATIONS_WITHOUT_NOISE = 100.0
"""The same for nonlinear units without noise, which approach their end algebraically."""
BOUNDED = ("tanh", "erf")
LINEAR = ("linear", "he1")
MOST_DIRECTIONS = 16
"""Directions in which units of bounded features are drawn and weighted; in more they are moved."""
GROWING_LINEARLY = ("relu", "gelu", *LINEAR)


class AdaptiveKernelParams(Params):
    """Parameters of `adaptive-kernel`."""

    target_error: float = Field(default=0.005, gt=0)
    """Standard error to reach, as a fraction of the norm of the predictor on the test points."""
    units: int | None = Field(default=None, ge=32, le=MOST_UNITS)
    """Hidden units of each replicate (and layer); chosen for the target error when not given."""
    replicates: int = Field(default=8, ge=2, le=64)
    """Independent solutions whose spread gives the standard errors."""
    memory_gib: Annotated[float, Field(gt=0), Unkeyed()] = 2.0
    """Bound on the memory of the units; the target error gives way to it."""
    precision: Literal["float32", "float64"] = "float32"
    """Arithmetic of the units; the fixed point is solved in float64."""
    seed: int = Field(default=0, ge=0)
    """Seed of the units."""


@theory(
    "adaptive-kernel",
    version="3",
    tags={"adaptive", "stationary", "bayesian"},
    citation="Lauditi, Bordelon & Pehlevan, arXiv:2502.07998 (ICML 2025); arXiv:2507.04448v1",
)
class AdaptiveKernel:
    """Stationary state of training with decay, as kernel regression with the adapted kernel.

    With a temperature it is the Bayesian posterior, f = Phi(x, X) (lambda + Phi)^{-1} y with the
    feature kernel Phi that learning has adapted; it is found directly, as the fixed point for the
    training errors and, in deep networks, the conjugate kernels of lower layers, and describes the
    end of a stage in the limit of small dt. Newton's method finds it while Hamiltonian Monte Carlo
    (blackjax) draws hidden units. Linear networks: one equation in closed form, or with elastic
    coupling the quenched replica-symmetric saddle, 3 depth - 1 equations. Without a
    temperature, two layers of ReLU: f = K(x, X) (K + 2 lambda)^{-1} y with the final tangent
    kernel K, by convex optimisation over units. Residuals (or duality gaps) are in the notes.
    Cost: depth x units x moves x points x (points + rank) where units are drawn, points^3 for
    linear networks, whatever the number of steps.

    Domain: dense layers; stages of at least five times 1 / decay, each with decay. At a
    temperature: any depth, activations that grow no faster than linearly, any readout and frozen
    features; elastic coupling for one hidden layer, and for linear networks of any depth to
    weights that were drawn or trained without coupling. Without: one hidden layer, linear or ReLU,
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

        Without given units it is that of the first and smallest solution. How many gradients
        Newton's method takes is not known before: the numbers are those of cases that were timed.
        """
        points = float(size.total)
        if not _is_sampled(size):
            return Work(100.0 * len(size.stages) * points**3, 0.0, 20.0, 80.0 * points**2)
        replicated = float(self._units(size.activation, size.depth) * self.params.replicates)
        deep = size.depth > 1
        rank = points if deep else min(points, size.inputs)
        trained = _trained_points(size)
        work = Work(0.0)
        if _is_weighted(size):
            draws = replicated * (OBSERVATIONS if self.params.units else LEAST_OBSERVATIONS)
            elements = DRAW_ELEMENTS * draws * (points + 2 * rank) * len(size.stages)
            calls = 500.0 * len(size.stages)
            return Work(0.0, elements, calls, 32.0 * draws * points, PROGRAMS)
        for stage in size.stages:
            train = size.train(stage)
            directions = train if deep else min(trained, rank)
            products = 4.0 * GRADIENTS * train * directions * (3 if deep else 1)
            products += LOOKS * 2.0 * points * (rank + points + train)
            elements = GRADIENTS * GRADIENT_ELEMENTS * (DEEP if deep else 1.0)
            elements = elements * (train + directions) + LOOKS * 20.0 * points
            if deep:
                products += KRYLOV_PASSES * 24.0 * train**2
                elements += KRYLOV_PASSES * 16.0 * train
            work += Work(products, elements)
        work = work.times(replicated * size.depth)
        held = replicated * size.depth * (4 * points + 6 * rank)
        held *= np.dtype(self.params.precision).itemsize
        calls, programs = 50.0 * len(size.stages), PROGRAMS * (5.0 if deep else 1.0)
        return Work(work.flops, work.elements, calls, held, programs)

    def predict(self, problem: Problem) -> Trajectory:
        """Solve every stage's fixed point, with more samples until the target error is met."""
        if not _is_sampled(problem):
            return self._solve(problem, 0)
        from harness import observables

        p = self.params
        architecture = problem.architecture
        smallest = self._units(architecture.activation, architecture.depth)
        most = self._affordable(problem)
        weighted = _is_weighted(ProblemSize.of(problem))
        first = p.replicates * OBSERVATIONS * min(smallest, most)
        bound = (
            p.replicates * OBSERVATIONS * most
            if _couples(problem.protocol.stages)
            else MOST_SAMPLES
        )
        return observables.until_accurate(
            lambda samples: self._solve(problem, samples),
            p.target_error,
            first // 4 if p.units is None and (weighted or smallest == MORE_UNITS) else first,
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

    def _sampling(self, problem: Problem, samples: int) -> ends.UnitSampling:
        """Return how to take about so many samples."""
        from harness import stationary_ends as ends

        p, architecture = self.params, problem.architecture
        units = self._units(architecture.activation, architecture.depth)
        observations, coupled = OBSERVATIONS, _couples(problem.protocol.stages)
        if coupled:  # what units are coupled to is drawn once for each of them
            units = max(32, 2 ** int(np.ceil(np.log2(samples / p.replicates / observations))))
        else:
            observations = max(LEAST_OBSERVATIONS, round(samples / p.replicates / units))
        units = p.units or min(units, self._affordable(problem))
        return ends.UnitSampling(
            units,
            observations,
            most=units * (1 if p.units or coupled else MOST_AGAIN),
            weighted=_is_weighted(ProblemSize.of(problem)),
            precision=p.precision,
            seed=p.seed,
        )

    def _solve(self, problem: Problem, samples: int) -> Trajectory:
        """Solve with about so many samples of hidden units, 0 where none are needed."""
        from harness import numerics
        from harness import points as points_of
        from harness import stationary_ends as ends

        replicates = self.params.replicates if samples else 1
        points = points_of.stacked_points(problem)
        end: ends.StageEnd | None = None
        before = np.zeros((replicates, len(points.x)))
        found: list[dict[str, Observable]] = []
        notes: dict[str, float] = {"samples": 0, "replicates": replicates}
        if samples:
            sampling = self._sampling(problem, samples)
            drawn = replicates * sampling.units
            notes |= {"samples": drawn * sampling.observations, "units": drawn}
        for index, stage in enumerate(problem.protocol.stages):
            order = points_of.stage_order(points, stage)
            keeps = stage.readout == "keep" and index > 0
            # f of the previous stage in this one's scale, where training starts
            start = before / stage.richness * (keeps and stage.center)
            y = problem.data.train(stage.data).y + start[:, order.indices[: order.train]]
            if stage.trainable == "readout":
                features = end or ends.initial_end(problem, points, replicates)
                end = ends.regressed_end(features, order, y, stage)
            else:
                task = ends.TrainedStage(problem, stage, index, points, order, y, end)
                try:
                    if not samples and problem.architecture.activation in LINEAR:
                        end, noted = ends.linear_end(task)
                    elif stage.temperature <= 0:
                        end, noted = ends.end_without_noise(task, self.params.seed)
                    else:
                        end, noted = ends.drawn_end(task, sampling)
                except numerics.SolverError as error:
                    raise LimitbenchError(f"adaptive-kernel: stage {index}: {error}") from None
                notes |= {f"stage{index}/{name}": value for name, value in noted.items()}
            before = end.output * stage.richness
            found.append(ends.end_observables(problem, stage, order, end, end.output - start))
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
    if _is_coupled(stage):
        reason = _coupling_reason(stages[: index + 1], depth, linear)
        if reason is not None:
            return reason
    return _length_reason(stage, relaxations)


def _coupling_reason(stages: Sequence[Stage], depth: int, linear: bool) -> str | None:
    """Return why the coupling of the last stage is outside the domain, or None."""
    if stages[-1].temperature <= 0 or (depth > 1 and not linear):
        return (
            "describes elastic coupling at a temperature, of one hidden layer or of linear networks"
        )
    if depth > 1 and _is_chained(stages):
        return (
            "describes elastic coupling of several layers to weights that were drawn, or trained"
            " without coupling"
        )
    if any(s.trainable == "all" and s.temperature <= 0 for s in stages[:-1]):
        return "describes elastic coupling to weights that were trained at a temperature"
    return None


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


def _is_coupled(stage: Stage) -> bool:
    """Return whether hidden weights are coupled to where they started in a stage."""
    return stage.elastic > 0 and stage.trainable == "all"


def _couples(stages: Sequence[Stage]) -> bool:
    """Return whether any of the stages is coupled."""
    return any(_is_coupled(stage) for stage in stages)


def _is_chained(stages: Sequence[Stage]) -> bool:
    """Return whether the last stage is coupled to the weights of one that was coupled itself."""
    earlier = [s for s in stages[:-1] if s.trainable == "all"]
    return _is_coupled(stages[-1]) and bool(earlier) and _is_coupled(earlier[-1])


def _is_sampled(problem: Problem | ProblemSize) -> bool:
    """Return whether hidden units have to be drawn in any stage."""
    if isinstance(problem, Problem):
        problem = ProblemSize.of(problem)
    stages = problem.stages
    warm = any(s.temperature > 0 and s.trainable == "all" for s in stages)
    chained = any(_is_chained(stages[: index + 1]) for index in range(len(stages)))
    return warm and (problem.activation not in LINEAR or chained)


def _trained_points(size: ProblemSize) -> int:
    """Return the number of points that any stage trains on."""
    return sum({stage.data: size.train(stage) for stage in size.stages}.values())


def _is_weighted(size: ProblemSize) -> bool:
    """Return whether units are drawn and weighted, rather than moved."""
    directions = min(_trained_points(size), size.inputs)
    bounded = size.depth == 1 and size.activation in BOUNDED
    return bounded and directions <= MOST_DIRECTIONS and not _couples(size.stages)
