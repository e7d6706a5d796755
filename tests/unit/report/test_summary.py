"""The head of the page: nothing undecided is put as refuted, and nothing open as answered."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_results import Results

from harness.report.sections.summary import Tally, headline, tallies
from harness.report.wording import NBSP
from harness.scoring import score_results
from harness.store import experiments


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


def test_cost_of_a_theory_stands_beside_that_of_networks_as_near(results: Results) -> None:
    results.add("one", {"good": 0.0})
    rows = score_results([results.store])
    found = experiments(results.store)
    (tally,) = tallies(rows, found)
    assert (tally.mean_rank, tally.seconds) == (1.0, 1.5)
    known = [replace(row, network_seconds_same_error=600.0) for row in rows]
    (tally,) = tallies(known, found)
    assert tally.network_seconds == 600.0
