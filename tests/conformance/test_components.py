"""Every built-in component passes the checks that contributed ones are put through."""

from __future__ import annotations

import pytest

from harness import Component, Registry
from harness.conformance import check_component, sample_parameters

COMPONENTS = Registry.load().components()


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: f"{c.kind}:{c.name}")
def test_component_conforms(component: Component) -> None:
    parameters = sample_parameters(component)
    assert parameters is not None, "built-in parameters need a sample value"
    checks = check_component(component, parameters)
    assert [f"{c.name}: {c.failure}" for c in checks if c.failure] == []
    assert [f"{c.name}: {c.unchecked}" for c in checks if c.unchecked] == []


@pytest.mark.parametrize(
    "component", [c for c in COMPONENTS if c.kind == "theory"], ids=lambda c: c.name
)
def test_a_theory_tells_its_domain_cost_and_source(component: Component) -> None:
    """What `limitbench describe` prints of a theory."""
    assert "Domain:" in component.doc
    assert "Cost:" in component.doc
    assert component.citation


def test_all_kinds_are_there() -> None:
    found = {(c.kind, c.name) for c in COMPONENTS}
    assert found >= {
        ("task", "linear-transfer"),
        ("task", "polynomial-transfer"),
        ("task", "multi-index"),
        ("task", "image-pairs"),
        ("task", "image-classes"),
        ("task", "table"),
        ("architecture", "mlp"),
        ("regime", "single"),
        ("regime", "fine-tune"),
        ("regime", "jointly-rich"),
        ("regime", "no-pretraining"),
        ("theory", "mean-field"),
        ("theory", "linear-transfer"),
        ("theory", "lazy-ntk"),
        ("theory", "lazy-nngp"),
    }
