"""Checks of regimes."""

from __future__ import annotations

from harness.conformance.outcome import Checks, require
from harness.conformance.samples import Sample
from harness.records import Protocol, Stage
from harness.registry import Component


def _regime_stages(component: Component, parameters: Sample) -> None:
    made = component.make(component.parse(parameters))
    protocol = made if isinstance(made, Protocol) else Protocol(tuple(made))
    require(all(isinstance(s, Stage) for s in protocol.stages), "returns something but Stages")


CHECKS: Checks = {
    "makes stages of a protocol": _regime_stages,
}
"""Checks of every regime, by the property that must hold."""
