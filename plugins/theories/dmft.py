"""Networks of any depth at infinite width, by dynamical mean-field theory."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

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

FIRST_SAMPLES = 512
MOST_SAMPLES = 2**16
MOST_REPLICATES = 64
SIDE_BY_SIDE = 8192
"""Samples of all replicates that run side by side: more of them leave the processor's cache."""
STEP_PRODUCTS, LOOK_PRODUCTS = 180.0, 42.0
"""Operations of matrix products for every direction, sample and point, in a step and in an
observation, at a network's rate; the numbers allow for the lower rate of these narrow products."""
KINK = 2.0
"""Factor of the same for an activation with a kink: its history explores more directions."""
LINEAR_STEP_PRODUCTS, LINEAR_LOOK_PRODUCTS = 80.0, 60.0
"""The same for exact solutions, whose steps seldom meet new directions."""
STEP_ELEMENTS, LOOK_ELEMENTS = 8.0, 6.0
"""Elements of all other work for every sample and point, in a step and in an observation."""
CALLS, LINEAR_CALLS = 100.0, 30.0
"""Host time of a stage, in units of compiled calls, for sampled and exact solutions."""
PROGRAMS = 24.0
"""Compiled programs of a solution."""
LINEAR_ROOM = 128
"""Initial room for directions in an exact solution."""
ITEM = 4
"""Bytes of a number in networks, whose rates are the unit of work."""


class DMFTParams(Params):
    """Parameters of `dmft`."""

    target_error: float = Field(default=0.01, gt=0)
    """Standard error to reach, as a fraction of the norm of the predictor on the test points."""
    samples: int | None = Field(default=None, ge=64, le=MOST_SAMPLES)
    """Hidden units of each layer and replicate; chosen for the target error when not given."""
    replicates: int = Field(default=8, ge=2, le=MOST_REPLICATES)
    """Independent solutions whose spread gives the standard errors; more where memory bounds the
    samples of each."""
    tolerance: float | None = Field(default=None, gt=0, lt=1)
    """Relative variance below which a direction of the history is dropped; a hundredth of the
    target error when not given."""
    memory_gib: Annotated[float, Field(gt=0), Unkeyed()] = 4.0
    """Bound on the memory of the histories."""
    precision: Literal["float32", "float64"] = "float32"
    """Arithmetic of the fields."""
    seed: int = Field(default=0, ge=0)
    """Seed of the samples."""


@theory(
    "dmft",
    version="4",
    tags={"deep", "adaptive"},
    citation="Bordelon & Pehlevan, arXiv:2205.09653 (NeurIPS 2022)",
)
class DMFT:
    """Infinite-width limit of dense and residual networks of any depth: DMFT in one causal pass.

    The fields of every layer march once through the discrete steps of training, all stages on one
    history; response functions come from Stein's lemma, and the history keeps only the directions
    that training explores. Linear networks are solved exactly, by propagating coefficients
    instead of samples. Cost: depth x steps x samples x points x explored directions.

    Domain: dense layers of any depth and activation, with skips (arXiv:2309.16620) or without,
    and every protocol option but temperature. Where training ends far in the lazy regime,
    `lazy-ntk` is the limit, without sampling. The bias of finite samples, about 1 / S, is below
    the reported standard error.
    """

    responses: ClassVar[bool] = True

    def __init__(self, params: DMFTParams) -> None:
        self.params = params

    def supports(self, problem: Problem) -> str | None:
        """Return None for dense layers, with or without skips, and no noise; else the reason."""
        if any(stage.temperature > 0 for stage in problem.protocol.stages):
            return "describes training without noise (temperature = 0)"
        stages = problem.protocol.stages
        if any(s.decay > 0 for s in stages) and any(s.names_layers for s in stages):
            return "describes decay where all hidden weights are trained, and none drawn afresh"
        return problem.beyond(
            losses=("squared", "logistic", "softmax"),
            several_outputs=True,
            skips=True,
            layers=True,
            linearised=True,
        )

    def cost(self, size: ProblemSize) -> Work:
        """Return the work of all replicates, or of the one exact solution of a linear network.

        Without given samples it is the work of the first and smallest solution. The number of
        explored directions is known only afterwards: the initial room for them stands for it.
        """
        p = self.params
        trained = [size.train(stage) for stage in size.stages]
        if size.activation == "linear":
            looked = max(size.seen(stage) for stage in size.stages)
            room = max(LINEAR_ROOM, 2 * max(trained))
            # a field is a vector over coordinates: of inputs and queries, two for each direction,
            # with skips those of all pairs of layers
            pairs = 1 if size.branch_scale is None else max(1, size.depth - 1)
            units, together, itemsize = looked + sum(trained) + 2 * room * pairs, 1, 2 * ITEM
            replicates, calls = 1, LINEAR_CALLS
            products = LINEAR_STEP_PRODUCTS, LINEAR_LOOK_PRODUCTS
        else:
            most = self._affordable(size.depth, size.total)
            units, itemsize = p.samples or min(FIRST_SAMPLES, most), np.dtype(p.precision).itemsize
            room = min(max(64, 4 * sum(trained) + 24), units // 4)
            replicates = p.replicates
            together = max(1, min(replicates, min(most, SIDE_BY_SIDE) // units))
            kink = KINK if size.activation == "relu" else 1.0
            calls, products = CALLS, (kink * STEP_PRODUCTS, kink * LOOK_PRODUCTS)
        count, share = float(units * replicates), itemsize / ITEM
        work = Work(0.0)
        for stage, train in zip(size.stages, trained, strict=True):
            steps = 1 if stage.trainable == "readout" else stage.steps
            records = len(recorded_steps(stage.steps))
            trains, looks = float(steps * train), float(records * size.seen(stage))
            inner = (size.depth - 1) * room
            outer = 1 + min(sum(trained), size.inputs)
            work += Work(
                count * share * inner * (products[0] * trains + products[1] * looks)
                + count * share * outer * (4.0 * trains + 2.0 * looks),
                count * share * size.depth * (STEP_ELEMENTS * trains + LOOK_ELEMENTS * looks),
                calls * -(-replicates // together),
            )
        held = size.depth * (8 * room + 4 * size.total) * itemsize * units * together
        return Work(work.flops, work.elements, work.calls, float(held), PROGRAMS)

    def predict(self, problem: Problem) -> Trajectory:
        """Solve in replicates, with more samples until the target error is met."""
        p = self.params
        points = sum(len(data) for data in problem.data.sets().values())
        affordable = self._affordable(problem.architecture.depth, points)
        most = p.samples or min(MOST_SAMPLES, affordable)
        first = p.samples or min(FIRST_SAMPLES, most)
        settings = harness.numerics.DMFTSettings(
            replicates=p.replicates,
            precision=p.precision,
            seed=p.seed,
            tolerance=p.tolerance or p.target_error / 100,
            first=first,
            most=most,
            side_by_side=min(affordable, SIDE_BY_SIDE),
            most_replicates=MOST_REPLICATES,
            bound="the parameter samples" if p.samples else f"memory_gib = {p.memory_gib:g}",
            responses=self.responses,
        )
        return harness.solving.until_accurate(
            problem,
            harness.numerics.solve_dmft,
            settings,
            target=p.target_error,
            first=first * p.replicates,
            most=p.samples * p.replicates if p.samples else most * MOST_REPLICATES,
        )

    def _affordable(self, depth: int, points: int) -> int:
        """Return the samples that fit in the memory bound, for a few hundred directions."""
        numbers = depth * (4 * 512 + 4 * points)
        size = np.dtype(self.params.precision).itemsize
        return max(64, 2 ** int(np.log2(self.params.memory_gib * 2**30 / (numbers * size))))


@theory(
    "dmft-no-response",
    version="1",
    tags={"deep", "adaptive", "rival"},
    citation="Bordelon & Pehlevan, arXiv:2205.09653 (NeurIPS 2022), with A = B = 0",
)
class DMFTNoResponse(DMFT):
    """An approximation of `dmft` that drops the response functions, A = B = 0.

    The noise of the forward fields, u ~ GP(0, Phi), is then independent of that of the backward
    ones, r ~ GP(0, G), through all of training, as it is at initialisation (gradient
    independence); the changes of the weights are kept, and the predictor follows the tangent kernel
    of these fields:

        h^{l+1}(t) = u^{l+1}(t) + sum_s c(s) g^{l+1}(s) Phi^l(s; t),
        z^l(t) = r^l(t) + sum_s c(s) phi(h^l(s)) G^{l+1}(s; t),
        f <- f + dt K Delta,  K = Phi^L + sum_l G^l Phi^{l-1}.

    It has the lazy limit, and parameters and solver of `dmft`; its distance from it is that of the
    responses, and of order dt. Cost: that of `dmft`.

    Domain: from two dense hidden layers on, one output, squared loss, all weights or the readout
    trained; stages from the zero predictor (center = true), without decay, coupling or temperature.
    One hidden layer has no response functions.
    """

    responses: ClassVar[bool] = False

    def supports(self, problem: Problem) -> str | None:
        """Return None inside the domain, else the reason."""
        if problem.architecture.depth < 2:
            return "describes two hidden layers or more; one has no response functions to drop"
        for index, stage in enumerate(problem.protocol.stages):
            for term in ("decay", "elastic", "temperature"):
                if getattr(stage, term) > 0:
                    return f"describes gradient flow without {term} ({getattr(stage, term):g})"
            if index > 0 and stage.readout == "keep" and not stage.center:
                return "describes stages that start from the zero predictor (center = true)"
        return problem.beyond()
