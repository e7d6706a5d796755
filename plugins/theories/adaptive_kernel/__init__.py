"""Adaptive kernels: stationary states of training with decay, without marching through time."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

import harness
from harness import (
    Params,
    Problem,
    ProblemSize,
    Trajectory,
    Unkeyed,
    Work,
    theory,
)

from .domain import BOUNDED, couples, is_sampled, is_weighted, reason_against, trained_points

FIRST_UNITS = 512
MORE_UNITS = 2048
"""Units for deep networks, whose search moves all layers at every step, and for unbounded
activations, whose tilted law has long tails."""
GRADIENTS = 1200
"""Typical number of gradients of a unit in the search for a fixed point and its observation."""
GRADIENT_ELEMENTS = 6.0
"""Elements of work of a gradient for every training point and direction."""
PROGRAMS = 12.0
"""Compiled programs of a solution, five times as many in deep networks."""
DEEP = 2.0
"""Factor of the same for deep networks, whose tilts are matrices."""
DRAW_ELEMENTS = 25.0
"""Elements of work of a weighted draw for every point and direction."""
LOOKS = 48
"""Number of averages on all points."""
KRYLOV_PASSES = 800
"""Passes through a layer in all Newton steps of a deep network."""
OBSERVATIONS = 32
"""Number of observations in the first solution."""
LEAST_OBSERVATIONS = 8
MOST_UNITS = 2**16
MOST_SAMPLES = 2**30


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
    version="4",
    tags={"adaptive", "stationary", "bayesian"},
    citation="Lauditi, Bordelon & Pehlevan, arXiv:2502.07998 (ICML 2025); arXiv:2507.04448v1",
)
class AdaptiveKernel:
    """Stationary state of training with decay, as kernel regression with the adapted kernel.

    With a temperature it is the Bayesian posterior, f = Phi(x, X) (lambda + Phi)^{-1} y with the
    feature kernel Phi that learning has adapted. It is solved directly, as the fixed point for the
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
        return reason_against(problem)

    def cost(self, size: ProblemSize) -> Work:
        """Return the work of drawing units at the fixed points, or of one equation elsewhere.

        Without given units it is the work of the first and smallest solution. The number of
        gradients in Newton's method is not known in advance: the constants come from timed cases.
        """
        points = float(size.total)
        if not is_sampled(size):
            return Work(100.0 * len(size.stages) * points**3, 0.0, 20.0, 80.0 * points**2)
        replicated = float(self._units(size.activation, size.depth) * self.params.replicates)
        deep = size.depth > 1
        rank = points if deep else min(points, size.inputs)
        trained = trained_points(size)
        work = Work(0.0)
        if is_weighted(size):
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
        p, size = self.params, ProblemSize.of(problem)
        smallest, most = self._units(size.activation, size.depth), self._affordable(size)
        coupled, weighted = couples(size.stages), is_weighted(size)
        settings = harness.numerics.StationarySettings(
            replicates=p.replicates,
            units=smallest,
            most=most,
            given=p.units is not None,
            observations=OBSERVATIONS,
            weighted=weighted,
            coupled=coupled,
            precision=p.precision,
            seed=p.seed,
        )
        solver = harness.numerics.solve_stationary
        if not is_sampled(size):
            found = harness.solving.solve_problem(problem, solver, settings)
        else:
            first = p.replicates * OBSERVATIONS * min(smallest, most)
            bound = p.replicates * OBSERVATIONS * most if coupled else MOST_SAMPLES
            few = p.units is None and (weighted or smallest == MORE_UNITS)
            found = harness.solving.until_accurate(
                problem,
                solver,
                settings,
                target=p.target_error,
                first=first // 4 if few else first,
                most=first if p.units else bound,
            )
        return harness.observables.also_stationary(found)

    def _units(self, activation: str, depth: int) -> int:
        """Return the number of units of a replicate in the first solution."""
        few = activation in BOUNDED and depth == 1
        return self.params.units or (FIRST_UNITS if few else MORE_UNITS)

    def _affordable(self, size: ProblemSize) -> int:
        """Return the number of units of a replicate that fit in the memory bound."""
        p, points = self.params, size.total
        # one replicate moves at a time; weights and one sample of pre-activations are kept for all
        kept = size.depth * points * 3 * p.replicates
        one = np.dtype(p.precision).itemsize * (kept + 40 * points)
        fitting = 2 ** int(np.log2(max(32.0, p.memory_gib * 2**30 / one)))
        return p.units or min(MOST_UNITS, fitting)
