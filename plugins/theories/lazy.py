"""The lazy limits: kernel regression with the kernels of initialisation, stage by stage."""

from __future__ import annotations

from typing import ClassVar

import harness
from harness import (
    Params,
    Problem,
    ProblemSize,
    Trajectory,
    Work,
    recorded_steps,
    theory,
)

KERNEL_ELEMENTS = 40.0
"""Elements of work for an entry of a layer's dual activations."""
STAGE_CALLS = 5.0
"""Least time of a stage, in units of compiled calls, however few its points."""


class LazyParams(Params):
    """Lazy theories take no parameters."""


class _Lazy:
    """Common part of the lazy theories: their domain, and the solution for a kernel.

    Attributes:
        features_only: whether hidden weights take no part in any stage.
    """

    features_only: ClassVar[bool]

    def __init__(self, params: LazyParams) -> None:
        self.params = params

    def supports(self, problem: Problem) -> str | None:
        """Return None inside the domain, else the reason."""
        for index, stage in enumerate(problem.protocol.stages):
            if self.features_only and not stage.trains("readout"):
                return "describes training of the readout, which is frozen"
            if not self.features_only and stage.trainable != "readout":
                for term in ("decay", "elastic", "temperature"):
                    if getattr(stage, term) > 0:
                        return (
                            f"features do not stay as they were drawn with {term}"
                            f" ({getattr(stage, term):g}) on hidden weights"
                        )
            if index > 0 and stage.readout == "keep":
                if not stage.center:
                    return "describes stages that start from the zero predictor (center = true)"
                if stage.decay > 0:
                    return (
                        f"describes decay ({stage.decay:g}) of a readout that starts afresh"
                        ' (readout = "zero" or "reset"), not of a kept one'
                    )
        return problem.beyond(
            losses=("squared", "logistic", "softmax"),
            parameterizations=("mean-field", "ntk"),
            several_outputs=True,
            skips=True,
            positions=True,
            layers=True,
            linearised=True,
        )

    def cost(self, size: ProblemSize) -> Work:
        """Return the work of kernels, eigenvectors and recorded predictors of every stage."""
        work = Work(0.0)
        for stage in size.stages:
            points, seen = size.train(stage), size.seen(stage)
            records = len(recorded_steps(stage.steps))
            # pooled positions meet each other, others only themselves
            pairs = size.positions * (size.positions if size.readouts == 1 else 1)
            work += Work(
                2.0 * seen**2 * pairs * size.inputs
                + 25.0 * points**3
                + 2.0 * records * points * seen,
                KERNEL_ELEMENTS * size.depth * pairs * seen**2 + records * points**2,
                STAGE_CALLS,
                8.0 * seen**2 * (2 * size.depth + 8),
            )
        return work

    def predict(self, problem: Problem) -> Trajectory:
        """Solve every stage in closed form."""
        settings = harness.numerics.LazySettings(self.features_only)
        return harness.solving.solve_problem(problem, harness.numerics.solve_lazy, settings)


@theory(
    "lazy-ntk",
    version="4",
    tags={"lazy", "baseline", "exact"},
    citation="Jacot, Gabriel & Hongler, NeurIPS 2018; Lee et al., NeurIPS 2019",
)
class LazyNTK(_Lazy):
    """Limit of vanishing richness: features never move, outputs follow a fixed kernel.

    While all weights train, the kernel is the neural tangent kernel at initialisation; while only
    the readout trains, or the readout starts the stage at zero, it is the feature kernel (NNGP).
    The discrete steps are summed exactly in the kernel's eigenbasis: no time discretisation
    error, no sampling. Cost: points^3, whatever the number of steps.

    Domain: layers of any depth with or without skips, or one layer with units at several
    positions of the input. While hidden weights train: no decay, elastic coupling or
    temperature, which leave the lazy limit. Stages that keep the readout start from the zero
    predictor (center = true) and have no decay.
    """

    features_only = False


@theory(
    "lazy-nngp",
    version="4",
    tags={"lazy", "baseline", "exact"},
    citation="Lee et al., Deep Neural Networks as Gaussian Processes, ICLR 2018",
)
class LazyNNGP(_Lazy):
    """Random features: only the readout learns, on the features of the initial draw.

    The kernel of every stage is the feature kernel at initialisation (NNGP), with the solution of
    `lazy-ntk`; decay acts on the readout alone, as a ridge. Cost: points^3, whatever the number of
    steps.

    Domain: layers of any depth with or without skips, or one layer with units at several
    positions of the input; exact where only the readout trains from the first stage on,
    a baseline elsewhere. Stages that keep the readout start from the zero predictor (center = true)
    and have no decay.
    """

    features_only = True
