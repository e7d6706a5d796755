"""What every component must satisfy: run on built-in and contributed ones alike."""

from harness.conformance.check import check_component
from harness.conformance.outcome import Check
from harness.conformance.samples import sample_parameters

__all__ = ["Check", "check_component", "sample_parameters"]
