"""Numbers of a stage of training, as solvers take them."""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxtyping import Float


class StageRates(NamedTuple):
    """Numbers of a stage: gamma, dt, decay lambda, elastic delta, temperature T."""

    richness: Float[Any, ""]
    dt: Float[Any, ""]
    decay: Float[Any, ""]
    elastic: Float[Any, ""]
    temperature: Float[Any, ""]
