"""Cells drawn at random for running again.

A forger may change single cells here and there, all seeds of a width, or all of an experiment. The
chance that none of these is drawn has one bound for all: see `chance`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

SPARE = 10
"""One cell more is drawn for every so many that are asked for."""


class Place(NamedTuple):
    """Where a cell belongs, for drawing.

    Attributes:
        problem: hash of its problem.
        group: its width and precision, or the theory's name; networks of one problem and group
            share compiled programs.
        network: whether it is a network.
    """

    problem: str
    group: str
    network: bool


def draws(asked: int) -> int:
    """Return the number of cells that are drawn where so many are asked for."""
    return asked + math.ceil(asked / SPARE)


def chance(share: float, asked: int) -> float:
    """Return a lower bound on the probability that a forged cell is drawn.

    Cells are put in a row and the row is cut into d = `draws` pieces of equal length, of each of
    which one point is drawn. If a share f_j of piece j is forged, none is drawn with probability
    prod_j (1 - f_j). The mean of f_j is the share f of forged cells, and as log(1 - f) is concave,
    the product is at most (1 - f)^d (Jensen), however the forged cells lie. Further cells that are
    run again only add to it.

    Args:
        share: share of cells that are forged.
        asked: number of cells that are asked for.
    """
    return 1 - (1 - share) ** draws(asked)


def draw(places: Mapping[str, Place], asked: int, seed: int) -> list[str]:
    """Return the keys of cells to run again, each once.

    Problems, groups in them and cells in these are put in a row in random order, of which one
    point is drawn in each of `draws` pieces, so that no problem is passed over by chance. A cell
    that is met twice makes way for any other. Each drawn network then brings another seed of its
    width, whose programs are compiled already.

    Args:
        places: place of every cell, by its key.
        asked: number of cells to draw at least; all if there are not more.
        seed: seed of the draw.
    """
    count, shuffle = draws(asked), random.Random(seed)
    row = _row(places, shuffle)
    if len(row) <= count:
        return row
    points = [(j + shuffle.random()) / count for j in range(count)]
    drawn = dict.fromkeys(row[int(point * len(row))] for point in points)
    left = [key for key in row if key not in drawn]
    shuffle.shuffle(left)
    drawn |= dict.fromkeys(left[: count - len(drawn)])
    groups: dict[Place, list[str]] = {}
    for key in left:
        if key not in drawn:
            groups.setdefault(places[key], []).append(key)
    for key in list(drawn):
        if places[key].network and (others := groups.get(places[key])):
            drawn[others.pop()] = None
    return list(drawn)


def _row(places: Mapping[str, Place], shuffle: random.Random) -> list[str]:
    """Return keys in random order, those of one problem, and of one group of it, together."""
    parts: tuple[Sequence[object], ...] = (
        sorted({p.problem for p in places.values()}),
        sorted(set(places.values())),
    )
    ranks = []
    for part in parts:
        numbers = list(range(len(part)))
        shuffle.shuffle(numbers)
        ranks.append(dict(zip(part, numbers, strict=True)))
    within = {key: shuffle.random() for key in sorted(places)}
    return sorted(
        places, key=lambda k: (ranks[0][places[k].problem], ranks[1][places[k]], within[k])
    )
