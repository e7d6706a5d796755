"""Two-layer networks at infinite width, by quasi-Monte Carlo over hidden units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal

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
    recorded_steps,
    theory,
)

FIRST_SAMPLES = 8192
"""Samples of the first solution, for units at one position."""
LEAST_FIRST_SAMPLES = 1024
"""Those for units at many positions, whose samples each cost and tell more."""
MOST_SAMPLES = 2**22
Solver = Callable[..., Any]
"""A solver of `harness.numerics`, which is loaded when it is first used."""
RELATIVE_COST = 1.3
"""Time of a sample, relative to a hidden unit of the networks in `ProblemSize.training`."""
WEIGHT_COPIES = 4
"""Arrays of the weights' size in memory: before and after a step, at the stage's start where
weights are coupled to it, and one to spare."""


class MeanFieldParams(Params):
    """Parameters of `mean-field`."""

    target_error: float = Field(default=0.01, gt=0)
    """Standard error to reach, as a fraction of the norm of the predictor on the test points."""
    samples: int | None = Field(default=None, ge=32, le=MOST_SAMPLES)
    """Total of hidden units over the replicates, all of them trained; chosen for the target error
    when not given."""
    replicates: int = Field(default=8, ge=2, le=64)
    """Independent solutions whose spread gives the standard errors."""
    memory_gib: Annotated[float, Field(gt=0), Unkeyed()] = 2.0
    """Bound on the memory of the particles; the target error gives way to it."""
    precision: Literal["float32", "float64"] = "float32"
    """Arithmetic of the particles."""
    seed: int = Field(default=0, ge=0)
    """Seed of the samples."""


@theory(
    "mean-field",
    version="6",
    tags={"two-layer", "adaptive"},
    citation="Lauditi, Bordelon & Pehlevan, arXiv:2507.04448, Result 1",
)
class MeanField:
    """Exact infinite-width limit of two-layer networks, any activation and any stages.

    Each hidden unit is an independent draw of (omega, z), coupled to the rest through the
    average that makes the predictor; the same discrete steps as the networks, so time
    discretisation cancels. Samples are antithetic pairs (omega, +-z) on a scrambled Sobol
    sequence with exact second moments. Where the target error needs many, most of them are not
    trained but take a few long steps under the frozen error signal of an earlier solution, and
    give a correction of the trained ones' predictor. Stages with a temperature train all, and
    also give averages over their stationary window. Cost: samples x points x positions x rank a
    step.

    Domain: one hidden layer, dense or of units at several positions with any pooling (`conv`),
    every protocol option.
    """

    def __init__(self, params: MeanFieldParams) -> None:
        self.params = params

    def supports(self, problem: Problem) -> str | None:
        """Return None for one hidden layer, else the reason."""
        if problem.architecture.depth != 1:
            return f"describes one hidden layer, not {problem.architecture.depth}"
        return problem.beyond(
            losses=("squared", "logistic", "softmax"),
            several_outputs=True,
            positions=True,
            layers=True,
            linearised=True,
        )

    def cost(self, size: ProblemSize) -> Work:
        """Return the work of one solution: without given samples, the first and smallest."""
        rank, p = min(size.total * size.positions, size.inputs), self.params
        samples = p.samples or _first_samples(size)
        one = size.training(samples // p.replicates, inputs=rank)
        kept = WEIGHT_COPIES * samples * (rank + size.readouts) * np.dtype(p.precision).itemsize
        looks = sum(len(recorded_steps(stage.steps)) for stage in size.stages)
        return replace(
            one.times(RELATIVE_COST * p.replicates),
            calls=float(looks * p.replicates),
            bytes=one.bytes + kept,
        )

    def predict(self, problem: Problem) -> Trajectory:
        """Solve the particle system, with more samples until the target error is met."""
        p = self.params
        size = ProblemSize.of(problem)
        most = p.samples or min(MOST_SAMPLES, self._affordable(size))
        first = p.samples or min(_first_samples(size), most)
        settings = harness.numerics.MeanFieldSettings(
            replicates=p.replicates,
            precision=p.precision,
            seed=p.seed,
            trained=None if p.samples else first,
            most=most,
        )
        return harness.solving.until_accurate(
            problem,
            self._solver(),
            settings,
            target=p.target_error,
            first=first,
            most=most,
        )

    def _solver(self) -> Solver:
        return harness.numerics.solve_mean_field

    def _affordable(self, size: ProblemSize) -> int:
        """Return the number of samples that fit in the memory bound."""
        rows = size.total * size.positions
        # pre-activations and their products exist for one replicate at a time
        numbers = 6 * rows / self.params.replicates
        # readouts beyond the first of a unit
        numbers += WEIGHT_COPIES * (min(rows, size.inputs) + size.readouts - 1)
        bytes_each = np.dtype(self.params.precision).itemsize
        return max(64, int(self.params.memory_gib * 2**30 / (numbers * bytes_each)))


def _first_samples(size: ProblemSize) -> int:
    """Return the samples of the first solution."""
    return max(FIRST_SAMPLES // size.positions, LEAST_FIRST_SAMPLES)


@theory(
    "after-kernel",
    version="1",
    tags={"two-layer", "rival"},
    citation="Long, arXiv:2105.10585; Atanasov, Bordelon & Pehlevan, ICLR 2022",
)
class AfterKernel(MeanField):
    """Kernel regression with the tangent kernel that training has adapted, f = K(x, X) K(X, X)^+ y.

    K = <phi phi> + <g g> K_x with g = z phi'(h), over the units of `mean-field` at the end of a
    stage; the feature kernel alone where only the readout trains, which is then exact for long
    training. The gradient flow itself has followed all kernels from the first to this one. Only the
    end of a stage is predicted, as if it were trained to convergence. Directions whose
    eigenvalue is a rounding error are left out. Cost: that of `mean-field`, and points^3.

    Domain: one hidden layer, dense or of units at several positions, one output, squared loss;
    stages from the zero predictor (center = true), without decay, coupling or temperature.
    """

    def supports(self, problem: Problem) -> str | None:
        """Return None inside the domain, else the reason."""
        for index, stage in enumerate(problem.protocol.stages):
            for term in ("decay", "elastic", "temperature"):
                if getattr(stage, term) > 0:
                    return f"describes gradient flow without {term} ({getattr(stage, term):g})"
            if index > 0 and stage.readout == "keep" and not stage.center:
                return "describes stages that start from the zero predictor (center = true)"
        if problem.architecture.depth != 1:
            return f"describes one hidden layer, not {problem.architecture.depth}"
        return problem.beyond(positions=True, layers=True, linearised=True)

    def _solver(self) -> Solver:
        return harness.numerics.solve_after_kernel
