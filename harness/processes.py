"""Work on many cells or experiments, shared among processors where that pays and is safe."""

from __future__ import annotations

import functools
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

from harness import signals

T = TypeVar("T")
R = TypeVar("R")

MANY = 4_000
"""Least number of cells for which processes are started: fewer are read in a second or two."""

CHUNKS = 8
"""Parts into which the work of a process is divided, as experiments differ in size."""

_work: tuple[Callable[[Any], Any], Sequence[Any]] | None = None
"""Function and items of forked processes: inherited, so that nothing is copied to them."""


def processes_for(items: int, many: int = MANY) -> int:
    """Return the number of processes that may share the work on so many items.

    Processes are forked, which is safe only before JAX or anybody else has started threads.

    Args:
        items: number of items.
        many: least number for which processes pay.
    """
    safe = sys.platform == "linux" and "jax" not in sys.modules and threading.active_count() == 1
    return len(os.sched_getaffinity(0)) if safe and items >= many else 1


def shared(function: Callable[[T], R], items: Sequence[T], processes: int) -> Iterator[R]:
    """Yield a function's result for each item, in the order of the items.

    Args:
        function: takes one item; its result can be pickled.
        items: arguments of the function.
        processes: number of processes that share the items; with 1, this process alone.
    """
    global _work  # noqa: PLW0603 - forked processes have no other way to it
    if processes < 2:
        yield from map(function, items)
        return
    _work = function, items
    size = max(1, len(items) // (CHUNKS * processes))
    fork = multiprocessing.get_context("fork")
    try:
        with ProcessPoolExecutor(processes, fork, initializer=signals.ignore) as pool:
            yield from pool.map(_one, range(len(items)), chunksize=size)
    finally:
        _work = None


def _one(place: int) -> Any:
    if _work is None:
        raise RuntimeError("no work was inherited")
    function, items = _work
    return function(items[place])


@contextmanager
def one_thread() -> Iterator[None]:
    """Let BLAS use one thread of this process.

    Matrices of a problem are small: more threads wait for each other, most of all where a process
    may use fewer processors than the machine has.
    """
    with _libraries().limit(limits=1, user_api="blas"):
        yield


@functools.cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()
