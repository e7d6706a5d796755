"""Stationary states that are known from a sample of hidden units."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, Float64

from harness.numerics.solver_error import SolverError


class ConvergenceError(SolverError):
    """A search that found no fixed point."""


class UnitRates(NamedTuple):
    """Rates of a stage: gamma, decay lambda, elastic delta, temperature T (0 <= delta)."""

    richness: float
    decay: float
    elastic: float
    temperature: float


class SampledState(NamedTuple):
    """The stationary state of a stage; every leading axis runs over independent replicates.

    Attributes:
        output: f on all points, (replicates, points).
        kernels: Phi_l = <phi phi^T> of every layer on all points, (replicates, layers, points,
            points).
        preactivations: h of a sample of units in every layer, (replicates, points, units) each.
        units: for one hidden layer, draws of the units' weights from the stationary law,
            (replicates, units, rank); None for several layers.
        residual: of the fixed-point equations, averaged over replicates, on units that were not
            used to solve them: of the errors, relative to |y|, and for several layers also of the
            weights' second moments <u u^T>, relative to I, in quadrature.
        residual_stderr: its standard error.
        rounds: Newton steps taken.
        acceptance: acceptance rate of the moves.
    """

    output: Float64[np.ndarray, "replicates points"]
    kernels: Float64[np.ndarray, "replicates layers points points"]
    preactivations: tuple[Float[np.ndarray, "replicates points units"], ...]
    units: Float[Array, "replicates units rank"] | None
    residual: float
    residual_stderr: float
    rounds: int
    acceptance: float


def label_size(y: Float64[np.ndarray, "replicates train"]) -> float:
    """Return |y|, the root mean square over replicates, as the unit of residuals; 1 if zero."""
    return float(np.linalg.norm(y)) / math.sqrt(len(y)) or 1.0


def mean_and_error(
    residuals: Float64[np.ndarray, "replicates unknowns"],
) -> tuple[float, float]:
    """Return the length of the mean over replicates, and its standard error."""
    spread = residuals.std(axis=0, ddof=1)
    return (
        float(np.linalg.norm(residuals.mean(axis=0))),
        float(np.linalg.norm(spread)) / math.sqrt(len(residuals)),
    )
