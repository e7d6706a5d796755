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

SEEDS, WIDTH = 24, 512
"""Networks that show the kernels of an architecture, and their width."""
MARGIN = 0.01
"""Relative distance of kernels that is allowed beside four standard errors: networks of this width
depart from the limit by a few parts in a thousand."""


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
    module, weights, x = _network(component, parameters, width, shape, seed)
    return module.apply(weights, x)


def _network(
    component: Component, parameters: Sample, width: int, shape: Sequence[int], seed: int = 0
) -> tuple[Any, Any, NDArray[np.float64]]:
    """Return a module, its weights and points; operation by operation, few of them recompile."""
    import jax

    module, x = _architecture(component, parameters).network(width), _points(shape)
    return module, module.init(jax.random.key(seed), x), x


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
    """Raise unless wide networks have the kernels of the structure, and as many weights."""
    import jax

    made = _architecture(component, parameters)
    if made.other is not None:
        raise NothingToCheckError(f"its structure leaves out {made.other}")
    for shape in shapes_taken(component, parameters):
        _, weights, x = _network(component, parameters, WIDTH, shape)
        exact = initial_kernels(made, x)
        at = f"on inputs of shape {shape}; correct them, or name the rest in other"
        drawn = [_kernels(component, parameters, shape, seed) for seed in range(SEEDS)]
        for name, expected, found in (
            ("features'", exact.features[-1], np.stack([features for features, _ in drawn])),
            ("tangent", exact.ntk, np.stack([tangent for _, tangent in drawn])),
        ):
            distance = np.linalg.norm(found.mean(axis=0) - expected)
            error = np.linalg.norm(found.std(axis=0, ddof=1)) / np.sqrt(SEEDS)
            size = np.linalg.norm(expected)
            require(
                bool(distance <= 4.0 * error + MARGIN * size),
                f"the {name} kernel at width {WIDTH} is {distance / size:.0%} away from that of"
                f" depth, activation, branch_scale, pooling and input_map, {at}",
            )
        inputs = made.inputs(x).shape[-1]
        expected_count = WIDTH * inputs + (made.depth - 1) * WIDTH**2
        count = sum(leaf.size for leaf in jax.tree.leaves(weights))
        require(
            count == expected_count,
            f"a network of width {WIDTH} has {count:,} hidden weights, where"
            f" {_layers_in_words(made.depth)} without biases on {inputs} inputs have"
            f" {expected_count:,}, {at}",
        )


def _kernels(
    component: Component, parameters: Sample, shape: Sequence[int], seed: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the feature kernel of a network's last layer, and its tangent kernel."""
    import jax

    module, weights, x = _network(component, parameters, WIDTH, shape, seed)
    features = np.asarray(module.apply(weights, x).features[-1])
    size = features.shape[1]
    readout = np.random.default_rng(seed).standard_normal(size)
    slopes = jax.jacrev(lambda w: module.apply(w, x).features[-1] @ readout)(weights)
    rows = [np.asarray(leaf).reshape(len(x), -1) for leaf in jax.tree.leaves(slopes)]
    kernel = features @ features.T / size
    return kernel, kernel + sum(row @ row.T for row in rows) / size


def _architecture_order(component: Component, parameters: Sample) -> None:
    """Raise unless the weights of layer l are the l-th to be made: so `trainable` counts them."""
    depth = _architecture(component, parameters).depth
    for shape in shapes_taken(component, parameters):
        module, weights, x = _network(component, parameters, 32, shape)
        hidden = weights.get("params", {})
        if len(hidden) != depth:
            raise NothingToCheckError(
                f"it has {len(hidden)} groups of weights for {_layers_in_words(depth)}, so that"
                " `trainable` and `reset` of single layers are refused"
            )
        before = module.apply(weights, x).preactivations
        for layer, group in enumerate(hidden):
            moved = {**weights, "params": {**hidden, group: _moved(hidden[group])}}
            after = module.apply(moved, x).preactivations
            changed = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
            first = changed.index(True) + 1 if True in changed else None
            require(
                first == layer + 1,
                f"the weights {group!r} are the {_ordinal(layer + 1)} that the module makes, and"
                f" {'no layer uses them' if first is None else f'layer {first} uses them first'};"
                " make weights in the order of the layers, as `trainable = [1]` counts them",
            )


def _moved(weights: Any) -> Any:
    import jax

    return jax.tree.map(lambda w: 1.5 * w + 0.5, weights)


def _layers_in_words(depth: int) -> str:
    return "1 layer" if depth == 1 else f"{depth} layers"


def _ordinal(number: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(number, f"{number}th")


CHECKS: Checks = {
    "gives pre-activations and features of every layer": _architecture_layers,
    "starts at the same scale at any width": _architecture_scale,
    "has the structure that it declares": _architecture_structure,
    "makes weights in the order of its layers": _architecture_order,
}
"""Checks of every architecture, by the property that must hold."""
