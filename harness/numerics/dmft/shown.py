"""Hidden units at a stage's start and end, for observables of one's own.

Fields of queries at both times are one draw: a unit keeps its weights, so that the change of its
pre-activations is that of one unit, and not the difference of two.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from harness.numerics.compiling import compiled_fast
from harness.numerics.dmft import history as hidden
from harness.numerics.dmft.fields import Fields, Program, Units, units_axes
from harness.numerics.dmft.history import REPLICATES, Array, Transition, average
from harness.numerics.dmft.noise import Noise
from harness.numerics.dmft.queries import JOINT_AXES, Joint, factor_of
from harness.numerics.problem import FEWEST, HELD


class ShownUnits(NamedTuple):
    """Hidden units of one replicate on a stage's training points, queries and probes.

    Attributes:
        start: h^1 ... h^L at the stage's start, each (points, units).
        end: the same at its end.
    """

    start: Sequence[NDArray[Any]]
    end: Sequence[NDArray[Any]]


class UnitsRecorder:
    """Units of a stage in all replicates.

    Args:
        program: constants of compiled steps.
        noises: noise of every replicate.
        index: number of the stage.
        joint: queries and probes.
        fields: fields on the training points at the stage's start.
        count: number of training points, without padding.
    """

    def __init__(
        self,
        program: Program,
        noises: Sequence[Noise],
        index: int,
        joint: Joint,
        fields: Fields,
        count: int,
    ) -> None:
        self._program, self._joint, self._count = program, joint, count
        looked, (replicates, _, samples) = joint.factor.shape[0], fields.h[0].shape
        numbers = replicates * 2 * len(fields.h) * (count + looked)
        self._most = min(samples, max(FEWEST, HELD // max(numbers, 1)))
        self._start = self._known(fields)  # steps use up the arrays that they change
        shape = (len(fields.h), 2 * looked, samples)
        self._noise = np.stack(
            [
                np.random.default_rng((noise.entropy, index)).standard_normal(shape, np.float32)
                for noise in noises
            ]
        ).astype(fields.h[0].dtype)

    def _known(self, fields: Fields) -> list[NDArray[Any]]:
        return [np.array(h[:, : self._count, : self._most]) for h in fields.h]

    def units(self, units: Units, fields: Fields, linearised: bool) -> list[ShownUnits]:
        """Return the units of every replicate at the stage's end.

        Args:
            units: the weights then.
            fields: the fields then.
            linearised: whether the stage is linearised, so that its units are those of its start.
        """
        looked = both_times(self._program, units, self._joint, self._noise)
        start, end = (
            [
                np.concatenate([known, np.asarray(h[:, time, :, : self._most])], axis=1)
                for known, h in zip(given, looked, strict=True)
            ]
            for time, given in enumerate((self._start, self._known(fields)))
        )
        if linearised:
            end = start
        return [
            ShownUnits([h[r] for h in start], [h[r] for h in end]) for r in range(len(start[0]))
        ]


@compiled_fast(static_argnames=("program",))
def both_times(
    program: Program, units: Units, joint: Joint, noise: Float[Any, "replicates layers two samples"]
) -> tuple[Float[Any, "replicates times looked samples"], ...]:
    """Return the fields of queries and probes, at the stage's start and now, in all replicates."""
    one = partial(_both_times, program)
    found: tuple[Array, ...] = jax.vmap(
        one, (units_axes(units), JOINT_AXES, 0), axis_name=REPLICATES
    )(units, joint, noise)
    return found


def _both_times(
    program: Program, units: Units, joint: Joint, noise: Float[Any, "layers two samples"]
) -> tuple[Float[Any, "times looked samples"], ...]:
    """Return h^1 ... h^L of one replicate: conditional on the history, drawn jointly at both times.

    Of the parts beyond the history, that at the start and the change since then are drawn, each
    with its own scale: a small change would drown in the rounding of their sum's covariance.
    """
    looked, samples = joint.factor.shape[0], units.w.shape[-1]
    scales = jnp.stack([units.a_start, units.a])[:, None, None]
    omegas = jnp.stack([units.omega_start, units.omega])
    inputs = joint.root @ noise[0, :looked]
    own = jnp.stack([inputs, inputs])  # beyond the history, without the share a
    mean = joint.factor @ omegas
    h = mean + scales * own
    found = [h]
    for i, t in enumerate(units.transitions):
        phi = program.phi(h)
        kept = (t._replace(memory=t.reference), t)
        propagated = [
            _along(program, weights, features, scale)
            for weights, features, scale in zip(kept, phi, (units.a_start, units.a), strict=True)
        ]
        mean = program.joined(mean, jnp.stack(propagated))
        change = phi[1] - phi[0]
        size = jnp.sqrt(jnp.max(jnp.mean(change**2, axis=1)))
        apart = jnp.concatenate([phi[0], change / jnp.where(size > 0, size, 1.0)])
        c = average(t.lower.basis, apart)
        square = average(apart, apart)
        share = hidden.unexplored(t.upper) if program.responses else 1.0
        raw = noise[i + 1]
        if samples > 4 * (2 * looked + sum(map(len, t.upper))):
            raw = hidden.white_noise(raw, *t.upper)
        first, later = jnp.split(factor_of(share * (square - c.T @ c), square) @ raw, 2)
        fresh = jnp.stack([first, first + size * later])
        own = program.joined(own, fresh)
        h = mean + scales * own
        found.append(h)
    return tuple(found)


def _along(
    program: Program,
    weights: Transition,
    phi: Float[Any, "looked samples"],
    scale: Float[Any, ""],
) -> Float[Any, "looked samples"]:
    """Return the part of the next layer's fields along the history."""
    c = average(weights.lower.basis, phi)
    response = average(weights.lower.noise, phi) if program.responses else jnp.zeros_like(c)
    return hidden.propagate(weights, c, response, scale)
