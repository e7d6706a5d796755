"""Cells are drawn so that forged ones are found, wherever they are."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest

from harness.submissions.draw import Place, chance, draw, draws

PLACES = {
    f"{problem:02}-{width}-{seed}": Place(str(problem), str(width), True)
    for problem in range(16)
    for width in (64, 256, 1024, 4096)
    for seed in range(7)
} | {
    f"{problem:02}-{theory}": Place(str(problem), theory, False)
    for problem in range(16)
    for theory in ("lazy", "mean-field", "dmft", "adaptive")
}
"""512 cells."""

FORGED = len(PLACES) // 10
DRAWS = 400

Choose = Callable[[random.Random], list[str]]


def scattered(any_: random.Random) -> list[str]:
    return any_.sample(sorted(PLACES), FORGED)


def whole_groups(any_: random.Random) -> list[str]:
    groups = sorted(set(PLACES.values()))
    any_.shuffle(groups)
    ranks = {group: rank for rank, group in enumerate(groups)}
    return sorted(PLACES, key=lambda key: ranks[PLACES[key]])[:FORGED]


def whole_experiments(any_: random.Random) -> list[str]:
    return sorted(PLACES)[:FORGED]


def theories(any_: random.Random) -> list[str]:
    return [key for key, place in sorted(PLACES.items()) if not place.network][:FORGED]


def one_seed_everywhere(any_: random.Random) -> list[str]:
    return [key for key in sorted(PLACES) if key.endswith("-3")][:FORGED]


ARRANGED: list[Choose] = [
    scattered,
    whole_groups,
    whole_experiments,
    theories,
    one_seed_everywhere,
]


def test_twenty_cells_find_a_tenth_in_nine_cases_of_ten() -> None:
    assert draws(20) == 22
    assert chance(0.1, 20) > 0.9


@pytest.mark.parametrize("choose", ARRANGED)
def test_forged_cells_are_found_as_often_as_derived(choose: Choose) -> None:
    found = 0
    for seed in range(DRAWS):
        forged = set(choose(random.Random(-seed)))
        assert len(forged) == FORGED
        found += not forged.isdisjoint(draw(PLACES, 20, seed))
    bound = chance(FORGED / len(PLACES), 20)
    sigma = (bound * (1 - bound) / DRAWS) ** 0.5
    assert found / DRAWS > bound - 3 * sigma


def test_a_scattered_tenth_is_found_by_other_seeds_too() -> None:
    found = sum(
        not set(scattered(random.Random(-seed))).isdisjoint(draw(PLACES, 20, seed))
        for seed in range(DRAWS)
    )
    assert found / DRAWS > 0.95


def test_a_network_brings_another_seed_of_its_width() -> None:
    counts = Counter(PLACES[key] for key in draw(PLACES, 20, 1))
    assert all(count >= 2 for place, count in counts.items() if place.network)
    assert draws(20) < sum(counts.values()) <= 2 * draws(20)


@pytest.mark.parametrize("asked", [1, 5, 20, 100, 400, 512, 10_000])
def test_cells_are_drawn_once_and_at_least_as_many_as_asked_for(asked: int) -> None:
    found = draw(PLACES, asked, 3)
    assert len(found) == len(set(found)) >= min(draws(asked), len(PLACES))
    assert set(found) <= PLACES.keys()


def test_every_cell_is_drawn_equally_often_first() -> None:
    alone = {key: place._replace(network=False) for key, place in PLACES.items()}
    counts = Counter(key for seed in range(DRAWS) for key in draw(alone, 20, seed))
    expected = DRAWS * draws(20) / len(PLACES)
    assert len(counts) == len(PLACES)
    assert max(counts.values()) < expected + 5 * expected**0.5


def test_a_seed_repeats_a_draw_whatever_the_order_of_cells() -> None:
    other = dict(sorted(PLACES.items(), key=lambda each: each[0][::-1]))
    assert draw(PLACES, 20, 4) == draw(other, 20, 4)
    assert draw(PLACES, 20, 4) != draw(PLACES, 20, 5)
    assert draw({}, 20, 4) == []
