"""Waiting for events, however long they take: no test depends on how fast a machine is."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 3600.0
"""Seconds after which what a test waits for is taken to hang; a bound on nothing else."""


def until(happened: Callable[[], bool], goes_on: Callable[[], bool] = lambda: True) -> None:
    """Wait until something has happened, for as long as that goes on which brings it about."""
    end = time.monotonic() + PATIENCE
    while not happened():
        assert goes_on() or happened(), "it ended before"
        assert time.monotonic() < end, "it hangs"
        time.sleep(0.01)
