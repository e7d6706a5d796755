"""Every claim finds its experiments in a bundled suite."""

from __future__ import annotations

import fnmatch

import pytest

from harness import Registry
from harness.claims import (
    listed_claims,
)
from harness.suites import bundled_suites, load_suite


def test_the_claims_of_the_first_paper_are_there_in_order() -> None:
    claims = [c for c in listed_claims(Registry.load()) if "2507.04448" in c.citation]
    assert [c.order for c in claims] == list(range(1, 20))


def test_claims_are_found_by_the_experiments_that_they_need() -> None:
    names = ["linear-rank-one[task.target_points=40,task.data_seed=0]"]
    assert [c.name for c in listed_claims(Registry.load(), names)] == [
        "negative-transfer",
        "rank-one-limit",
    ]


def test_every_experiment_that_a_claim_needs_is_in_a_bundled_suite() -> None:
    registry = Registry.load()
    for size in ("", "-smoke", "-full"):
        bases = {
            e.name.partition("[")[0]
            for name in bundled_suites()
            if name.startswith("paper-")
            and name.count("-") == 1 + bool(size)
            and name.endswith(size)
            for e in load_suite(name, registry).experiments
        }
        for component in listed_claims(registry):
            if "2507.04448" not in component.citation:
                continue
            for pattern in component.experiments:
                assert fnmatch.filter(bases, pattern), (component.name, pattern, size)


def test_the_rivals_have_a_suite_with_the_experiments_of_their_claims() -> None:
    registry = Registry.load()
    bases = {e.name.partition("[")[0] for e in load_suite("rivals", registry).experiments}
    claims = [c for c in listed_claims(registry) if "2502.03210" in c.citation]
    assert [c.name for c in claims] == [
        "rescaling-same-output",
        "kernels-tell-apart",
        "outputs-tell-apart",
    ]
    assert {e for c in claims for e in c.experiments} == bases


@pytest.mark.parametrize(
    ("paper", "suite", "orders"),
    [
        ("2502.07998", "adaptive-kernels", range(31, 35)),
        ("2309.16620", "depth-transfer", range(41, 45)),
        ("1411.1792", "which-layers", range(51, 55)),
        ("2205.09653", "kernel-evolution", range(61, 65)),
    ],
)
@pytest.mark.parametrize("size", ["", "-smoke"])
def test_neighbouring_papers_have_a_suite_with_the_experiments_of_their_claims(
    paper: str, suite: str, orders: range, size: str
) -> None:
    registry = Registry.load()
    bases = {e.name.partition("[")[0] for e in load_suite(suite + size, registry).experiments}
    claims = [c for c in listed_claims(registry) if paper in c.citation]
    assert [c.order for c in claims] == list(orders)
    patterns = {pattern for c in claims for pattern in c.experiments}
    assert [p for p in patterns if not fnmatch.filter(bases, p)] == []
    assert [b for b in bases if not any(fnmatch.fnmatch(b, p) for p in patterns)] == []
    # nor does any claim of another paper look at them
    others = [c.name for c in listed_claims(registry, bases) if paper not in c.citation]
    assert others == []


@pytest.mark.parametrize("suite", ["phase", "questions"])
@pytest.mark.parametrize("size", ["", "-smoke"])
def test_questions_find_their_experiments_in_a_suite_of_either_size(suite: str, size: str) -> None:
    registry = Registry.load()
    experiments = load_suite(f"{suite}{size}", registry).experiments
    bases = {e.name.partition("[")[0] for e in experiments}
    asked = [c for c in listed_claims(registry, bases) if "question" in c.tags]
    assert {e for c in asked for e in c.experiments} == bases
