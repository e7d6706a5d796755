"""This machine: its processors and memory, and the number of workers that these allow."""

from __future__ import annotations

import os
from pathlib import Path

MIB = 2**20

LEAST_WORKER_BYTES = 2 * 2**30
"""Least memory of a worker, for the choice of their number."""

MEMORY_SHARE = 0.9
"""Share of the available memory that workers may use before the largest is stopped."""

CGROUPS = tuple(
    (f"/sys/fs/cgroup/{limit}", f"/sys/fs/cgroup/{used}")
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    )
)


def processors() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_workers() -> int:
    """Return the default number of workers: one for each processor, as far as memory allows."""
    return max(1, min(processors(), available_memory() // LEAST_WORKER_BYTES))


def allowed_memory() -> float:
    """Return the bytes that all workers may use together unless a number is given."""
    return MEMORY_SHARE * available_memory()


def available_memory() -> int:
    """Return the bytes of memory still available, on this machine or in this container."""
    import psutil

    free = [int(psutil.virtual_memory().available)]
    for limit, used in CGROUPS:
        try:
            free.append(int(Path(limit).read_text()) - int(Path(used).read_text()))
        except (OSError, ValueError):  # no container, or one without a limit
            continue
    return max(0, min(free))
