"""Checks of regimes."""

from __future__ import annotations

from harness.conformance.outcome import Checks, require
from harness.conformance.samples import Sample
from harness.records import Protocol, Stage
from harness.registry import Component


def _regime_stages(component: Component, parameters: Sample) -> None:
    made = component.make(component.parse(parameters))
    stages = made.stages if isinstance(made, Protocol) else tuple(made)
    require(all(isinstance(s, Stage) for s in stages), "returns something but Stages")
    Protocol(stages)


CHECKS: Checks = {
    "makes stages of a protocol": _regime_stages,
}
"""Checks of every regime, by the property that must hold."""
