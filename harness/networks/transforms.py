"""One step of staged gradient flow as a chain of Optax transformations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from harness.records import Stage

Weights = dict[str, Any]
"""Weights of a network: {"hidden": the Flax module's parameters, "readout": (units,)}.

For C outputs the readout is (units, C).
"""


class Terms(NamedTuple):
    """Terms of a stage's update, and its loss; fixed at compile time.

    Attributes:
        hidden: whether any hidden weights are trained.
        elastic, noise: whether it has an elastic coupling, and a temperature.
        loss: name of the loss.
        readout: whether the readout is trained.
        chosen: which arrays of the hidden weights are trained; None for all.
        linearised: whether weights are displacements of a linearised network; a readout that is
            trained alone needs none.
    """

    hidden: bool
    elastic: bool
    noise: bool
    loss: str = "squared"
    readout: bool = True
    chosen: tuple[bool, ...] | None = None
    linearised: bool = False

    @classmethod
    def of(cls, stage: Stage, layers: Callable[[], Sequence[int]]) -> Terms:
        """Return the terms of a stage.

        Args:
            stage: the stage.
            layers: returns the layer of each array of the hidden weights; called only if the stage
                names layers.
        """
        hidden = stage.trainable != "readout"
        some = hidden and stage.trainable != "all"
        return cls(
            hidden,
            hidden and stage.elastic > 0,
            stage.temperature > 0,
            stage.loss,
            stage.trains("readout"),
            tuple(stage.trains(layer) for layer in layers()) if some else None,
            stage.linearised and hidden,
        )

    def trained(self, updates: Weights) -> Weights:
        """Return updates of the weights, with zero for those that are not trained."""
        if not self.readout:
            updates = updates | {"readout": jnp.zeros_like(updates["readout"])}
        if self.chosen is not None:
            arrays, tree = jax.tree.flatten(updates["hidden"])
            pairs = zip(arrays, self.chosen, strict=True)
            kept = [array if chosen else jnp.zeros_like(array) for array, chosen in pairs]
            updates = updates | {"hidden": jax.tree.unflatten(tree, kept)}
        return updates


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
