"""Hidden units on the sets of a stage, and functions of them that a suite records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from harness.errors import ObservableError


class UnitSet(NamedTuple):
    """Hidden units of a network, or samples of them by a theory, on one set of points.

    Arrays are read-only.

    Attributes:
        x: inputs, (points, ...).
        y: labels, (points,), or (points, C) for C outputs.
        output: centred predictor, of the shape of `y`.
        preactivations: h of each layer, (points, units), or (points, positions, units) where units
            are at several positions of the input.
        features: phi(h) of each layer, (points, units); those of the last as the readout sees them.
    """

    x: Float[np.ndarray, "points ..."]
    y: Float[np.ndarray, " points *outputs"]
    output: Float[np.ndarray, " points *outputs"]
    preactivations: tuple[Float[np.ndarray, "points ..."], ...]
    features: tuple[Float[np.ndarray, "points ..."], ...]


class Units(NamedTuple):
    """Hidden units at one step, on the stage's training and test points.

    Attributes:
        train, test: the same units on both sets.
    """

    train: UnitSet
    test: UnitSet


@dataclass(frozen=True)
class UnitObservable:
    """A function of hidden units, recorded at the end of every stage.

    Attributes:
        name: name under which it is recorded.
        measure: function of the units at the end, and at the start where it asks for them.
        asks_start: whether it takes the units at the stage's start as a second argument.
    """

    name: str
    measure: Callable[..., Any]
    asks_start: bool = False

    def value(self, end: Units, start: Units | None = None) -> NDArray[np.float64]:
        """Return its value as an array; it may hold values that are not finite.

        Args:
            end: units at the end of a stage.
            start: the same units at its start; needed if it asks for them.

        Raises:
            ObservableError: if it raises, or returns anything but numbers.
        """
        try:
            found = self.measure(end, start) if self.asks_start else self.measure(end)
            value = np.asarray(found)
        except (Exception, SystemExit) as error:  # a plugin may raise anything
            line = " ".join(str(error).split())
            raise ObservableError(
                f"observable {self.name!r}: {type(error).__name__}: {line}; mend it, then run again"
            ) from error
        if value.dtype.kind not in "biuf":
            raise ObservableError(
                f"observable {self.name!r}: returned {type(found).__name__} of type {value.dtype};"
                " return a real number, or an array of them"
            )
        return value.astype(np.float64)
