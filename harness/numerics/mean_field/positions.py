"""Maps between a unit's weights, its positions and the features that the readout sees.

A unit has pre-activations h_p = omega . E(x_p) at n positions and K features
psi_k = sum_p A_kp phi(h_p) (docs/theory.md, section 1). Arrays of units have the points first and
(position, sample) or (feature, sample) in one last axis, so that one position is not special: there
E is (points, rank), and features are phi(h). Functions take NumPy or JAX arrays.
"""

from __future__ import annotations

from typing import Any

AnyArray = Any
"""A NumPy or JAX array."""


def as_rows(factor: AnyArray) -> AnyArray:
    """Return E as (points x positions, rank)."""
    return factor.reshape(-1, factor.shape[-1])


def hidden(factor: AnyArray, omega: AnyArray) -> AnyArray:
    """Return h, (points, positions x samples), from E and omega, (rank, samples)."""
    return (as_rows(factor) @ omega).reshape(len(factor), -1)


def pulled(factor: AnyArray, forces: AnyArray) -> AnyArray:
    """Return sum_{mu,p} E(x_mu,p) force_mu,p, (rank, samples), from forces shaped as h."""
    rows = as_rows(factor)
    return rows.T @ forces.reshape(len(rows), -1)


def pooled(values: AnyArray, pooling: AnyArray | None) -> AnyArray:
    """Return sum_p A_kp values_p, (points, K x samples), from values shaped as h."""
    if pooling is None:
        return values
    apart = values.reshape(len(values), pooling.shape[1], -1)
    return (pooling @ apart).reshape(len(values), -1)


def spread(z: AnyArray, pooling: AnyArray | None) -> AnyArray:
    """Return sum_k A_kp z_k, (..., positions x samples), from z, (..., K x samples)."""
    if pooling is None:
        return z
    apart = z.reshape(*z.shape[:-1], len(pooling), -1)
    return (pooling.T @ apart).reshape(*z.shape[:-1], -1)
