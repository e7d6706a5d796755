"""The lazy limits: kernel regression with the kernels of initialisation, stage by stage."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import DivergenceError, Params, Problem, Stage, Trajectory, recorded_steps, theory


class LazyParams(Params):
    """Lazy theories take no parameters."""


class _Lazy:
    """What the lazy theories share: their domain, and the solution for a kernel."""

    def __init__(self, params: LazyParams) -> None:
        self.params = params

    def supports(self, problem: Problem) -> str | None:
        """Return None inside the domain, else the reason."""
        if problem.architecture.connectivity != "dense":
            return f"describes dense layers, not {problem.architecture.connectivity} ones"
        for stage in problem.protocol.stages:
            for term in ("decay", "elastic", "temperature"):
                if getattr(stage, term) > 0:
                    return f"the lazy limit has no {term} ({getattr(stage, term):g} asked for)"
            if not stage.center:
                return "describes stages that start from the zero predictor (center = true)"
        return None


@theory(
    "lazy-ntk",
    version="1",
    tags={"lazy", "baseline"},
    citation="Jacot, Gabriel & Hongler, NeurIPS 2018; Lee et al., NeurIPS 2019",
)
class LazyNTK(_Lazy):
    """Limit of vanishing richness: features never move, outputs follow a fixed kernel.

    While all weights train, the kernel is the neural tangent kernel at initialisation; while only
    the readout trains, or the readout starts the stage at zero, it is the feature kernel (NNGP).
    The discrete steps are summed exactly in the kernel's eigenbasis: no time discretisation
    error, no sampling. Cost: points^3, whatever the number of steps.

    Domain: dense layers of any depth; no decay, elastic coupling or temperature, which leave the
    lazy limit; stages that start from the zero predictor (center = true).
    """

    def predict(self, problem: Problem) -> Trajectory:
        """Solve every stage in closed form."""
        # with the readout at zero no gradient reaches the hidden weights, to leading order
        return Trajectory(
            tuple(
                _solve(problem, stage, stage.trainable == "readout" or stage.readout == "zero")
                for stage in problem.protocol.stages
            )
        )


@theory(
    "lazy-nngp",
    version="1",
    tags={"lazy", "baseline"},
    citation="Lee et al., Deep Neural Networks as Gaussian Processes, ICLR 2018",
)
class LazyNNGP(_Lazy):
    """Random features: only the readout learns, on features that stay as they were drawn.

    The kernel of every stage is the feature kernel at initialisation (NNGP), solved as in
    `lazy-ntk`. Cost: points^3, whatever the number of steps.

    Domain: as `lazy-ntk`; exact where only the readout trains from the first stage on, a baseline
    elsewhere.
    """

    def predict(self, problem: Problem) -> Trajectory:
        """Solve every stage in closed form."""
        return Trajectory(tuple(_solve(problem, s, True) for s in problem.protocol.stages))


def _solve(problem: Problem, stage: Stage, readout_only: bool) -> dict[str, Any]:
    import jax
    import jax.numpy as jnp

    from harness import numerics, observables

    architecture = problem.architecture
    points, labels, sets = observables.stage_points(problem.data, stage)
    x, y = jnp.asarray(architecture.input_map(points)), jnp.asarray(labels)
    kernels = numerics.lazy_kernels(
        x, x, activation=architecture.activation, depth=architecture.depth
    )
    features = kernels.features[-1]
    train = slice(*sets.train)
    steps = recorded_steps(stage.steps)
    outputs = _gradient_flow(
        np.asarray(features if readout_only else kernels.ntk), labels, train, stage, steps
    )
    rows = jax.jit(jax.vmap(lambda f: observables.curves(sets, y, f, lambda a, b: features[a, b])))(
        jnp.asarray(outputs)
    )
    preactivation_variances = np.stack(
        [np.sum(np.asarray(x) ** 2, axis=1) / x.shape[1]]
        + [np.diag(k) for k in np.asarray(kernels.features[:-1])]
    )
    final = observables.gaussian_snapshot(
        sets, outputs[-1], preactivation_variances, np.asarray(kernels.features)
    )
    return observables.stage_observables(steps, {k: np.asarray(v) for k, v in rows.items()}, final)


def _gradient_flow(
    kernel: NDArray[Any], y: NDArray[Any], train: slice, stage: Stage, steps: NDArray[np.int64]
) -> NDArray[Any]:
    """Return the predictor on all points at the given steps, shape (R, points).

    Each step adds dt K Delta with Delta = y - f, so after t steps f = K V s_t(lambda) V^T y, with
    s_t = dt sum_{s<t} (1 - dt lambda)^s = (1 - (1 - dt lambda)^t) / lambda.
    """
    eigenvalues, vectors = np.linalg.eigh(kernel[train, train])
    dt = stage.step_size
    if dt * eigenvalues[-1] > 2:
        raise DivergenceError(
            f"the lazy limit diverges with dt = {dt:g}: its kernel's largest eigenvalue is"
            f' {eigenvalues[-1]:.3g}; use a dt below {2 / eigenvalues[-1]:.2g}, or dt = "auto"'
        )
    # K(x, x) has no negative eigenvalues but for rounding
    decay = 1.0 - dt * np.clip(eigenvalues, 0.0, None)
    flat = dt * eigenvalues < 1e-10
    safe = np.where(flat, 1.0, eigenvalues)
    sums = np.where(flat, dt * steps[:, None], (1.0 - decay ** steps[:, None]) / safe)
    predictor: NDArray[Any] = (sums * (vectors.T @ y[train])) @ (kernel[:, train] @ vectors).T
    return predictor
