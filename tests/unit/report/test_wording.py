"""Sentences and numbers say what was run and what was found, and never more than is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_results import Results, score_row

from harness.report import wording
from harness.report.wording import NBSP, verdict_sentences, width_at_tolerance
from harness.scoring import ScoreRow
from harness.store import experiments

ROW = score_row(
    {64: 0.2, 256: 0.1}, exponent=0.5, exponent_ci=(0.4, 0.6), width_at_5_percent=1024.0
)


def test_words_say_what_would_decide_and_what_was_left_out() -> None:
    before = " ".join(verdict_sentences(ROW))
    assert "More seeds or wider networks would decide." in before
    assert "a width of about 1,024." in before
    more = replace(
        ROW,
        advice="about 30 seeds would decide",
        dropped_widths=[16, 32],
        width_at_5_percent_kind="extrapolated",
    )
    after = " ".join(verdict_sentences(more))
    assert "About 30 seeds would decide." in after
    assert "widths 16 and 32" in after
    assert "a width of about 1,024 (extrapolated)." in after


@pytest.mark.parametrize(
    ("widths", "seeds", "said"),
    [
        ([64], 4, "a single width gives no interval: run more widths for a verdict."),
        ([64], 1, "a single width gives no interval: run more widths and seeds for a verdict."),
        ([64, 256], 1, "widths with a single network each give no interval: run more seeds for"),
    ],
)
def test_networks_without_an_interval_are_told_of_those_that_are_missing(
    widths: list[int], seeds: int, said: str
) -> None:
    row = score_row(dict.fromkeys(widths, 0.2), limit_gap_ci=None, seeds=seeds)
    assert said in verdict_sentences(row)[0]


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


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.123, "0.12 s"), (89, "89 s"), (120, "2 min"), (9000, "2.5 h")]
)
def test_times_have_the_unit_that_suits(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text.replace(" ", "\u00a0")


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0"),
        (1e-6, "below 0.01"),
        (0.0088, "0.88"),
        (0.05, "5"),
        (0.1143, "11.4"),
        (1.084, "108"),
    ],
)
def test_percentages_have_the_digits_that_matter(share: float, text: str) -> None:
    assert wording.percent(share) == f"{text}\u00a0%"


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.25342, 0.0021, "0.2534 ± 0.0021"),
        (-0.5, 0.12, "\u22120.50 ± 0.12"),
        (1234.4, 56.0, "1234 ± 56"),
        (0.25, 0.0, "0.25"),
        (0.1, 1e-17, "0.1"),
        (0.25, float("nan"), "0.25"),
        (float("nan"), 0.1, "–"),
    ],
)
def test_numbers_have_two_digits_of_their_error(value: float, error: float, text: str) -> None:
    assert wording.number_in_words(value, error)[0] == text.replace(" ", "\u00a0")


def test_a_long_list_is_shown_in_part() -> None:
    assert wording.value_in_words(list(range(20))).endswith(", 18, 19")
    assert wording.value_in_words(["a"] * 21) == "a, " * 20 + "... (21 values)"


def test_an_empty_list_is_none_and_sentences_leave_it_out(tmp_path: Path) -> None:
    assert wording.value_in_words([]) == "none"
    results = Results(tmp_path)
    results.add("one", {"theory-a": 0.1}, regime={"steps": 3, "trainable": "all", "reset": []})
    (made,) = experiments(results.store)
    said = wording.experiment_in_words(made)
    assert "steps 3; trainable all)" in said and "reset" not in said
