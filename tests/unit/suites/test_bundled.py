"""Bundled suites: small sizes of large ones, and the standard leaderboard."""

from __future__ import annotations

import pytest

from harness import Registry
from harness.suites import Suite, load_suite
from harness.suites.cells import solvers_of

REGISTRY = Registry.load()
SMALL = (
    "classes",
    "architectures",
    "layers",
    "anisotropic",
    "curriculum",
    "adaptive-kernels",
    "depth-transfer",
    "which-layers",
    "kernel-evolution",
    "phase",
    "questions",
)


def used(suite: Suite) -> set[tuple[str, str]]:
    """Return the kinds and names of all components of a suite."""
    parts = {(kind, spec.name) for e in suite.experiments for kind, spec in e.parts.items()}
    return parts | {("theory", t.name) for e in suite.experiments for t in e.theories}


@pytest.mark.parametrize("name", SMALL)
def test_a_small_size_has_the_components_of_the_large_one(name: str) -> None:
    small, large = (load_suite(n, REGISTRY) for n in (f"{name}-smoke", name))
    assert small.name == f"{name}-smoke"
    assert used(small) == used(large)
    assert sum(len(solvers_of(e, small)) for e in small.experiments) < 60


def test_the_standard_suite_has_the_variety_that_its_page_states() -> None:
    suite = load_suite("standard", REGISTRY)
    assert len(suite.experiments) >= 30
    names = used(suite)
    assert {name for kind, name in names if kind == "architecture"} == {"mlp", "conv", "resmlp"}
    assert len([name for kind, name in names if kind == "theory"]) >= 10
    assert len([name for kind, name in names if kind == "task"]) >= 5
    for experiment in suite.experiments:
        networks = [s for s in solvers_of(experiment, suite) if s.width is not None]
        widths = {s.width for s in networks}
        assert len(widths) >= 4
        assert len(networks) >= 8 * len(widths)
        assert experiment.theories == suite.experiments[0].theories
