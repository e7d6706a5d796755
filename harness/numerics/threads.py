"""The same work on parts of a problem, side by side on this process's processors."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

MOST_NUMBERS = 2**26
"""Numbers that parts which run side by side may hold together."""

LEAST_NUMBERS = 2**16
"""Parts that hold fewer are done sooner than a thread is started."""

T = TypeVar("T")


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def side_by_side(work: Callable[[int], T], parts: int, numbers: int) -> list[T]:
    """Return work(0), work(1) ..., of which as many run at once as there are processors.

    A part's result does not depend on how many run beside it. NumPy and compiled programs let
    other threads run while they compute.

    Args:
        work: on a part, by its number.
        parts: how many there are.
        numbers: that a part holds; large parts run one after the other, since memory is bounded.
    """
    threads = min(processors(), parts, MOST_NUMBERS // max(numbers, 1))
    if threads <= 1 or numbers < LEAST_NUMBERS:
        return [work(part) for part in range(parts)]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, range(parts)))
