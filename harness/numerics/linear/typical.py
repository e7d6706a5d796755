"""The loss of a linear readout on one spike, for typical draws and for any way of training it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

NODES = 40
"""Points of the quadrature; the spectrum is smooth between its edges."""

Vector = Float[np.ndarray, " modes"]
Filter = Callable[[Vector], Vector]


class ReadoutLosses(NamedTuple):
    """Test losses of a readout for two targets of unit length.

    Attributes:
        across: of a target orthogonal to the spike.
        along: of a target along it.
    """

    across: float
    along: float

    def at(self, overlap2: float) -> float:
        """Return the loss of a target whose squared overlap with the spike is a^2."""
        return (1 - overlap2) * self.across + overlap2 * self.along


def typical_readout_losses(target_ratio: float, spike: float, left: Filter) -> ReadoutLosses:
    """Return the test losses of a readout for typical draws as D -> infinity.

    The kernel is x.(I + chi n n').x' with isotropic inputs, K_x = x.x', and noiseless linear labels
    in a unit direction b_t. Training the readout leaves the error e = F(Sigma M) b_t, with Sigma =
    I + chi n n', M = X'X / D, and F the filter of the method. Where b_t = a n + sqrt(1 - a^2) m,
    M is random to both, so that the errors along m and n add up in |e|^2. The one along m is
    that of a kernel without a spike. For the one along n, only the weights of n on the modes of M
    matter; they are those of its spectrum (Marchenko & Pastur 1967), a quadrature of `NODES` modes
    and the share 1 - nu_2 of zeros.

    A readout trained to convergence has F = 1 at zero and 0 elsewhere, and the loss of
    `asymptotic_fine_tuning_loss`; gradient flow for a time t / D has exp(-t s), and a ridge D r has
    r / (r + s).

    Args:
        target_ratio: nu_2 = P_2 / D, above 0 and below 1.
        spike: chi.
        left: F, the share of the error that is left in a mode, of the eigenvalues s of Sigma M; 1
            at 0.

    Raises:
        ValueError: if the ratio lies outside its range.
    """
    if not 0 < target_ratio < 1:
        raise ValueError(f"target_ratio = {target_ratio!r}; a number between 0 and 1 is needed")
    values, weights = _spectrum(target_ratio)
    across = float(weights @ left(values) ** 2)
    return ReadoutLosses(across, _loss_along_spike(values, weights, spike, left))


def _spectrum(ratio: float) -> tuple[Vector, Vector]:
    """Return eigenvalues of X'X / D and their weights, which sum to one."""
    low, high = (1 - math.sqrt(ratio)) ** 2, (1 + math.sqrt(ratio)) ** 2
    angle = np.pi * np.arange(1, NODES + 1) / (NODES + 1)
    half = (high - low) / 2
    values = (high + low) / 2 + half * np.cos(angle)
    weights = half**2 * np.sin(angle) ** 2 / (2 * (NODES + 1) * values)
    weights *= ratio / weights.sum()
    return np.append(values, 0.0), np.append(weights, 1 - ratio)


def _loss_along_spike(values: Vector, weights: Vector, spike: float, left: Filter) -> float:
    """Return |F(Sigma M) n|^2, from the eigenvectors of Sigma^(1/2) M Sigma^(1/2)."""
    n, root = np.sqrt(weights), math.sqrt(1 + spike) - 1
    sigma = np.eye(len(n)) + root * np.outer(n, n)
    eigenvalues, modes = np.linalg.eigh((sigma * values) @ sigma)
    start = modes.T @ n / (1 + root)  # Sigma^(-1/2) n
    error = sigma @ (modes @ (left(eigenvalues) * start))
    return float(error @ error)
