"""The committed networks of the standard leaderboard."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import Registry
from harness.contest import reference, standard_networks
from harness.scoring import (
    RANKED,
    ProblemResults,
    power,
    rank_theories,
    read_problems,
    score_problems,
)
from harness.store import experiments
from harness.suites import load_suite

EXACT = ("mean-field", "adaptive-kernel", "dmft", "linear-transfer")


def test_they_are_small_and_those_of_the_suite() -> None:
    assert standard_networks().stat().st_size <= 5_000_000
    suite = load_suite("standard", Registry.load())
    found = {e.name: e for e in experiments(reference("standard"))}
    assert list(found) == [e.name for e in suite.experiments]
    for experiment in suite.experiments:
        networks = found[experiment.name].networks()
        widths = suite.widths if experiment.widths is None else experiment.widths
        seeds = suite.seeds if experiment.seeds is None else experiment.seeds
        assert {n: len(records) for n, records in networks.items()} == dict.fromkeys(
            widths, len(seeds)
        )


@pytest.fixture(scope="module")
def problems() -> list[ProblemResults]:
    return read_problems([reference("standard")], [])


def test_theories_that_are_exact_agree_and_wrong_ones_are_found_out(
    problems: list[ProblemResults],
) -> None:
    """A twentieth of the verdicts may be wrong, as stated."""
    found = power(problems, EXACT, halves=20)
    assert len(found) >= 0.95 * len(problems)
    assert sum(one.verdict == "agrees" for one in found) >= 0.95 * len(found)
    assert sum(one.wrong == "disagrees" for one in found) >= 0.95 * len(found)
    assert sum(one.apart == "disagrees" for one in found) >= 0.95 * len(found)
    assert sum(one.agreed for one in found) >= 0.95 * len(found)


def test_exact_theories_share_the_first_rank(problems: list[ProblemResults]) -> None:
    ranking = rank_theories(score_problems(problems, RANKED, []))
    ranks = {each.theory: each.rank for each in ranking.standings}
    assert len(ranks) >= 10
    assert [ranks[name] for name in EXACT] == [1] * len(EXACT)
    assert min(rank for name, rank in ranks.items() if name not in EXACT and rank) > 1


@pytest.mark.parametrize("name", ["results/standard/README.md", "docs/standard.md"])
def test_pages_show_their_ranking(name: str) -> None:
    text = (Path(__file__).parents[2] / name).read_text()
    assert "| rank | theory |" in text
