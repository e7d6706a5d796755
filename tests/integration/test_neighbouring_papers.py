"""Small sizes of the suites for neighbouring papers: all cells run, and all claims are judged."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from harness import Registry, load, run
from harness.claims import judge_claims, listed_claims

WITH_IMAGES = ("adaptive-kernels", "which-layers", "kernel-evolution")
BEYOND = "is an end of the grid"
"""Part of the reason where a best step lies beyond the steps that were tried."""


@pytest.mark.parametrize(
    ("suite", "paper"),
    [
        ("adaptive-kernels", "2502.07998"),
        ("which-layers", "1411.1792"),
        ("kernel-evolution", "2205.09653"),
        ("depth-transfer", "2309.16620"),
    ],
)
def test_the_claims_of_a_neighbouring_paper_are_judged(
    suite: str,
    paper: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if suite in WITH_IMAGES:
        monkeypatch.setenv("TFDS_DATA_DIR", str(request.getfixturevalue("image_sets")))
    run(f"{suite}-smoke", results=tmp_path, workers=1)
    registry = Registry.load()
    claims = [c for c in listed_claims(registry) if paper in c.citation]
    judged = judge_claims(claims, load(tmp_path), registry)
    assert len(judged) == 4
    assert [each.failure for each in judged] == [""] * 4
    assert [each.reason for each in judged if each.reason and BEYOND not in each.reason] == []
    for each in judged:
        if each.judgement is not None and each.judgement.figure is not None:
            each.judgement.figure(Figure().subplots())
