"""Properties that every component must have; built-in and contributed ones are checked alike."""

from harness.conformance.check import check_component
from harness.conformance.outcome import Check
from harness.conformance.samples import sample_parameters

__all__ = ["Check", "check_component", "sample_parameters"]
