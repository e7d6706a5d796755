"""Observables of one's own: functions of hidden units at a stage's end, and at its start.

limitbench sees to the rest: the sets of points, the replicates of a theory, and errors in one line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from harness.errors import ObservableError
from harness.numerics.problem import FEWEST, HELD
from harness.observables.points import Bounds, Labels, Sets
from harness.observables.recorded import AnyArray
from harness.records import UnitObservable, Units, UnitSet

LARGEST = 100_000
"""Most numbers of the value of an observable."""


def units_on(
    sets: Sets,
    x: Float[np.ndarray, "points ..."],
    labels: Labels,
    output: AnyArray,
    preactivations: Sequence[AnyArray],
    features: Sequence[AnyArray],
) -> Units:
    """Return hidden units at one step on a stage's training and test points, read-only.

    Args:
        sets: positions of the stage's sets.
        x: inputs of all points of the stage.
        labels: labels of the sets.
        output: centred predictor, (points,) or (points, outputs).
        preactivations: of each layer, (points, ..., units).
        features: of each layer, (points, ..., units).
    """

    def on(bounds: Bounds, y: AnyArray) -> UnitSet:
        def part(values: AnyArray) -> NDArray[Any]:
            shown = np.asarray(values)[slice(*bounds)].view()
            shown.flags.writeable = False
            return shown

        given = np.asarray(y).view()
        given.flags.writeable = False
        layers = (tuple(map(part, each)) for each in (preactivations, features))
        return UnitSet(part(x), given, part(output), *layers)

    return Units(on(sets.train, labels.train), on(sets.test, labels.test))


def most_units(units: Units, replicates: int) -> int:
    """Return the number of units of each replicate that may be kept through a stage."""
    each = [h[..., 0].size for one in units for h in (*one.preactivations, *one.features)]
    return max(FEWEST, HELD // (replicates * max(sum(each), 1)))


def first_units(units: Units, most: int, copied: bool = False) -> Units:
    """Return the first units of every layer; copied where a solver may use their memory again."""

    def cut(layers: tuple[NDArray[Any], ...]) -> tuple[NDArray[Any], ...]:
        parts = [h[..., :most] for h in layers]
        return tuple(h.copy() for h in parts) if copied else tuple(parts)

    def on(one: UnitSet) -> UnitSet:
        output = one.output.copy() if copied else one.output
        kept = one._replace(
            output=output,
            preactivations=cut(one.preactivations),
            features=cut(one.features),
        )
        for array in (kept.output, *kept.preactivations, *kept.features):
            array.flags.writeable = False
        return kept

    return Units(*map(on, units))


def measured(
    asked: Sequence[UnitObservable], end: Units, start: Units | None
) -> dict[str, NDArray[np.float64]]:
    """Return the values of observables: numbers or vectors; arrays become flat, in C order.

    Those that ask for a start are left out without one.

    Raises:
        ObservableError: if one raises, or returns no number, too many, some that are not finite,
            or an array whose shape depends on the number of units.
    """
    found = {}
    for each in asked:
        if each.asks_start and start is None:
            continue
        value = each.value(end, start)
        if not value.size:
            raise ObservableError(
                f"observable {each.name!r}: returned an empty array; return a number, or an array"
                " of some"
            )
        if value.size > LARGEST:
            raise ObservableError(
                f"observable {each.name!r}: returned {value.size:,} numbers; at most {LARGEST:,}:"
                " return averages over units"
            )
        if not np.isfinite(value).all():
            raise ObservableError(
                f"observable {each.name!r}: returned values that are not finite, though units are;"
                " mend it, then run again"
            )
        _refuse_units(each, value.shape, end, start)
        found[each.name] = value.ravel() if value.ndim > 1 else value
    return found


def _refuse_units(
    asked: UnitObservable, shape: tuple[int, ...], end: Units, start: Units | None
) -> None:
    """Raise ObservableError if a shape with an axis as long as a layer changes with half of it."""
    width = max(h.shape[-1] for h in end.test.preactivations)
    if width not in shape or width < 2:
        return
    before = None if start is None else first_units(start, width // 2)
    other = asked.value(first_units(end, width // 2), before).shape
    if other != shape:
        raise ObservableError(
            f"observable {asked.name!r}: returned shape {shape} for {width} units, and {other} for"
            f" {width // 2}; average over units, so that networks of all widths have one shape"
        )


def together(
    rows: Sequence[Mapping[str, NDArray[np.float64]] | None],
) -> dict[str, NDArray[np.float64]]:
    """Return values of networks or replicates with a leading axis for them, by name.

    Args:
        rows: values of each; None for one that has diverged, whose values become nan.

    Raises:
        ObservableError: if their shapes differ.
    """
    known = [row for row in rows if row is not None]
    found = {}
    for name in known[0] if known else ():
        shapes = sorted({row[name].shape for row in known})
        if len(shapes) > 1:
            raise ObservableError(
                f"observable {name!r}: returned shapes {' and '.join(map(str, shapes))} for alike"
                " units; return one shape, then run again"
            )
        lost = np.full(shapes[0], np.nan)
        found[name] = np.stack([lost if row is None else row[name] for row in rows])
    return found
