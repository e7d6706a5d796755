"""Lazy limits through all stages of a problem: gradient flow with kernels of initialisation."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from harness.numerics.kernels.lazy import lazy_kernels
from harness.numerics.losses import CURVATURE, error_signal
from harness.numerics.problem import KernelView, Observe, ProblemArrays, Solved, StageArrays, always
from harness.numerics.solver_error import UnstableError


class LazySettings(NamedTuple):
    """Settings of `solve_lazy`.

    Attributes:
        features_only: whether no stage trains hidden weights. Otherwise only stages do not in which
            the readout starts at zero, so that no gradient reaches them to leading order.
    """

    features_only: bool


def solve_lazy(
    problem: ProblemArrays,
    settings: LazySettings,
    samples: int,
    observe: Observe,
    known: None,
) -> Solved[None]:
    """Solve every stage in its discrete steps, from the zero predictor.

    Args:
        problem: without decay, coupling or noise on hidden weights.
        settings: of the solver.
        samples: ignored.
        observe: receives every stage.
        known: ignored.

    Raises:
        UnstableError: if a step is too large for a kernel.
    """
    for index, stage in enumerate(problem.stages):
        x = problem.x[stage.seen]
        kernels = lazy_kernels(
            x,
            x,
            activation=problem.activation,
            depth=problem.depth,
            branch_scale=problem.branch_scale,
            pooling=problem.pooling,
            trained=_felt(stage, settings.features_only),
        )
        features = kernels.features[-1]
        shown = KernelView(
            _gradient_flow(kernels.ntk, stage),
            partial(_block, features),
            np.stack(kernels.features),
            variances=kernels.variances,
        )
        observe(index, stage.records, always(shown))
    return Solved({}, None)


def _felt(stage: StageArrays, features_only: bool) -> Collection[int | str] | None:
    """Return the trained weights that the predictor feels: see `lazy_kernels`."""
    if features_only or stage.readout == "zero":
        return {"readout"} if stage.trains("readout") else set()
    return stage.trained


def _block(
    kernel: Float64[np.ndarray, "points points"], rows: slice, columns: slice
) -> Float64[np.ndarray, "rows columns"]:
    return kernel[rows, columns]


def _gradient_flow(
    kernel: Float64[np.ndarray, "points points"], stage: StageArrays
) -> Float64[np.ndarray, "records points *outputs"]:
    """Return the predictor on all points at the recorded steps.

    Each step adds dt (K Delta - lambda f) with Delta = y - f and decay lambda of the readout, so
    after t steps f = K V s_t(kappa) V^T y, with rates r = kappa + lambda and
    s_t = dt sum_{s<t} (1 - dt r)^s = (1 - (1 - dt r)^t) / r. Other losses are iterated.
    """
    train, steps = slice(0, len(stage.train)), stage.records
    eigenvalues, vectors = np.linalg.eigh(kernel[train, train])
    dt, decay = stage.rates.dt, stage.rates.decay
    fastest = CURVATURE[stage.loss] * eigenvalues[-1] + decay
    if stage.steps > 0 and dt * fastest > 2:
        raise UnstableError(
            f"the lazy limit diverges with dt = {dt:g}: its kernel's largest eigenvalue is"
            f" {eigenvalues[-1]:.3g}",
            f"use a dt below {2 / fastest:.2g}",
        )
    if stage.loss != "squared":
        return _iterated(kernel, stage)
    # K(x, x) has no negative eigenvalues except by rounding
    rates = np.clip(eigenvalues, 0.0, None) + decay
    flat = dt * rates < 1e-10
    sums = np.where(
        flat,
        dt * steps[:, None],
        (1.0 - (1.0 - dt * rates) ** steps[:, None]) / np.where(flat, 1.0, rates),
    )
    labels, modes = vectors.T @ stage.y, kernel[:, train] @ vectors
    predictor: NDArray[np.float64]
    predictor = modes @ (sums[..., None] * labels) if stage.outputs else (sums * labels) @ modes.T
    return predictor


def _iterated(
    kernel: Float64[np.ndarray, "points points"], stage: StageArrays
) -> Float64[np.ndarray, "records points *outputs"]:
    """Return the same predictor for any loss: f = K s with s <- s + dt (Delta(f) - lambda s)."""
    count, found = len(stage.train), []
    signal, own = np.zeros(stage.y.shape), kernel[:count, :count]
    for interval in np.diff(stage.records, prepend=0).tolist():
        for _ in range(interval):
            delta = error_signal(stage.loss, stage.y, own @ signal)
            signal = signal + stage.rates.dt * (delta - stage.rates.decay * signal)
        found.append(kernel[:, :count] @ signal)
    return np.stack(found)
