"""The suite of rival theories, made small: its claims are judged by outputs and by kernels."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import Registry, run
from harness.claims import judge_claims, listed_claims
from harness.suites import bundled_suites


def test_the_claims_of_the_rivals_are_judged(tmp_path: Path) -> None:
    text = bundled_suites()["rivals"].read_text()
    small = text.replace("[64, 256, 1024]", "[32, 64, 128]").replace("seeds = 6", "seeds = 3")
    small = small.replace('["tanh", "erf"]', '["erf"]').replace("steps = 2000", "steps = 600")
    suite = tmp_path / "rivals.toml"
    suite.write_text(small)
    results = run(suite, results=tmp_path / "results", workers=1)
    registry = Registry.load()
    claims = [c for c in listed_claims(registry) if "2502.03210" in c.citation]
    judged = judge_claims(claims, results, registry)
    assert [each.reason for each in judged] == [""] * 3
    # networks this narrow need not reproduce the claims, and refute none
    assert [each.component.name for each in judged if each.verdict == "not reproduced"] == []
    gaps = {
        row.theory: row.limit_gap
        for row in results.rows_of("kernel/feature")
        if row.experiment == "rivals-linear"
    }
    assert gaps["kernel-rescaling"] > 0.5
    assert gaps["adaptive-kernel"] < 0.2
    assert gaps["gaussian-adaptation"] == pytest.approx(gaps["adaptive-kernel"], abs=1e-6)
