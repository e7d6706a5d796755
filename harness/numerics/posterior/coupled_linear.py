"""Deep linear networks coupled to their initial weights: the stationary state in closed form.

Hidden weights that are coupled to the weights Wbar of a stage's start with strength delta have the
prior W = m Wbar + sigma What, m = delta / (lambda + delta), sigma^2 = T / (lambda + delta), with
What standard Gaussian. Wbar is quenched, a draw from its own posterior, so that one source
system and n -> 0 copies a, b, ... of the coupled one are solved for together. Given the kernels
Phi of one layer, pre-activations of the next have the covariances

    C_00 = s0^2 Phi_00,   C_a0 = m s0^2 Phi_a0,   C_ab = m^2 s0^2 Phi_ab + sigma^2 delta_ab Phi_aa

with s0^2 the prior variance of Wbar, and given the conjugates Q, Phi = C + C G C with
G = Q (1 - C Q)^{-1}. At the top Q_aa = gamma^2 / s^2 v v^T, s^2 = T / lambda, is all that the
copies have; below, Q is the transpose of the map Phi -> C applied to the G of the layer above. All
Q lie in the span of v and of the source's vbar, all kernels are c K + U M U^T with U = K [v vbar],
and v = (lambda + r K)^{-1} (y - b K vbar): two unknowns r and b, and Q_a0, Q_ab, Q_aa of every
layer but the top, whatever the number of points (docs/theory.md, adaptive kernels).
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from harness.numerics.posterior.coupled_pass import (
    Quenched,
    copy_action,
    coupled_layers,
    next_unknowns,
    pulling_weights,
    scaled_equations,
)
from harness.numerics.posterior.stationary_linear import (
    StationaryLinear,
    stationary_exponents,
)
from harness.numerics.solver_error import SolverError

NEWTON_STEPS = 40
"""Newton steps after which a step of the continuation counts as too long."""

TOLERANCE = 1e-10
"""Residual at which the equations count as solved."""

SHORTEST = 1e-6
"""Shortest step of the continuation, as a share of its path."""

Vector = NDArray[np.float64]


class LinearReference(NamedTuple):
    """Weights of a deep linear network at the start of a stage.

    Attributes:
        pull: vbar on all points, 0 where it was not trained; 0 everywhere for the initial draw.
        variance: s0^2, prior variance of the weights.
        conjugates: q of Q_l = q vbar vbar^T in every layer.
    """

    pull: Float64[np.ndarray, " points"]
    variance: float
    conjugates: Float64[np.ndarray, " layers"]


def initial_reference(points: int, depth: int) -> LinearReference:
    """Return the initial draw, weights of variance 1."""
    return LinearReference(np.zeros(points), 1.0, np.zeros(depth))


def stationary_reference(
    solved: StationaryLinear,
    y: Float64[np.ndarray, " train"],
    *,
    richness: float,
    decay: float,
    temperature: float,
) -> LinearReference:
    """Return the weights at the end of an uncoupled stage, from its solution and its labels."""
    depth, variance = len(solved.kernels), temperature / decay
    pull = np.zeros(len(solved.output))
    pull[: len(y)] = (y - solved.output[: len(y)]) / decay
    above = (variance * solved.stretch) ** np.arange(depth - 1.0, -1.0, -1.0)
    return LinearReference(pull, variance, richness**2 / variance * above)


class CoupledLinear(NamedTuple):
    """The stationary state of a coupled deep linear network.

    Attributes:
        output: f on all points, (points,).
        kernels: Phi_l of every layer, (L, points, points).
        residual: of the equations, relative to the largest unknown.
        minima: number of solutions found; the one of least action is taken.
    """

    output: Float64[np.ndarray, " points"]
    kernels: Float64[np.ndarray, "layers points points"]
    residual: float
    minima: int


class _Path(NamedTuple):
    """The equations for every coupling m from 0, forgotten, to 1, frozen.

    Attributes:
        given: constants of the equations, at any m.
        prior: s^2.
        labels: |y|.
        depth: L.
    """

    given: Quenched
    prior: float
    labels: float
    depth: int

    def at(self, mixing: float) -> tuple[Quenched, Vector]:
        """Return the equations at a coupling, and typical sizes of the unknowns."""
        noise = self.prior * (1 - mixing)
        each = mixing**2 * float(self.given.variance) + noise
        pulled = float(jnp.linalg.norm(self.given.pulled))
        layers = np.repeat(each ** -np.arange(1.0, self.depth), 3)
        sizes = np.array(
            [each**self.depth, self.labels / pulled if pulled * self.labels > 0 else 1.0]
        )
        given = self.given._replace(mixing=jnp.asarray(mixing), noise=jnp.asarray(noise))
        return given, np.concatenate([sizes, layers])


def _newton(start: Vector, path: _Path, mixing: float) -> tuple[Vector, float]:
    """Return the solution that damped Newton steps reach, and its residual, infinite if none."""
    given, sizes = path.at(mixing)

    def equations(scaled: Vector) -> tuple[Vector, Vector, float]:
        value, room, slope = (np.asarray(a) for a in scaled_equations(scaled, given, sizes))
        size = float(np.max(np.abs(value))) / max(1.0, float(np.max(np.abs(scaled))))
        return value, slope, size if room > 0 and np.isfinite(slope).all() else np.inf

    scaled = start / sizes
    value, slope, size = equations(scaled)
    for _ in range(NEWTON_STEPS):
        if not np.isfinite(size) or size == 0.0:
            break
        step = np.linalg.lstsq(slope, -value, rcond=None)[0]
        length = 1.0
        while length > 1e-4:
            trial = equations(scaled + length * step)
            if trial[2] < size:
                break
            length /= 2
        else:
            break  # at the level of rounding, or in a valley without a solution
        scaled = scaled + length * step
        value, slope, size = trial
    return scaled * sizes, size


def _followed(start: Vector, path: _Path, first: float, last: float) -> tuple[Vector, float]:
    """Return the solution at coupling `last` that continues the one at `first`, and its residual.

    Raises:
        SolverError: if the solution ends before the last coupling.
    """
    found, done, step = start, 0.0, 1.0
    residual = np.inf
    while done < 1.0:
        step = min(step, 1.0 - done)
        mixing = first + (done + step) * (last - first)
        ahead, residual = _newton(found, path, mixing)
        if residual < TOLERANCE:
            found, done, step = ahead, done + step, 2 * step
        else:
            step /= 4
            if step < SHORTEST:
                raise SolverError(
                    f"the solution ends at the coupling m = {mixing:.3g} on the way from"
                    f" {first:g} to {last:.3g}",
                    "use a weaker coupling, or a higher temperature",
                )
    return found, residual


def _forgotten(path: _Path, stretch: float) -> Vector:
    """Return the solution without coupling, from the stretch of every layer."""
    given, _ = path.at(0.0)
    unknowns = np.zeros(2 + 3 * (path.depth - 1))
    unknowns[0] = (path.prior * stretch) ** path.depth
    _, norm = pulling_weights(jnp.asarray(unknowns), given)
    above = (path.prior * stretch) ** np.arange(path.depth - 1.0, 0.0, -1.0)
    unknowns[4::3] = float(given.top * norm**2) * above
    return unknowns


def _frozen(path: _Path) -> Vector:
    """Return the solution at infinite coupling, from the features of the source."""
    given, _ = path.at(1.0)
    unknowns = np.zeros(2 + 3 * (path.depth - 1))
    # without noise the copies' conjugates do not change the kernels: c K + M_11 K vbar vbar^T K
    last = coupled_layers(jnp.asarray(unknowns), given)
    unknowns[0] = float(last.scale[-1])
    spike, inverse = float(last.shape[-1][1, 1]), 1 / (given.ridge + unknowns[0] * given.values)
    pulled = given.pulled * inverse
    unknowns[1] = float(spike * (pulled @ given.y) / (1 + spike * (pulled @ given.pulled)))
    for _ in range(path.depth):  # each pass settles the conjugates of one more layer
        unknowns[2:] = np.asarray(next_unknowns(jnp.asarray(unknowns), given)[0])[2:]
    return unknowns


def solve_coupled_linear(
    gram: Float64[np.ndarray, "points points"],
    y: Float64[np.ndarray, " train"],
    reference: LinearReference,
    *,
    richness: float,
    decay: float,
    elastic: float,
    temperature: float,
) -> CoupledLinear:
    """Solve for the stationary state of a deep linear network that is coupled to its start.

    Beyond one layer there may be several solutions. The uncoupled solutions and that of frozen
    features are continued to the given coupling, and the one of least action is taken.

    Args:
        gram: K_x between all points, the training points first.
        y: labels of the training points.
        reference: weights at the stage's start, on the same points.
        richness: gamma.
        decay: lambda, positive.
        elastic: delta, positive.
        temperature: T, positive.

    Raises:
        SolverError: if no solution can be followed.
    """
    train, depth, prior = len(y), len(reference.conjugates), temperature / decay
    values, vectors = np.linalg.eigh(gram[:train, :train])
    pulled = gram @ reference.pull
    size = float(reference.pull @ pulled)
    pulled = pulled / np.sqrt(size) if size > 0 else np.zeros_like(pulled)
    given = Quenched(
        values=jnp.asarray(np.maximum(values, 0.0)),
        y=jnp.asarray(vectors.T @ y),
        pulled=jnp.asarray(vectors.T @ pulled[:train]),
        ridge=jnp.asarray(decay),
        top=jnp.asarray(richness**2 / prior),
        mixing=jnp.zeros(()),
        noise=jnp.asarray(prior),
        variance=jnp.asarray(reference.variance),
        conjugates=jnp.asarray(reference.conjugates * size),
    )
    path = _Path(given, prior, float(np.linalg.norm(y)), depth)
    mixing = elastic / (decay + elastic)
    weights = np.asarray(given.y) ** 2
    own, sizes = path.at(mixing)
    starts: list[tuple[Vector, float]] = []
    found: list[tuple[float, float, Vector]] = []
    if weights @ np.asarray(given.values) > 0:
        exponents = stationary_exponents(
            np.asarray(given.values), weights, depth, richness, decay, prior
        )
        starts = [(_forgotten(path, float(np.exp(t))), 0.0) for t in exponents]
        starts.append((_frozen(path), 1.0))
    else:  # labels that the inputs cannot distinguish exert no pull
        found.append((0.0, 0.0, np.concatenate([sizes[:1], np.zeros(len(sizes) - 1)])))
    for start, first in starts:
        try:
            unknowns, residual = _followed(start, path, first, mixing)
        except SolverError as error:
            failure = error
            continue
        action = float(copy_action(jnp.asarray(unknowns), own))
        if not any(
            np.allclose(unknowns, other, rtol=1e-6, atol=1e-9 * sizes) for *_, other in found
        ):
            found.append((action, residual, unknowns))
    if not found:
        raise failure
    _, residual, unknowns = min(found, key=lambda one: one[0])
    layers = coupled_layers(jnp.asarray(unknowns), own)
    v, norm = pulling_weights(jnp.asarray(unknowns), own)
    along = gram[:, :train] @ (vectors @ np.asarray(v))
    basis = np.stack([along / float(norm), pulled], axis=1)
    scale, shape = np.asarray(layers.scale), np.asarray(layers.shape)
    return CoupledLinear(
        unknowns[0] * along + unknowns[1] * pulled,
        scale[:, None, None] * gram + basis @ shape @ basis.T,
        residual,
        len(found),
    )
