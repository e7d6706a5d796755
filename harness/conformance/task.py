"""Checks of tasks: data depend on the seed alone, and no training point is a test point."""

from __future__ import annotations

import numpy as np

from harness.conformance.outcome import Checks, require
from harness.conformance.samples import Sample
from harness.records import TransferData
from harness.registry import Component


def _task_data(component: Component, parameters: Sample, seed: int) -> TransferData:
    data = component.make(component.parse(parameters), seed)
    require(isinstance(data, TransferData), f"returns a {type(data).__name__}, not TransferData")
    made: TransferData = data
    return made


def _task_deterministic(component: Component, parameters: Sample) -> None:
    first, again, other = (_task_data(component, parameters, seed) for seed in (0, 0, 1))
    for name, one in first.sets().items():
        same = again.sets()[name]
        require(
            np.array_equal(one.x, same.x) and np.array_equal(one.y, same.y),
            f"{name} differs between two calls with seed 0; draw from default_rng(seed) only",
        )
    require(
        any(not np.array_equal(d.x, other.sets()[n].x) for n, d in first.sets().items()),
        "seeds 0 and 1 give the same inputs; draw from default_rng(seed)",
    )


def _task_shapes(component: Component, parameters: Sample) -> None:
    for name, dataset in _task_data(component, parameters, 0).sets().items():
        require(bool((dataset.y != dataset.y[0]).any()), f"all labels of {name} are the same")


def _task_disjoint(component: Component, parameters: Sample) -> None:
    data = _task_data(component, parameters, 0)
    for name in data.tasks:
        train, test = data.train(name), data.test(name)
        shared = {x.tobytes() for x in train.x} & {x.tobytes() for x in test.x}
        require(not shared, f"{len(shared)} points of {name} are in {name}_test too")


CHECKS: Checks = {
    "is deterministic in its seed": _task_deterministic,
    "has the right shapes and finite values": _task_shapes,
    "keeps training and test points apart": _task_disjoint,
}
"""Checks of every task, by the property that must hold."""
