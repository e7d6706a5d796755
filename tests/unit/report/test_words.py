"""Words of the report: what is undecided is never put as refuted, nor what is open as answered."""

from __future__ import annotations

import re
from typing import Any

import pytest
from made_results import score_row
from matplotlib.legend import Legend

from harness.claims import Finding, JudgedClaim, Judgement
from harness.registry import Component
from harness.registry.component import Params
from harness.report.claims import claim_figure, finding_lines
from harness.report.sentences import (
    NBSP,
    Tally,
    headline,
    verdict_sentences,
    width_at_tolerance,
)
from harness.report.style import styled
from harness.scoring import ScoreRow
from harness.scoring.advice import Evidence, what_would_decide

# ---------------------------------------------------------------- headline


def tally(theory: str, agrees: int, undecided: int, disagrees: int, missing: int = 0) -> Tally:
    return Tally(theory, agrees, undecided, disagrees, missing, 0, None, None, None, None)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({}, "There is no verdict yet"),
        ({"a": (0, 0, 0, 2)}, "There is no verdict yet"),
        ({"a": (1, 0, 0)}, "a describes wide networks in 1 of 1 experiment"),
        ({"a": (2, 0, 0)}, "a describes wide networks in 2 of 2 experiments"),
        ({"a": (1, 1, 0)}, "a describes wide networks in 1 of 2 experiments (undecided on 1)"),
        (
            {"a": (1, 0, 1), "b": (0, 2, 0)},
            "a describes wide networks in 1 of 2 experiments; b in 0 of 2 (undecided on 2)",
        ),
        (
            {"a": (2, 0, 0), "b": (1, 1, 0), "c": (0, 0, 2), "d": (0, 0, 2)},
            "a describes wide networks in 2 of 2 experiments; the next best theory, b, in 1 of 2"
            " (undecided on 1)",
        ),
        ({"a": (0, 3, 0)}, "It is undecided whether a describes wide networks"),
        ({"a": (0, 1, 2)}, "It is undecided whether a describes wide networks"),
        (
            {"a": (0, 1, 0), "b": (0, 2, 0)},
            "It is undecided whether a and b describe wide networks",
        ),
        (
            {"a": (0, 1, 0), "b": (0, 1, 0), "c": (0, 1, 0)},
            "It is undecided whether a, b and c describe wide networks",
        ),
        (
            {"a": (0, 1, 1), "b": (0, 0, 2)},
            "It is undecided whether a describes wide networks; b does not",
        ),
        (
            {"a": (0, 1, 1), "b": (0, 0, 2), "c": (0, 0, 1, 1)},
            "It is undecided whether a describes wide networks; b and c do not",
        ),
        ({"a": (0, 0, 1)}, "a does not describe wide networks in any experiment with a verdict"),
        (
            {"a": (0, 0, 1), "b": (0, 0, 1)},
            "No theory describes wide networks in any experiment with a verdict",
        ),
    ],
)
def test_a_headline_says_no_only_where_that_is_known(
    counts: dict[str, tuple[int, ...]], said: str
) -> None:
    made = [tally(theory, *numbers) for theory, numbers in counts.items()]
    assert headline(made).replace(NBSP, " ") == said


# ---------------------------------------------------------------- how networks approach a theory


def row(verdict: Any, distances: dict[int, float], at: float | None, kind: Any) -> ScoreRow:
    intervals = {"agrees": (0.0, 0.02), "disagrees": (0.06, 0.1), "undecided": (0.0, 0.09)}
    gaps = {"agrees": 0.0, "disagrees": 0.08, "undecided": 0.0}
    return score_row(
        distances,
        limit_gap=gaps[verdict],
        limit_gap_ci=intervals[verdict],
        width_at_5_percent=at,
        width_at_5_percent_kind=kind,
        verdict=verdict,
    )


FAR, NEAR = {64: 0.3, 256: 0.15}, {64: 0.04, 256: 0.02}


@pytest.mark.parametrize(
    ("verdict", "distances", "at", "kind", "table", "said"),
    [
        ("agrees", FAR, 1024.4, "extrapolated", "1,024", "a width of about 1,024 (extrapolated)"),
        ("agrees", FAR, 100.0, "interpolated", "100", "at a width of about 100."),
        ("agrees", NEAR, None, None, "any", "It is within 5 % at every width."),
        ("agrees", FAR, None, None, "unknown", "At which width it reaches 5 % is not known."),
        ("undecided", FAR, None, None, "unknown", "At which width it reaches 5 % is not known."),
        ("undecided", NEAR, None, None, "any", "It is within 5 % at every width."),
        ("undecided", FAR, 2000.0, "extrapolated", "2,000", "about 2,000 (extrapolated)"),
        ("disagrees", FAR, None, None, "never", "As the gap remains, it never reaches 5 %."),
        ("disagrees", FAR, 9000.0, "extrapolated", "never", "it never reaches 5 %."),
        ("disagrees", FAR, 100.0, "interpolated", "100", "at a width of about 100."),
    ],
)  # fmt: skip
def test_never_is_said_only_of_a_gap_that_is_shown(
    verdict: str,
    distances: dict[int, float],
    at: float | None,
    kind: str | None,
    table: str,
    said: str,
) -> None:
    made = row(verdict, distances, at, kind)
    assert width_at_tolerance(made) == table
    text = " ".join(verdict_sentences(made)).replace(NBSP, " ")
    assert said in text
    assert ("never" in text) == (table == "never")


# ---------------------------------------------------------------- advice


@pytest.mark.parametrize("gap", [0.0, 0.01, 0.03, 0.049, 0.06])
@pytest.mark.parametrize("high", [0.0501, 0.055, 0.08, 0.2])
@pytest.mark.parametrize("errors", [(1e-4, 0.0), (0.0, 1e-4), (1e-4, 1e-4)])
@pytest.mark.parametrize("seeds", [2, 8])
def test_advice_asks_for_something(
    gap: float, high: float, errors: tuple[float, float], seeds: int
) -> None:
    said = what_would_decide(Evidence(gap, (0.0, high), 0.05, *errors, seeds, 1024))
    assert not re.search(r"\b(0 more|1\.0 times|1 more seeds)\b", said)


def test_advice_for_a_verdict_that_is_nearly_decided() -> None:
    said = what_would_decide(Evidence(0.0, (0.0, 0.0501), 0.05, 1e-4, 0.0, 8, 1024))
    assert said == (
        "would be decided by about 1 more seed of every width (or all widths 1.1 times as large,"
        " to about 1200), if the gap stays at 0.00 %"
    )


# ---------------------------------------------------------------- claims

YES = Finding(what="gain", value=1.0, stderr=0.1, at_least=0.0)
NO = Finding(what="gain", value=-1.0, stderr=0.1, at_least=0.0)
OPEN = Finding(what="gain", value=0.0, stderr=0.1, at_least=0.0)
NOTE = "It holds at any richness."


@pytest.mark.parametrize(
    ("findings", "said"),
    [
        ([YES], NOTE),
        ([NO], NOTE),
        ([YES, NO, OPEN], NOTE),
        ([OPEN], "Not decided by these results: 0 of 1 findings hold, and none is refuted;"),
        ([YES, OPEN], "Not decided by these results: 1 of 2 findings holds, and none is refuted;"),
        ([OPEN, OPEN], "Not decided by these results: 0 of 2 findings hold, and none is refuted;"),
    ],
)
def test_a_claim_that_is_undecided_concludes_nothing(findings: list[Finding], said: str) -> None:
    component = Component(
        kind="claim", name="c", version="1", params=Params, make=lambda _: None, statement="s"
    )
    judged = JudgedClaim(component, Judgement(findings, NOTE))
    assert judged.conclusion.startswith(said)
    assert judged.as_row()["conclusion"] == judged.conclusion
    if judged.verdict == "undecided":
        assert judged.conclusion.endswith(f"Noted with it, for where it is decided: {NOTE}")


def test_the_marks_of_numbers_make_the_verdict_of_their_claim() -> None:
    nearly = Finding(what="gain", value=-0.22, stderr=0.1, at_least=0.0)
    assert nearly.verdict() == "not reproduced", "alone"
    assert Judgement([nearly, YES, YES]).verdict == "undecided", "one of three may miss"
    assert [line.mark for line in finding_lines([nearly, YES, YES])] == ["?", "✓", "✓"]
    assert finding_lines([]) == []


def test_a_claim_without_results_says_what_is_missing() -> None:
    component = Component(
        kind="claim", name="c", version="1", params=Params, make=lambda _: None, statement="s"
    )
    assert JudgedClaim(component, reason="not enough results: none").conclusion == (
        "not enough results: none"
    )


# ---------------------------------------------------------------- figures of claims


def labels(axis: Any) -> list[str]:
    """Return the texts of the ticks that are in view."""
    low, high = sorted(axis.get_view_interval())
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    return [
        tick.label1.get_text()
        for tick in ticks
        if low <= tick.get_loc() <= high and tick.label1.get_text()
    ]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.3, 0.8, ["0.3", "0.4", "0.5", "0.7"]),
        (20, 60, ["20", "50"]),
        (1, 4, ["1", "2"]),
        (3.1, 3.4, ["3.1", "3.2", "3.3", "3.4"]),
    ],
)
def test_a_logarithmic_axis_of_less_than_a_decade_has_ticks(
    low: float, high: float, expected: list[str]
) -> None:
    def draw(ax: Any) -> None:
        ax.plot([low, high], [low, high], label="a line")
        ax.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))

    with styled():
        ax = claim_figure(draw)
        ax.figure.canvas.draw()
        assert labels(ax.xaxis) == labels(ax.yaxis) == expected


def test_ticks_that_are_set_stay_and_decades_are_left_alone() -> None:
    def draw(ax: Any) -> None:
        ax.plot([1, 1000], [16, 64])
        ax.set(xscale="log", yscale="log")
        ax.set_yticks([16, 32, 64], ["16", "32", "64"])

    with styled():
        ax = claim_figure(draw)
        ax.figure.canvas.draw()
        assert labels(ax.yaxis) == ["16", "32", "64"]
        assert len(labels(ax.xaxis)) >= 4


def test_a_claims_lines_are_named_under_its_figure() -> None:
    def draw(ax: Any) -> None:
        ax.plot([1, 2], [1, 2], label="theory")
        ax.plot([1, 2], [2, 1], label="networks")

    with styled():
        ax = claim_figure(draw)
    (legend,) = [artist for artist in ax.get_children() if isinstance(artist, Legend)]
    assert [text.get_text() for text in legend.get_texts()] == ["theory", "networks"]
