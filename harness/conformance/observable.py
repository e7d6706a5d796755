"""Checks of observables: numbers of one shape, the same each time, that leave units alone."""

from __future__ import annotations

import copy

import numpy as np
from numpy.typing import NDArray

from harness.conformance.outcome import Checks, require
from harness.conformance.samples import Sample
from harness.records import Units, UnitSet
from harness.registry import Component
from harness.registry.declare import unit_observable

SIZES = ((32, 6, 5), (64, 6, 5), (64, 9, 7))
"""Widths, training points and test points on which an observable is seen."""

DEPTHS = (1, 2)


def _units(size: tuple[int, int, int], depth: int, seed: int) -> Units:
    """Return Gaussian units with features tanh(h), on Gaussian inputs with one output."""
    width, *points = size
    rng = np.random.default_rng([seed, depth, *size])

    def on(count: int) -> UnitSet:
        h = tuple(rng.standard_normal((count, width)) for _ in range(depth))
        x, y, output = rng.standard_normal((count, 4)), *rng.standard_normal((2, count))
        return UnitSet(x, y, output, h, tuple(map(np.tanh, h)))

    return Units(*map(on, points))


def _value(component: Component, parameters: Sample, *units: Units) -> NDArray[np.float64]:
    return unit_observable(component, component.parse(parameters)).value(*units)


def _pair(size: tuple[int, int, int] = SIZES[0], depth: int = DEPTHS[-1]) -> tuple[Units, Units]:
    return _units(size, depth, 1), _units(size, depth, 0)


def _observable_shape(component: Component, parameters: Sample) -> None:
    for depth in DEPTHS:
        shapes = {}
        for size in SIZES:
            value = _value(component, parameters, *_pair(size, depth))
            on = f"at width {size[0]}, on {size[1]} and {size[2]} points, with {depth} layers"
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
