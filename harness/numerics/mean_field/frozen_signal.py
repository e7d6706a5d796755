"""Two-layer units under a frozen error signal: hundreds of Euler steps in a few Heun steps.

Hidden units interact only through Delta. Where Delta is known approximately, they move
independently of each other and smoothly, however stiff their common equations are. The predictor
of a large sample that moves in this way, minus that of a small one, is the correction of the
small sample, at a fraction of the cost of training the large one (docs/theory.md, section 3).
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float64, Int64
from numpy.typing import NDArray

from harness.numerics.kernels.activations import activation as named
from harness.numerics.kernels.activations import derivative
from harness.numerics.losses import along_outputs
from harness.numerics.mean_field.particles import Particles, combined
from harness.numerics.mean_field.positions import hidden, pooled, pulled, spread
from harness.numerics.problem import StageRates
from harness.numerics.threads import side_by_side

BLOCKS = 12
"""Blocks of a stage without decay and coupling; docs/theory.md, section 3, on their cost."""

BLOCKS_OF_PROGRAMS = 4
"""Compiled programs take a multiple of so many blocks, to serve many stages; some may be empty."""

Array = NDArray[Any]


class FrozenSignal(NamedTuple):
    """The frozen error signal of a stage, summed over blocks of steps.

    Attributes:
        impulse: sum of dt Delta over each block, (blocks, train), with a last axis of outputs if
            there are several.
        steps: number of steps of each block, (blocks,).
        total: `Particles.impulse` at each block's end, shaped alike.
    """

    impulse: Float[np.ndarray, "blocks train *outputs"]
    steps: Float[np.ndarray, " blocks"]
    total: Float[np.ndarray, "blocks train *outputs"]


def frozen_signal(
    totals: Float64[np.ndarray, "records train *outputs"],
    records: Int64[np.ndarray, " records"],
    factor: Float[np.ndarray, "train *positions rank"],
    rates: StageRates,
    blocks: int = BLOCKS,
) -> tuple[FrozenSignal, Float64[np.ndarray, "records knots"]]:
    """Sum a stage's error signal over blocks of recorded steps.

    The density of blocks is proportional to the square root of the weights' speed. Decay and
    coupling increase it, so that a block forgets half of the weights at most.

    Args:
        totals: `Particles.impulse` at the recorded steps.
        records: these steps, from 0.
        factor: E on the training points.
        rates: numbers of the stage.
        blocks: number of blocks, before decay and coupling add more; at most one for every
            interval between recorded steps.

    Returns:
        The frozen error signal, in the precision of the rates, and weights that interpolate values
        at the knots, which are the stage's start and the blocks' ends, to the recorded steps.
    """
    dt, decay, elastic = (float(r) for r in (rates.dt, rates.decay, rates.elastic))
    lengths = np.diff(records)
    remembered = 1.0 - dt * (2.0 * decay + elastic)
    kept = remembered**lengths
    pulls = totals[1:] - along_outputs(kept, totals) * totals[:-1]
    if remembered < 1.0:  # the impulse forgets; the result needs the plain sum
        pulls = pulls * along_outputs(lengths * (1.0 - remembered) / (1.0 - kept), pulls)
    directions = pulls.swapaxes(1, -1) @ factor.reshape(len(factor), -1)
    motion = np.sqrt(np.linalg.norm(directions, axis=tuple(range(1, totals.ndim))))
    # where nothing moves, steps count
    motion += 1e-6 * max(float(motion.sum()), 1.0) * lengths / lengths.sum()
    along = blocks * motion / motion.sum() + 2.0 * dt * (decay + elastic) * lengths
    along = np.concatenate([[0.0], np.cumsum(along)])
    count = int(np.ceil(along[-1] - 1e-9))  # which rounding does not raise by one
    ends = np.linspace(0.0, along[-1], count + 1)
    knots = np.unique(np.abs(along[:, None] - ends).argmin(axis=0))
    precision = rates.dt.dtype
    summed = [pulls[a:b].sum(axis=0) for a, b in pairwise(knots)]
    signal = FrozenSignal(
        np.asarray(summed, precision).reshape(-1, *totals.shape[1:]),
        np.diff(records[knots]).astype(precision),
        totals[knots[1:]].astype(precision),
    )
    weights = [np.interp(along, along[knots], row) for row in np.eye(len(knots))]
    return signal, np.stack(weights, axis=1)


def follow_signal(
    particles: Particles,
    factor: Float[np.ndarray, "points *positions rank"],
    control: Float[np.ndarray, "replicates points train"],
    signal: FrozenSignal,
    rates: StageRates,
    *,
    activation: str,
    frozen: bool,
    center: bool,
    fixed: bool = False,
    pooling: Float[np.ndarray, "features positions"] | None = None,
) -> tuple[Particles, Float[np.ndarray, "replicates knots points *outputs"]]:
    """Move units through a stage under a frozen error signal, without a temperature.

    Args:
        particles: units at the stage's start; the coupling pulls to their weights.
        factor: E on the training points, then on other observed points.
        control: as in `ParticleFrame`.
        signal: the frozen error signal.
        rates: numbers of the stage.
        activation: name of phi.
        frozen: whether only z is trained.
        center: whether the predictor at the stage's start is subtracted.
        fixed: whether z is not trained.
        pooling: map from positions to a unit's features; None for all of them.

    Returns:
        The units at the stage's end, and f minus the control at the stage's start and at the end
        of every block.
    """
    knots = len(signal.steps) + 1
    padded = FrozenSignal(*(_with_empty_blocks(a) for a in signal))

    def one(replicate: int) -> tuple[Array, Array, Array]:
        omega, z, _ = particles.replicate(replicate)
        omega, z, outputs = _follow_units(
            omega,
            z,
            factor,
            pooling,
            control[replicate],
            padded,
            rates,
            activation=activation,
            frozen=frozen,
            fixed=fixed,
        )
        return np.asarray(omega), np.asarray(z), np.asarray(outputs)[:knots]

    numbers = 4 * particles.omega[0].size
    found = zip(*side_by_side(one, len(particles.z), numbers), strict=True)
    omega, z, outputs = (np.stack(arrays) for arrays in found)
    moved = particles._replace(omega=omega, z=z)
    return moved, outputs - outputs[:, :1] if center else outputs


def _with_empty_blocks(values: Float[np.ndarray, "blocks ..."]) -> Float[np.ndarray, "more ..."]:
    """Return the values with empty blocks appended, in which nothing moves."""
    more = -len(values) % BLOCKS_OF_PROGRAMS
    return np.concatenate([values, np.zeros((more, *values.shape[1:]), values.dtype)])


@partial(jax.jit, static_argnames=("activation", "frozen", "fixed"))
def _follow_units(
    omega: Any,
    z: Any,
    factor: Any,
    pooling: Any,
    control: Any,
    signal: FrozenSignal,
    rates: StageRates,
    *,
    activation: str,
    frozen: bool,
    fixed: bool,
) -> tuple[Any, Any, Any]:
    """Move the units of one replicate; return their weights, and f minus the control at knots."""
    phi = named(activation)
    slope = derivative(phi)
    gamma, dt, decay, delta, _ = rates
    train, reference = signal.impulse.shape[1], omega

    def pull(omega: Any, z: Any, h: Any, signal: FrozenSignal) -> tuple[Any, Any]:
        span = signal.steps * dt
        if fixed:
            moved_z = jnp.zeros_like(z)
        else:
            moved_z = gamma * (signal.impulse.T @ pooled(phi(h), pooling)) - span * decay * z
        if frozen:
            return jnp.zeros_like(omega), moved_z
        forces = combined(spread(z, pooling), slope(h), signal.impulse)
        forgotten = decay * omega + delta * (omega - reference)
        return gamma * pulled(factor[:train], forces) - span * forgotten, moved_z

    def output(h: Any, z: Any) -> Any:
        return pooled(phi(h), pooling) @ z.T / (gamma * z.shape[-1])

    def block(
        carry: tuple[Any, Any, Any], signal: FrozenSignal
    ) -> tuple[tuple[Any, Any, Any], Any]:
        omega, z, h = carry
        first = pull(omega, z, h[:train], signal)
        # n Euler steps have 1 - 1/n of the second order of the flow that they follow
        ahead = 1.0 - 1.0 / jnp.maximum(signal.steps, 1.0)
        trial = omega + ahead * first[0], z + ahead * first[1]
        second = pull(*trial, hidden(factor[:train], trial[0]), signal)
        omega = omega + 0.5 * (first[0] + second[0])
        z = z + 0.5 * (first[1] + second[1])
        h = hidden(factor, omega)
        return (omega, z, h), output(h, z) - control @ signal.total

    h = hidden(factor, omega)
    start = output(h, z)
    (omega, z, _), outputs = jax.lax.scan(block, (omega, z, h), signal)
    return omega, z, jnp.concatenate([start[None], outputs])
