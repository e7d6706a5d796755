"""Observables of pre-activations."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float64

from harness import Params, Units, observable


class ChangeParams(Params):
    """Parameters of `change_rms`."""

    points: Literal["train", "test"] = "test"
    """Set of the stage on which pre-activations are compared."""


@observable(
    "preactivation/change-rms",
    version="1",
    tags={"feature-learning", "coordinate-check"},
    citation="Yang et al., Tensor Programs V, arXiv:2203.03466, coordinate check",
)
def change_rms(params: ChangeParams, end: Units, start: Units) -> Float64[np.ndarray, " layers"]:
    """Root mean square, over units and points, of each layer's change of pre-activations, (L,).

    The change is h^l at the end of a stage less h^l at its start. Over width it is flat where
    networks learn features, as in the mean-field parameterisation, and falls as 1/sqrt(N) where
    they are lazy, as in the ntk one.
    """
    before, after = (getattr(units, params.points).preactivations for units in (start, end))
    pairs = zip(after, before, strict=True)
    changes = [np.subtract(late, early, dtype=np.float64) for late, early in pairs]
    return np.array([np.sqrt(np.mean(np.square(change))) for change in changes])
