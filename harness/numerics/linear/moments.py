"""Two-layer linear networks at infinite width: second moments of the hidden units, exactly.

With phi(h) = h the predictor is f(x) = E(x) . b with b = <z W> / gamma, an average over hidden
units (z, W). Given the errors Delta, an Euler step of a unit is linear in (z, W), so that second
moments close among themselves, without sampling (arXiv:2507.04448; docs/theory.md, two-layer
linear networks). Under gradient flow from M = I they stay a Lorentz
boost, which the predictor determines.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from harness.numerics.problem import StageRates

Array = NDArray[np.float64]


class UnitMoments(NamedTuple):
    """Second moments of the hidden units: of the readout z and the hidden weights W.

    W runs over the directions that training points span; its last entry stands for every
    direction orthogonal to them.

    Attributes:
        readout: <z^2>.
        cross: <z W>, (rank + 1,).
        hidden: <W W^T>, (rank + 1, rank + 1).
    """

    readout: Float[np.ndarray, ""]
    cross: Float[np.ndarray, " n"]
    hidden: Float[np.ndarray, "n n"]


class ReferenceMoments(NamedTuple):
    """Moments with the hidden weights W_ref at the stage's start, for elastic coupling.

    Attributes:
        cross: <z W_ref>, (rank + 1,).
        hidden: <W W_ref^T>, (rank + 1, rank + 1).
        fixed: <W_ref W_ref^T>.
    """

    cross: Float[np.ndarray, " n"]
    hidden: Float[np.ndarray, "n n"]
    fixed: Float[np.ndarray, "n n"]


def initial_moments(rank: int) -> UnitMoments:
    """Return M = I for training points that span `rank` directions."""
    return UnitMoments(np.ones(()), np.zeros(rank + 1), np.eye(rank + 1))


def moment_outputs(
    moments: UnitMoments, factor: Float[np.ndarray, "points rank"], richness: Float[Any, ""]
) -> Float[np.ndarray, " points"]:
    """Return f = E . <z W> / gamma, before centring."""
    return factor @ moments.cross[:-1] / richness


def moment_kernel(
    moments: UnitMoments,
    rows: Float[np.ndarray, "rows rank"],
    columns: Float[np.ndarray, "columns rank"],
    gram: Float[np.ndarray, "rows columns"],
) -> Float[np.ndarray, "rows columns"]:
    """Return the feature kernel <h h> = E <W W^T> E^T + <W_perp^2> (K_x - E E^T).

    Args:
        moments: of the hidden units.
        rows: E of the rows, coordinates in the span of the training points.
        columns: E of the columns.
        gram: K_x between rows and columns.
    """
    outside = moments.hidden[-1, -1]
    inside = moments.hidden[:-1, :-1] - outside * np.eye(rows.shape[1])
    return rows @ inside @ columns.T + outside * gram


def advance_moments(
    moments: UnitMoments,
    reference: ReferenceMoments | None,
    factor: Float[np.ndarray, "train rank"],
    labels: Float[np.ndarray, " train"],
    rates: StageRates,
    steps: int,
    *,
    frozen: bool,
) -> tuple[UnitMoments, ReferenceMoments | None]:
    """Take Euler steps of gradient flow on a stage's training points.

    With p = dt gamma sum_mu Delta_mu E_mu a step of a unit is

        z <- k_z z + p.W,            k_z = 1 - dt lambda
        W <- k_W W + p z + e W_ref,  k_W = 1 - dt (lambda + delta),  e = dt delta

    plus sqrt(2 dt T) noise on both, so that its second moments follow exactly.

    Args:
        moments: of the hidden units.
        reference: moments with the weights at the stage's start; None without coupling.
        factor: E on the training points.
        labels: y, plus the predictor at the stage's start if the stage is centred, so that
            Delta = labels - E . <z W> / gamma.
        rates: gamma, dt, decay lambda, elastic coupling delta and temperature T.
        steps: number of steps.
        frozen: whether only z is trained.
    """
    found: tuple[UnitMoments, ReferenceMoments | None] = jax.tree.map(
        np.asarray, _advance(moments, reference, factor, labels, rates, steps, frozen=frozen)
    )
    return found


@partial(jax.jit, static_argnames=("frozen",))
def _advance(
    moments: UnitMoments,
    reference: ReferenceMoments | None,
    factor: Any,
    labels: Any,
    rates: StageRates,
    steps: Int[Any, ""],
    *,
    frozen: bool,
) -> tuple[UnitMoments, ReferenceMoments | None]:
    """Take the steps of `advance_moments`, its one compiled program."""
    gamma, dt, decay, delta, temperature = rates
    keep_z, keep_w = 1.0 - dt * decay, 1.0 - dt * (decay + delta)
    elastic, heat = dt * delta, 2.0 * dt * temperature
    size = len(moments.cross)

    def step(
        _: Int[Any, ""], carry: tuple[UnitMoments, ReferenceMoments | None]
    ) -> tuple[UnitMoments, ReferenceMoments | None]:
        (readout, cross, hidden), ref = carry
        error = labels - factor @ cross[:-1] / gamma
        p = jnp.append(dt * gamma * (error @ factor), 0.0)
        pushed = hidden @ p  # <W (p.W)>
        overlap = p @ cross  # <z (p.W)>
        new_readout = keep_z**2 * readout + 2.0 * keep_z * overlap + p @ pushed + heat
        if frozen:
            return UnitMoments(new_readout, keep_z * cross + pushed, hidden), ref
        new_cross = keep_z * (keep_w * cross + readout * p) + keep_w * pushed + overlap * p
        # k_W^2 <W W> + k_W (p <z W> + transposed) + <z^2> p p, as one symmetric update
        side = keep_w * cross + 0.5 * readout * p
        new_hidden = keep_w**2 * hidden + p[:, None] * side[None] + side[:, None] * p[None]
        new_hidden += heat * jnp.eye(size)
        if ref is not None:
            moved_cross = keep_z * ref.cross + p @ ref.hidden
            moved_hidden = keep_w * ref.hidden + p[:, None] * ref.cross[None]
            new_cross += elastic * moved_cross
            new_hidden += elastic * (moved_hidden + moved_hidden.T) + elastic**2 * ref.fixed
            ref = ReferenceMoments(moved_cross, moved_hidden + elastic * ref.fixed, ref.fixed)
        return UnitMoments(new_readout, new_cross, new_hidden), ref

    return jax.lax.fori_loop(0, steps, step, (moments, reference))


def boosted_moments(predictor: Float[Any, " n"], richness: Float[Any, ""] | float) -> UnitMoments:
    """Return the moments of a network whose gradient flow has led from M = I to a predictor.

    M = <(z, W) (z, W)^T> is a Lorentz boost and a function of b alone: with n = b / |b| and
    chi = sqrt(1 + gamma^2 |b|^2) - 1,

        <z^2> = 1 + chi,    <z W> = gamma b,    <W W^T> = I + chi n n^T,

    so that the feature kernel has one spike, along the predictor. Exact for gradient flow of all
    weights without decay, coupling or temperature; discrete steps depart from it by O(dt).

    Args:
        predictor: b, with f(x) = E(x) . b; zero in the direction orthogonal to training points.
        richness: gamma.
    """
    scaled = richness * np.asarray(predictor)
    energy = np.sqrt(1.0 + scaled @ scaled)
    # chi n n^T = gamma^2 b b^T / (2 + chi), which needs no direction at b = 0
    hidden = np.eye(len(scaled)) + np.outer(scaled, scaled) / (1.0 + energy)
    return UnitMoments(energy, scaled, hidden)


def asymptotic_fine_tuning_loss(
    richness: float,
    source_ratio: float,
    target_ratio: float,
    alignment: float,
    noise_alignment: float = 0.0,
    readout: Literal["ridgeless", "rank-one"] = "ridgeless",
) -> float:
    """Return the test loss of fine-tuning a readout, for typical draws as D -> infinity.

    All weights are trained to convergence on P_1 points of a source, then a readout on P_2 points
    of a target with the features frozen; inputs are isotropic with K_x = x.x', labels noiseless
    and linear in directions b_s, b_t of unit length (arXiv:2507.04448, Result 2 for nu_1 >= 1).
    With the overlap a = b_t.n of the target with the spike,

        loss = (1 - nu_2) [1 - a^2 + a^2 / (1 + chi nu_2)^2],    chi = sqrt(1 + gamma^2 nu_1) - 1,
        a = sqrt(nu_1) alignment + sqrt(1 - nu_1) noise_alignment,

    with nu_1 replaced by 1 where it is larger, and zero for nu_2 >= 1.

    Two limits of infinite richness do not commute. With `readout` "ridgeless" (the formula) the
    loss tends to (1 - nu_2) (1 - a^2): the part of the kernel outside the spike, however small,
    still fits the rest of the labels. With "rank-one" the readout resolves the spike only
    (a training time or ridge that is short for the rest), and the loss is 1 - a^2 for any nu_2
    and richness (arXiv:2507.04448, Result 4).

    Args:
        richness: gamma_1 of the source stage; `math.inf` for the limit.
        source_ratio: nu_1 = P_1 / D.
        target_ratio: nu_2 = P_2 / D.
        alignment: alpha_s = b_s.b_t.
        noise_alignment: alpha_g = g.b_t, with g the unit direction orthogonal to b_s that source
            training picks up from its finite data; 0 for a typical target.
        readout: name of the readout's solution.

    Raises:
        ValueError: if a ratio or the richness is not positive.
    """
    for name, value in (
        ("richness", richness),
        ("source_ratio", source_ratio),
        ("target_ratio", target_ratio),
    ):
        if not value > 0:
            raise ValueError(f"{name} = {value!r}; a positive number is needed")
    signal = min(source_ratio, 1.0)
    overlap = math.sqrt(signal) * alignment + math.sqrt(1.0 - signal) * noise_alignment
    if readout == "rank-one":
        return 1.0 - overlap**2
    spike = math.sqrt(1.0 + richness**2 * signal) - 1.0
    unresolved = (overlap / (1.0 + spike * target_ratio)) ** 2
    return max(0.0, 1.0 - target_ratio) * (1.0 - overlap**2 + unresolved)
