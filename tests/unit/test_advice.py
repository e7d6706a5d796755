"""Advice on what would decide a verdict asks for something, and for no more than it takes."""

from __future__ import annotations

import re

import pytest

from harness.scoring.advice import OpenVerdict, what_would_decide


@pytest.mark.parametrize("gap", [0.0, 0.01, 0.03, 0.049, 0.06])
@pytest.mark.parametrize("high", [0.0501, 0.055, 0.08, 0.2])
@pytest.mark.parametrize("errors", [(1e-4, 0.0), (0.0, 1e-4), (1e-4, 1e-4)])
@pytest.mark.parametrize("seeds", [2, 8])
def test_advice_asks_for_something(
    gap: float, high: float, errors: tuple[float, float], seeds: int
) -> None:
    said = what_would_decide(OpenVerdict(gap, (0.0, high), 0.05, *errors, seeds, 1024))
    assert not re.search(r"\b(0 more|1\.0 times|1 more seeds)\b", said)


def test_advice_for_a_verdict_that_is_nearly_decided() -> None:
    said = what_would_decide(OpenVerdict(0.0, (0.0, 0.0501), 0.05, 1e-4, 0.0, 8, 1024))
    assert said == (
        "would be decided by about 1 more seed of every width (or all widths 1.1 times as large,"
        " to about 1200), if the gap stays at 0.00 %"
    )
