"""Time that this process has spent on tracing and compiling, and a limit of kept programs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.monitoring

MAPPINGS = Path("/proc/self/maps")
MOST_MAPPINGS = 30_000
"""Number of memory mappings beyond which a process drops its compiled programs.

Each program takes a few dozen; Linux allows 65,530, and compiling one more crashes.
"""

EVENTS = "/jax/core/compile/"
FIRST, LOWERED, LAST = (
    "jaxpr_trace_duration",
    "jaxpr_to_mlir_module_duration",
    "backend_compile_duration",
)
"""Ends of the steps from a function to a program; compiling is the last."""

LOADED = "/jax/compilation_cache/cache_hits"
"""Event of a program that was taken from the folder of kept programs."""


def release_programs(mappings: Path = MAPPINGS, most: int = MOST_MAPPINGS) -> None:
    """Drop all compiled programs if there are too many; they are compiled again on use.

    Args:
        mappings: a file with a line for every memory mapping of this process.
        most: largest number of lines for which programs are kept.
    """
    if not mappings.exists():  # not on Linux
        return
    with mappings.open("rb") as lines:
        if sum(1 for _ in lines) > most:
            jax.clear_caches()


class CompilationClock:
    """Adds up the time that JAX reports for tracing, lowering and compiling.

    Traces of inner functions lie within those of outer ones; each moment counts once. A program is
    traced, lowered and compiled without pause, so the time between these steps counts too.

    Attributes:
        programs: number of programs that were compiled, or taken from kept ones.
        loaded: number of programs that were taken from kept ones.
        tell: called with True before a program is compiled, with False afterwards.
    """

    def __init__(self) -> None:
        self.programs = self.loaded = 0
        self.tell: Callable[[bool], None] = lambda _: None
        self._intervals: list[tuple[float, float]] = []
        self._before = 0.0
        self._last = ("", 0.0)
        jax.monitoring.register_event_duration_secs_listener(self._hear)
        jax.monitoring.register_event_listener(self._count)

    @property
    def seconds(self) -> float:
        """Seconds of compiling until now."""
        self._before += sum(end - start for start, end in self._intervals)
        self._intervals.clear()
        return self._before

    def _hear(self, event: str, duration_secs: float, **kwargs: str | int) -> None:
        if not event.startswith(EVENTS):
            return
        if event.endswith(LAST):
            self.programs += 1
        if event.endswith((LOWERED, LAST)):
            self.tell(event.endswith(LOWERED))
        end = time.perf_counter()
        start = end - duration_secs
        program = str(kwargs.get("fun_name", "")).removeprefix("jit(").removesuffix(")")
        if program and program == self._last[0] and not event.endswith(FIRST):
            start = min(start, self._last[1])
        # time after the end is running, not compiling, despite its name
        self._last = "" if event.endswith(LAST) else program, end
        while self._intervals and self._intervals[-1][0] >= start:
            self._intervals.pop()  # it lies within this one, which ends later
        if self._intervals:
            start = max(start, self._intervals[-1][1])
        self._intervals.append((start, end))

    def _count(self, event: str, **_: str | int) -> None:
        self.loaded += event == LOADED
