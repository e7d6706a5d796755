"""One step of staged gradient flow as a chain of Optax transformations."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from harness.records import Stage

Weights = dict[str, Any]
"""Weights of a network: {"hidden": the Flax module's parameters, "readout": (units,)}."""


class Terms(NamedTuple):
    """Which terms of the update a stage has; fixed at compile time."""

    hidden: bool
    decay: bool
    elastic: bool
    noise: bool

    @classmethod
    def of(cls, stage: Stage) -> Terms:
        """Return the terms of a stage."""
        hidden = stage.trainable == "all"
        return cls(hidden, stage.decay > 0, hidden and stage.elastic > 0, stage.temperature > 0)


class Rates(NamedTuple):
    """Numbers of a stage's update, traced, so that a sweep over them compiles once."""

    richness: Float[Array, ""]
    dt: Float[Array, ""]
    decay: Float[Array, ""]
    elastic: Float[Array, ""]
    temperature: Float[Array, ""]

    @classmethod
    def of(cls, stage: Stage, dtype: Any) -> Rates:
        """Return the rates of a stage whose step is resolved."""
        values = (stage.richness, stage.step_size, stage.decay, stage.elastic, stage.temperature)
        return cls(*(jnp.asarray(v, dtype) for v in values))


class ElasticState(NamedTuple):
    """Weights at the start of the stage, to which the coupling pulls."""

    reference: Any


def elastic_coupling(strength: Float[Array, ""]) -> optax.GradientTransformation:
    """Add strength * (theta - theta_ref) to the gradient, theta_ref being theta at init."""

    def init(params: Any) -> ElasticState:
        return ElasticState(jax.tree.map(jnp.copy, params))

    def update(updates: Any, state: ElasticState, params: Any = None) -> tuple[Any, ElasticState]:
        pulled = jax.tree.map(
            lambda g, p, r: g + strength * (p - r), updates, params, state.reference
        )
        return pulled, state

    return optax.GradientTransformation(init, update)


def gradient_flow(
    terms: Terms, rates: Rates, width: int, key: Array | None = None
) -> optax.GradientTransformation:
    """Return the Euler step of a stage.

    Applied to gradients of 1/2 sum_mu Delta_mu^2 it yields
    dt [gamma^2 N sum_mu Delta_mu d f_mu/d theta - decay theta - elastic (theta - theta_ref)]
    + sqrt(2 dt T) noise, and nothing for frozen weights.

    Args:
        terms: which terms there are.
        rates: their strengths.
        width: N.
        key: key of the noise; needed by `init` alone, and only at a temperature.
    """
    parts = [optax.scale(rates.richness**2 * width)]
    if terms.decay:
        parts.append(optax.add_decayed_weights(rates.decay))
    if terms.elastic:
        hidden_only = {"hidden": True, "readout": False}
        parts.append(optax.masked(elastic_coupling(rates.elastic), hidden_only))
    if terms.noise:
        # before the factor -dt, noise of variance 2 T / dt
        parts.append(
            optax.add_noise(2.0 * rates.temperature / rates.dt, 0.0, key=0 if key is None else key)
        )
    parts.append(optax.scale(-rates.dt))
    step = optax.chain(*parts)
    if terms.hidden:
        return step
    return optax.partition(
        {"train": step, "freeze": optax.set_to_zero()}, {"hidden": "freeze", "readout": "train"}
    )
