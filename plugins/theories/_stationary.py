"""Lengths of stages that end in their stationary state, for theories of that state."""

from __future__ import annotations

from harness import Stage

RELAXATIONS = 5.0
"""Least length of a stage, in units of 1 / decay, that ends in its stationary state."""


def length_reason(stage: Stage, relaxations: float = RELAXATIONS) -> str | None:
    """Return the reason why a stage is too short or its steps too long, or None."""
    times = stage.steps * stage.step_size * stage.decay
    if times < relaxations:
        return (
            f"describes the end of long training: steps x dt x decay is {times:.3g}, and at least"
            f" {relaxations:g} are needed"
        )
    if stage.step_size * (stage.decay + stage.elastic) >= 2:
        return f"describes stable steps; dt = {stage.step_size:g} is too large for the decay"
    return None
