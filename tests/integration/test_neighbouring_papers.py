"""Small sizes of the suites for neighbouring papers: all cells run, and all claims are judged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from harness import Registry, load, run
from harness.claims import judge_claims, listed_claims

IMAGES = pytest.mark.skipif("TFDS_DATA_DIR" not in os.environ, reason="needs data sets of TFDS")
BEYOND = "is an end of the grid"
"""Part of the reason where a best step lies beyond the steps that were tried."""


@pytest.mark.parametrize(
    ("suite", "paper"),
    [
        pytest.param("adaptive-kernels", "2502.07998", marks=IMAGES),
        pytest.param("which-layers", "1411.1792", marks=IMAGES),
        pytest.param("kernel-evolution", "2205.09653", marks=IMAGES),
        ("depth-transfer", "2309.16620"),
    ],
)
def test_the_claims_of_a_neighbouring_paper_are_judged(
    suite: str, paper: str, tmp_path: Path
) -> None:
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
