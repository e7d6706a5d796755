"""What a cell will take, from the sizes that its experiment names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.records import Protocol
from harness.suites import Experiment, cells_of

if TYPE_CHECKING:
    from harness.execution.driver import Plan
    from harness.registry import Registry

COPIES = 6
"""Arrays of the size of the weights, or of the features, that a training step holds at once."""

RATE = 3e10
"""Floating-point operations a second that training sustains on one processor, roughly."""

UNNAMED = 1000
"""Taken for a size that no parameter of a task names, such as the pixels of an image."""


def network_bytes(experiment: Experiment, width: int) -> int:
    """Return the memory of training one network, in bytes; an estimate for dense layers."""
    depth = _depth(experiment)
    points = sum(_points(experiment, name) for name in ("source", "target", "test"))
    return COPIES * 4 * (_weights(experiment, width) + depth * points * width)


def network_seconds(experiment: Experiment, width: int, registry: Registry) -> float:
    """Return the time of training one network on one processor, compilation aside."""
    component = registry.get("regime", experiment.regime.name)
    made = component.make(component.parse(experiment.regime.parameters))
    stages = made.stages if isinstance(made, Protocol) else made
    weights = _weights(experiment, width)
    operations = sum(
        s.steps * _points(experiment, s.data) * (6 * weights if s.trainable == "all" else 4 * width)
        for s in stages
    )
    return operations / RATE


def planned_cells(plan: Plan, registry: Registry) -> list[dict[str, Any]]:
    """Return every cell of a plan with its status and what it will take.

    Status is "finished", "missing", or "pilot" where a pilot run must find dt first. Time
    (seconds) and memory (mebibytes) are None for theories, which choose their own samples.
    """
    missing = {cell.key for cell in plan.missing}
    rows = []
    for experiment in plan.suite.experiments:
        dts = plan.dts[experiment.name]
        for cell in cells_of(experiment, plan.suite, dts or ()):
            status = "missing" if cell.key in missing else "finished"
            width = cell.solver.width
            rows.append(
                {
                    "experiment": experiment.name,
                    "solver": cell.solver.name,
                    "width": width,
                    "seed": cell.solver.seed,
                    "cell": cell.title,
                    "key": None if dts is None else cell.key,
                    "status": "pilot" if dts is None else status,
                    "seconds": None
                    if width is None
                    else network_seconds(experiment, width, registry),
                    "mebibytes": None
                    if width is None
                    else network_bytes(experiment, width) / 2**20,
                }
            )
    return rows


def _depth(experiment: Experiment) -> int:
    return int(experiment.architecture.parameters.get("depth", 1))


def _points(experiment: Experiment, name: str) -> int:
    return int(experiment.task.parameters.get(f"{name}_points", UNNAMED))


def _weights(experiment: Experiment, width: int) -> int:
    inputs = int(experiment.task.parameters.get("dimension", UNNAMED))
    return width * (inputs + (_depth(experiment) - 1) * width + 1)
