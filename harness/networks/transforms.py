"""One step of staged gradient flow as a chain of Optax transformations."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jaxtyping import Array, Float

from harness.records import Stage

Weights = dict[str, Any]
"""Weights of a network: {"hidden": the Flax module's parameters, "readout": (units,)}.

For C outputs the readout is (units, C).
"""


class Terms(NamedTuple):
    """Terms of a stage's update, and its loss; fixed at compile time."""

    hidden: bool
    elastic: bool
    noise: bool
    loss: str = "squared"

    @classmethod
    def of(cls, stage: Stage) -> Terms:
        """Return the terms of a stage."""
        hidden = stage.trainable == "all"
        return cls(hidden, hidden and stage.elastic > 0, stage.temperature > 0, stage.loss)


class UpdateRates(NamedTuple):
    """Numbers of a stage's update, traced, so that a sweep over them compiles once."""

    richness: Float[Array, ""]
    dt: Float[Array, ""]
    decay: Float[Array, ""]
    elastic: Float[Array, ""]
    temperature: Float[Array, ""]

    @classmethod
    def of(cls, stage: Stage, width: int, dtype: Any) -> UpdateRates:
        """Return the rates of a stage whose step is resolved, for networks of a width."""
        richness = stage.richness_at(width)
        values = (richness, stage.step_size, stage.decay, stage.elastic, stage.temperature)
        return cls(*(np.dtype(dtype).type(v) for v in values))


def elastic_coupling(strength: Float[Array, ""], reference: Any) -> optax.GradientTransformation:
    """Add strength * (theta - theta_ref) to the gradient of the hidden weights."""

    def update(updates: Any, params: Any) -> Any:
        pulled = jax.tree.map(
            lambda g, p, r: g + strength * (p - r), updates["hidden"], params["hidden"], reference
        )
        return updates | {"hidden": pulled}

    return optax.stateless(update)


def gradient_flow(
    terms: Terms, rates: UpdateRates, width: int, reference: Any, key: Array | None
) -> optax.GradientTransformation:
    """Return one Euler step of a stage, for the weights that it trains.

    Applied to gradients of the loss, summed over points, it yields
    dt [gamma^2 N sum_mu Delta_mu d f_mu/d theta - decay theta - elastic (theta - theta_ref)]
    + sqrt(2 dt T) noise. It keeps nothing from one step to the next.

    Args:
        terms: terms of the update.
        rates: their strengths; a decay of zero takes no longer than none.
        width: N.
        reference: hidden weights to which the elastic coupling pulls; None without it.
        key: of this step's noise; None without a temperature.
    """
    parts = [optax.scale(rates.richness**2 * width), optax.add_decayed_weights(rates.decay)]
    if terms.elastic:
        parts.append(elastic_coupling(rates.elastic, reference))
    if terms.noise:
        # before the factor -dt, noise of variance 2 T / dt
        parts.append(optax.add_noise(2.0 * rates.temperature / rates.dt, 0.0, key=key))
    parts.append(optax.scale(-rates.dt))
    return optax.chain(*parts)
