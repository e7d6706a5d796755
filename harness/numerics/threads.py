"""The same work on parts of a problem, side by side on the processors of this process."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

MOST_NUMBERS = 2**26
"""Most numbers in all parts that run side by side."""

LEAST_NUMBERS = 2**16
"""Fewest numbers of a part that is worth a thread."""

T = TypeVar("T")


def processors() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def side_by_side(work: Callable[[int], T], parts: int, numbers: int) -> list[T]:
    """Return work(0), work(1) ..., computed side by side, one on each processor.

    A part's result does not depend on the number of parts beside it. NumPy and compiled programs
    let other threads run while they compute.

    Args:
        work: computes a part from its number.
        parts: number of parts.
        numbers: count of numbers in a part; large parts run one after the other to bound memory.
    """
    threads = min(processors(), parts, MOST_NUMBERS // max(numbers, 1))
    if threads <= 1 or numbers < LEAST_NUMBERS:
        return [work(part) for part in range(parts)]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, range(parts)))
