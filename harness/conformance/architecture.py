"""Checks of architectures: every layer exists, at a scale independent of the width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.conformance.outcome import Checks, NothingToCheckError, in_a_line, require
from harness.conformance.samples import INPUTS, Sample
from harness.records import Architecture
from harness.registry import Component
from harness.solving import initial_kernels

AXES = {
    "preactivations": ((2, 3), "(P, units) or (P, positions, units)"),
    "features": ((2,), "(P, units)"),
}
"""Numbers of axes of the outputs of a network, and their shapes in words."""

SEEDS = 8
"""Networks that show the kernel of an architecture."""


def _architecture(component: Component, parameters: Sample) -> Architecture:
    made = component.make(component.parse(parameters))
    require(isinstance(made, Architecture), f"returns a {type(made).__name__}, not Architecture")
    found: Architecture = made
    return found


def _points(shape: Sequence[int]) -> NDArray[np.float64]:
    return np.random.default_rng(1).standard_normal(shape)


def _layers(
    component: Component, parameters: Sample, width: int, shape: Sequence[int], seed: int = 0
) -> Any:
    import jax

    module = _architecture(component, parameters).network(width)
    x = _points(shape)
    # operation by operation: another width or shape recompiles few of them
    return module.apply(module.init(jax.random.key(seed), x), x)


def shapes_taken(component: Component, parameters: Sample) -> list[tuple[int, ...]]:
    """Return one shape for each kind of inputs that an architecture takes.

    A network made for one kind may raise on another.

    Args:
        component: an architecture.
        parameters: values for its parameters.

    Raises:
        ValueError: if it raises on all kinds.
    """
    taken: list[tuple[int, ...]] = []
    refusals: list[str] = []
    for kind, shapes in INPUTS.items():
        errors = {}
        for shape in shapes:
            try:
                layers = _layers(component, parameters, 32, shape)
                units = [h.size for h in (*layers.preactivations, *layers.features)]
                require(0 not in units, "a layer has no units")
            except Exception as error:  # a contributed network may raise anything
                errors[shape] = in_a_line(error)
            else:
                taken.append(shape)
                break
        else:
            refusals.append(f"{kind} of shape {shapes[0]} ({errors[shapes[0]]})")
    require(bool(taken), f"runs on none of: {'; '.join(refusals)}")
    return taken


def _architecture_layers(component: Component, parameters: Sample) -> None:
    depth = _architecture(component, parameters).depth
    for shape in shapes_taken(component, parameters):
        layers = _layers(component, parameters, 32, shape)
        for name, (axes, allowed) in AXES.items():
            found = getattr(layers, name)
            on = f"on inputs of shape {shape}"
            require(len(found) == depth, f"{len(found)} {name} for depth {depth} {on}")
            for h in found:
                fits = h.ndim in axes and h.shape[0] == shape[0]
                require(fits, f"{name} of shape {h.shape}, not {allowed}, {on}")
                require(bool(np.isfinite(h).all()), f"{name} are not finite {on}")


def _architecture_scale(component: Component, parameters: Sample) -> None:
    def size(width: int, shape: Sequence[int]) -> float:
        features = np.asarray(_layers(component, parameters, width, shape).features[-1])
        return float(np.sqrt(np.mean(features**2)))

    for shape in shapes_taken(component, parameters):
        narrow, wide = (size(width, shape) for width in (1024, 4096))
        require(
            abs(narrow - wide) < 0.25 * wide,
            f"features have root mean square {narrow:.3g} at width 1024 and {wide:.3g} at 4096,"
            f" on inputs of shape {shape}",
        )


def _architecture_structure(component: Component, parameters: Sample) -> None:
    """Raise unless the kernel of wide networks is that of the structure, within its errors."""
    made = _architecture(component, parameters)
    if made.other is not None:
        raise NothingToCheckError(f"its structure leaves out {made.other}")
    for shape in shapes_taken(component, parameters):
        exact = initial_kernels(made, _points(shape)).features[-1]
        found = []
        for seed in range(SEEDS):
            features = np.asarray(_layers(component, parameters, 1024, shape, seed).features[-1])
            found.append(features @ features.T / features.shape[1])
        distance = np.linalg.norm(np.mean(found, axis=0) - exact)
        error = np.linalg.norm(np.std(found, axis=0, ddof=1)) / np.sqrt(SEEDS)
        # widths of this size depart from the limit by a few parts in a thousand
        require(
            bool(distance <= 4.0 * error + 0.02 * np.linalg.norm(exact)),
            f"the features' kernel at width 1024 is {distance / np.linalg.norm(exact):.0%} away"
            f" from that of depth, activation, branch_scale, pooling and input_map, on inputs of"
            f" shape {shape}; correct them, or name the rest in other",
        )


CHECKS: Checks = {
    "gives pre-activations and features of every layer": _architecture_layers,
    "starts at the same scale at any width": _architecture_scale,
    "has the structure that it declares": _architecture_structure,
}
"""Checks of every architecture, by the property that must hold."""
