"""Approximate theories of the stationary state of two layers, without sampling."""

from __future__ import annotations

from typing import ClassVar

import harness
from harness import Params, Problem, ProblemSize, Stage, Trajectory, Work, theory

from ._stationary import length_reason

POLYNOMIAL = tuple(f"he{degree}" for degree in range(2, 10))
KERNEL_ELEMENTS = 160.0
"""Elements of work for an entry of the dual activations and their derivatives."""
MINIMISER_STEPS = 60.0
"""Typical number of evaluations in the search for the best Gaussian law."""
STAGE_CALLS = 10.0
"""Least time of a stage, in units of compiled calls, however few its points."""


class RivalParams(Params):
    """Theories of the stationary state without sampling take no parameters."""


class _Rival:
    """Common part: the domain, and the solution stage by stage.

    Attributes:
        evaluations: kernels on the training points in the solution of a stage.
        solver: name of its solver in `harness.numerics`.
    """

    evaluations: ClassVar[float]
    solver: ClassVar[str]

    def __init__(self, params: RivalParams) -> None:
        self.params = params

    def supports(self, problem: Problem) -> str | None:
        """Return None for long Langevin training of two layers, else the reason."""
        if problem.architecture.depth != 1:
            return f"describes one hidden layer, not {problem.architecture.depth}"
        for index, stage in enumerate(problem.protocol.stages):
            if reason := _stage_reason(stage):
                return f"{reason} (stage {index})"
        return problem.beyond() or self._activation_reason(problem.architecture.activation)

    def _activation_reason(self, activation: str) -> str | None:
        return None

    def cost(self, size: ProblemSize) -> Work:
        """Return the work of the kernels and linear systems of every stage."""
        work = Work(0.0)
        for stage in size.stages:
            train, points = float(size.train(stage)), float(size.total)
            count = self.evaluations if stage.trainable == "all" else 0.0
            work += Work(
                10.0 * count * train**3 + 4.0 * points**3,
                KERNEL_ELEMENTS * (count * train**2 + points**2),
                STAGE_CALLS * (1.0 + count),
                64.0 * points**2,
            )
        return work

    def predict(self, problem: Problem) -> Trajectory:
        """Solve every stage on its own: a stationary state has forgotten its start."""
        solver = getattr(harness.numerics, self.solver)
        found = harness.solving.solve_problem(problem, solver, None)
        return harness.observables.also_stationary(found)


def _stage_reason(stage: Stage) -> str | None:
    """Return the reason why a stage is outside the domain, or None."""
    if stage.decay <= 0:
        return "describes training with decay; decay is 0, and the end depends on the start"
    if stage.trainable != "readout":
        if stage.temperature <= 0:
            return "describes Langevin training; temperature is 0"
        if stage.elastic > 0:
            return "describes weights that forget their start, without elastic coupling"
    return length_reason(stage)


@theory(
    "kernel-rescaling",
    version="1",
    tags={"two-layer", "stationary", "bayesian", "rival"},
    citation="Li & Sompolinsky, PRX 11, 031059 (2021); Pacelli et al., arXiv:2209.04882",
)
class KernelRescaling(_Rival):
    """Bayesian two-layer networks if learning changed nothing but the scale of the kernel.

    Features keep their prior law h ~ N(0, K_x T / lambda), with the kernel Phi_0, and only the
    readout adapts: f = Phi(x, X) (lambda + Phi)^{-1} y with Phi = q Phi_0 and q the minimum of

        q/2 - (log q)/2 + gamma^2/(2T) y^T (I + q Phi_0/lambda)^{-1} y,

    a convex function of one number. For linear networks the predictor is that of the exact law,
    `adaptive-kernel`, although the kernel is not. `kernel/feature` is q Phi_0, the kernel of
    the predictor; pre-activations are those of the prior. Stages with frozen features regress on
    the kernel before them. Cost: points^3, whatever the number of steps.

    Domain: one dense hidden layer of any activation; stages of at least five times 1 / decay, with
    decay, and with a temperature where hidden weights train; no elastic coupling.
    """

    evaluations, solver = 1.0, "solve_rescaled"


@theory(
    "gaussian-adaptation",
    version="1",
    tags={"two-layer", "adaptive", "stationary", "bayesian", "rival"},
    citation="Naveh & Ringel, NeurIPS 2021; Seroussi, Naveh & Ringel, Nature Comm. 14, 908 (2023)",
)
class GaussianAdaptation(_Rival):
    """Bayesian two-layer networks with the best Gaussian law of hidden units.

    Of all laws q(h) = N(0, Sigma) it is the one nearest to the exact law of `adaptive-kernel`,
    which is not Gaussian for nonlinear phi:

        Sigma^{-1} = (lambda/T) K_x^{-1} - gamma^2/(T lambda) E_q[d^2/dh dh^T 1/2 (Delta.phi)^2],
        Phi = E_q[phi phi^T],  Delta = lambda (lambda + Phi)^{-1} y,
        f = Phi(x, X) (lambda + Phi)^{-1} y.

    It minimises a variational bound, found by L-BFGS with exact averages (dual activations and
    Stein's lemma, no sampling); the residual of Sigma^{-1} is in the notes. Exact for linear
    networks. Stages with frozen features regress on the kernel before them. Cost: points^3 times
    tens of evaluations, whatever the number of steps.

    Domain: one dense hidden layer of an activation that grows no faster than linearly; stages of
    at least five times 1 / decay, with decay, and with a temperature where hidden weights train;
    no elastic coupling.
    """

    evaluations, solver = MINIMISER_STEPS, "solve_adapted"

    def _activation_reason(self, activation: str) -> str | None:
        if activation in POLYNOMIAL:
            return f"describes activations that grow no faster than linearly, not {activation}"
        return None
