"""Checks of claims: they have a statement, and judge nothing without results."""

from __future__ import annotations

from harness.claims import judge_claims
from harness.conformance.outcome import Checks, require
from harness.conformance.samples import Sample
from harness.registry import Component, Registry
from harness.results import Results


def _claim_states(component: Component, _: Sample) -> None:
    require(bool(component.statement), "give it a statement: the claim, in words")
    require(bool(component.citation), "give it a source: the paper, and figure or equation")
    require(bool(component.experiments), "name the experiments that it needs")


def _claim_without_results(component: Component, _: Sample) -> None:
    (found,) = judge_claims([component], Results(()), Registry())
    require(not found.failure, f"raises instead of NotEnoughError: {found.reason}")
    require(found.verdict == "undecided", f"is {found.verdict!r} without any result")


CHECKS: Checks = {
    "states its claim, and names its experiments": _claim_states,
    "is undecided without results": _claim_without_results,
}
"""Checks of every claim, by the property that must hold."""
