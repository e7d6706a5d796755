"""Losses of a readout for typical draws: closed forms of two readouts, and random draws."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import brentq

from harness.numerics import asymptotic_fine_tuning_loss, typical_readout_losses

Filter = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def converged(s: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(s < 1e-9, 1.0, 0.0)


def stopped(s: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(-2.0 * s)


def ridged(s: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.3 / (0.3 + s)


@pytest.mark.parametrize("nu2", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("alignment", [0.0, 0.6, 1.0])
def test_a_converged_readout_has_the_closed_form(nu2: float, alignment: float) -> None:
    spike = math.sqrt(1 + 3.0**2) - 1
    found = typical_readout_losses(nu2, spike, converged).at(alignment**2)
    expected = asymptotic_fine_tuning_loss(3.0, 2.0, nu2, alignment)
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("nu2", [0.2, 0.8])
def test_a_ridge_has_the_closed_form_of_ridge_regression(nu2: float) -> None:
    """The effective ridge k of the bulk, r = k (nu_2 - 1 / (1 + k)), and its loss."""
    spike, overlap2 = 4.0, 0.3
    k = brentq(lambda k: k * (nu2 - 1 / (1 + k)) - 0.3, 1e-9, 1e3)
    terms = (1 - overlap2) / (1 + k) ** 2 + overlap2 / (1 + spike + k) ** 2
    expected = k**2 * terms / (1 - 1 / (nu2 * (1 + k) ** 2))
    found = typical_readout_losses(nu2, spike, ridged).at(overlap2)
    assert found == pytest.approx(expected, rel=1e-4)  # of the quadrature


@pytest.mark.parametrize("left", [stopped, ridged])
def test_the_mean_over_random_draws_is_the_loss(left: Filter) -> None:
    dimension, points, spike, overlap2 = 200, 120, 5.0, 0.4
    rng, losses = np.random.default_rng(0), []
    n = np.eye(dimension)[0]
    target = math.sqrt(overlap2) * n + math.sqrt(1 - overlap2) * np.eye(dimension)[1]
    root = np.eye(dimension) + (math.sqrt(1 + spike) - 1) * np.outer(n, n)
    for _ in range(20):
        x = rng.standard_normal((points, dimension))
        values, modes = np.linalg.eigh(root @ (x.T @ x / dimension) @ root)
        start = modes.T @ np.linalg.solve(root, target)
        losses.append(np.sum((root @ (modes @ (left(values) * start))) ** 2))
    error = np.std(losses, ddof=1) / math.sqrt(len(losses))
    found = typical_readout_losses(points / dimension, spike, left).at(overlap2)
    assert found == pytest.approx(np.mean(losses), abs=4 * error)


def test_a_spike_never_hurts_at_the_same_time_or_ridge() -> None:
    for left in (converged, stopped, ridged):
        for nu2 in (0.1, 0.5, 0.9):
            without = typical_readout_losses(nu2, 0.0, left)
            assert without.along == pytest.approx(without.across)
            assert typical_readout_losses(nu2, 10.0, left).along < without.along


def test_more_points_than_dimensions_are_refused() -> None:
    with pytest.raises(ValueError, match=r"target_ratio = 1\.5; a number between 0 and 1"):
        typical_readout_losses(1.5, 1.0, converged)
