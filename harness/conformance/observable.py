"""Checks of observables: numbers of one shape, the same each time, that leave units alone."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.conformance.outcome import Checks, require
from harness.conformance.samples import Sample
from harness.errors import ObservableError
from harness.records import Units, UnitSet
from harness.registry import Component
from harness.registry.declare import unit_observable

SIZES = ((32, 6, 5), (64, 6, 5), (64, 9, 7))
"""Widths, training points and test points on which an observable is seen."""

DEPTHS = (1, 2)


class Kind(NamedTuple):
    """A kind of problems on which an observable is seen."""

    outputs: int = 1
    positions: int = 1
    pooled: bool = False

    def __str__(self) -> str:
        said = f", {self.outputs} outputs" * (self.outputs > 1)
        return said + f", {self.positions} positions of images" * (self.positions > 1)


KINDS = (Kind(), Kind(outputs=3), Kind(positions=4), Kind(positions=4, pooled=True))


def _units(size: tuple[int, int, int], depth: int, seed: int, kind: Kind) -> Units:
    """Return Gaussian units with features tanh(h), on Gaussian inputs.

    Units at several positions have those as an axis; pooled ones have features without it.
    """
    width, *points = size
    rng = np.random.default_rng([seed, depth, *size])
    inputs = (4,) if kind.positions == 1 else (4, 4, 1)
    places = (kind.positions,) if kind.positions > 1 else ()
    outputs = (kind.outputs,) if kind.outputs > 1 else ()

    def on(count: int) -> UnitSet:
        h = tuple(rng.standard_normal((count, *places, width)) for _ in range(depth))
        x = rng.standard_normal((count, *inputs))
        y, output = rng.standard_normal((2, count, *outputs))
        features = [np.tanh(each) for each in h]
        if kind.pooled:
            features[-1] = features[-1].mean(axis=1)
        return UnitSet(x, y, output, h, tuple(features))

    return Units(*map(on, points))


def _value(component: Component, parameters: Sample, *units: Units) -> NDArray[np.float64]:
    return unit_observable(component, component.parse(parameters)).value(*units)


def _pair(
    size: tuple[int, int, int] = SIZES[0], depth: int = DEPTHS[-1], kind: Kind = KINDS[0]
) -> tuple[Units, Units]:
    return _units(size, depth, 1, kind), _units(size, depth, 0, kind)


@contextmanager
def _told(on: str) -> Iterator[None]:
    """Add to an observable's error on which units it fails, if any are given."""
    try:
        yield
    except ObservableError as error:
        raise ObservableError(f"{error} ({on})" if on else str(error)) from error


def _observable_shape(component: Component, parameters: Sample) -> None:
    for kind, depth in itertools.product(KINDS, DEPTHS):
        shapes = {}
        for size in SIZES:
            on = f"at width {size[0]}, on {size[1]} and {size[2]} points, with {depth} layers{kind}"
            with _told(on if str(kind) else ""):
                value = _value(component, parameters, *_pair(size, depth, kind))
            require(value.size > 0, f"is empty {on}")
            require(bool(np.isfinite(value).all()), f"is not finite {on}")
            shapes[value.shape] = on
        told = "; ".join(f"{shape} {on}" for shape, on in shapes.items())
        require(len(shapes) == 1, f"has several shapes: {told}; average over units and points")


def _observable_deterministic(component: Component, parameters: Sample) -> None:
    one, two = (_value(component, parameters, *_pair()) for _ in range(2))
    require(np.array_equal(one, two), "two calls with the same units give two values")


def _observable_leaves_units(component: Component, parameters: Sample) -> None:
    units = _pair()
    before = copy.deepcopy(units)
    _value(component, parameters, *units)
    for name in UnitSet._fields:
        for now, then in zip(units, before, strict=True):
            for on in Units._fields:
                found, given = (getattr(getattr(seen, on), name) for seen in (now, then))
                same = np.array_equal(found, given)
                require(same, f"changes {name}; copy arrays before writing to them")


CHECKS: Checks = {
    "gives finite numbers, of one shape for all widths and points": _observable_shape,
    "is deterministic": _observable_deterministic,
    "leaves units as they are": _observable_leaves_units,
}
"""Checks of every observable, by the property that must hold."""
