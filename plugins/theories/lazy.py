"""The lazy limits: kernel regression with the kernels of initialisation, stage by stage."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import (
    DivergenceError,
    Params,
    Problem,
    ProblemSize,
    Stage,
    Trajectory,
    Work,
    recorded_steps,
    theory,
)

KERNEL_ELEMENTS = 40.0
"""Elements of work that an entry of a layer's dual activations is worth."""
STAGE_CALLS = 5.0
"""Compiled calls' worth of time that a stage takes, however few its points."""


class LazyParams(Params):
    """Lazy theories take no parameters."""


class _Lazy(ABC):
    """What the lazy theories share: their domain, and the solution for a kernel."""

    def __init__(self, params: LazyParams) -> None:
        self.params = params

    def supports(self, problem: Problem) -> str | None:
        """Return None inside the domain, else the reason."""
        if problem.architecture.connectivity != "dense":
            return f"describes dense layers, not {problem.architecture.connectivity} ones"
        for index, stage in enumerate(problem.protocol.stages):
            if not self._readout_only(stage):
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
        return None

    def cost(self, size: ProblemSize) -> Work:
        """Return the work of kernels, eigenvectors and recorded predictors of every stage."""
        work = Work(0.0)
        for stage in size.stages:
            points, seen = size.train(stage), size.seen(stage)
            records = len(recorded_steps(stage.steps))
            work += Work(
                2.0 * seen**2 * size.inputs + 25.0 * points**3 + 2.0 * records * points * seen,
                KERNEL_ELEMENTS * size.depth * seen**2 + records * points**2,
                STAGE_CALLS,
                8.0 * seen**2 * (2 * size.depth + 8),
            )
        return work

    def predict(self, problem: Problem) -> Trajectory:
        """Solve every stage in closed form."""
        stages = problem.protocol.stages
        return Trajectory(tuple(_solve(problem, s, self._nngp(s)) for s in stages))

    @abstractmethod
    def _readout_only(self, stage: Stage) -> bool:
        """Return whether hidden weights take no part in a stage."""

    @abstractmethod
    def _nngp(self, stage: Stage) -> bool:
        """Return whether a stage learns with the feature kernel."""


@theory(
    "lazy-ntk",
    version="3",
    tags={"lazy", "baseline", "exact"},
    citation="Jacot, Gabriel & Hongler, NeurIPS 2018; Lee et al., NeurIPS 2019",
)
class LazyNTK(_Lazy):
    """Limit of vanishing richness: features never move, outputs follow a fixed kernel.

    While all weights train, the kernel is the neural tangent kernel at initialisation; while only
    the readout trains, or the readout starts the stage at zero, it is the feature kernel (NNGP).
    The discrete steps are summed exactly in the kernel's eigenbasis: no time discretisation
    error, no sampling. Cost: points^3, whatever the number of steps.

    Domain: dense layers of any depth. While hidden weights train: no decay, elastic coupling or
    temperature, which leave the lazy limit. Stages that keep the readout start from the zero
    predictor (center = true) and have no decay.
    """

    def _readout_only(self, stage: Stage) -> bool:
        return stage.trainable == "readout"

    def _nngp(self, stage: Stage) -> bool:
        # with the readout at zero no gradient reaches the hidden weights, to leading order
        return stage.trainable == "readout" or stage.readout == "zero"


@theory(
    "lazy-nngp",
    version="3",
    tags={"lazy", "baseline", "exact"},
    citation="Lee et al., Deep Neural Networks as Gaussian Processes, ICLR 2018",
)
class LazyNNGP(_Lazy):
    """Random features: only the readout learns, on features that stay as they were drawn.

    The kernel of every stage is the feature kernel at initialisation (NNGP), solved as in
    `lazy-ntk`; decay acts on the readout alone, as a ridge. Cost: points^3, whatever the number of
    steps.

    Domain: dense layers of any depth; exact where only the readout trains from the first stage on,
    a baseline elsewhere. Stages that keep the readout start from the zero predictor (center = true)
    and have no decay.
    """

    def _readout_only(self, stage: Stage) -> bool:
        return True

    def _nngp(self, stage: Stage) -> bool:
        return True


def _solve(problem: Problem, stage: Stage, nngp: bool) -> dict[str, Any]:
    from harness import numerics, observables

    architecture = problem.architecture
    points, labels, sets = observables.stage_points(problem.data, stage)
    x = architecture.input_map(points)
    kernels = numerics.lazy_kernels(
        x, x, activation=architecture.activation, depth=architecture.depth
    )
    features = kernels.features[-1]
    train = slice(*sets.train)
    steps = recorded_steps(stage.steps)
    outputs = _gradient_flow(features if nngp else kernels.ntk, labels, train, stage, steps)
    rows = observables.recorded_curves(sets, labels, outputs, features)
    final = observables.gaussian_snapshot(
        sets, outputs[-1], kernels.variances, np.stack(kernels.features)
    )
    return observables.stage_observables(steps, {k: np.asarray(v) for k, v in rows.items()}, final)


def _gradient_flow(
    kernel: NDArray[Any], y: NDArray[Any], train: slice, stage: Stage, steps: NDArray[np.int64]
) -> NDArray[Any]:
    """Return the predictor on all points at the given steps, shape (R, points).

    Each step adds dt (K Delta - lambda f) with Delta = y - f and decay lambda of the readout, so
    after t steps f = K V s_t(kappa) V^T y, with rates r = kappa + lambda and
    s_t = dt sum_{s<t} (1 - dt r)^s = (1 - (1 - dt r)^t) / r.
    """
    eigenvalues, vectors = np.linalg.eigh(kernel[train, train])
    dt = stage.step_size
    fastest = eigenvalues[-1] + stage.decay
    if stage.steps > 0 and dt * fastest > 2:
        raise DivergenceError(
            f"the lazy limit diverges with dt = {dt:g}: its kernel's largest eigenvalue is"
            f" {eigenvalues[-1]:.3g}; use a dt below {2 / fastest:.2g}"
        )
    # K(x, x) has no negative eigenvalues but for rounding
    rates = np.clip(eigenvalues, 0.0, None) + stage.decay
    flat = dt * rates < 1e-10
    sums = np.where(
        flat,
        dt * steps[:, None],
        (1.0 - (1.0 - dt * rates) ** steps[:, None]) / np.where(flat, 1.0, rates),
    )
    predictor: NDArray[Any] = (sums * (vectors.T @ y[train])) @ (kernel[:, train] @ vectors).T
    return predictor
