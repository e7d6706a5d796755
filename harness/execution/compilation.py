"""How long this process has spent on tracing and compiling programs, and how many it may keep."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.monitoring

MAPPINGS = Path("/proc/self/maps")
MOST_MAPPINGS = 30_000
"""Memory mappings of a process beyond which it drops its compiled programs.

Each program takes a few dozen; Linux allows 65,530, and compiling one more crashes.
"""

EVENTS = "/jax/core/compile/"
FIRST, LOWERED, LAST = (
    "jaxpr_trace_duration",
    "jaxpr_to_mlir_module_duration",
    "backend_compile_duration",
)
"""The ends of a program's steps on its way to the machine: compiling is the last of them."""

LOADED = "/jax/compilation_cache/cache_hits"
"""Said of a program that was taken from the folder of those that are kept."""


def release_programs(mappings: Path = MAPPINGS, most: int = MOST_MAPPINGS) -> None:
    """Drop all compiled programs if they have come to be too many; they are compiled again.

    Args:
        mappings: a file with a line for every memory mapping of this process.
        most: lines up to which programs are kept.
    """
    if not mappings.exists():  # not on Linux
        return
    with mappings.open("rb") as lines:
        if sum(1 for _ in lines) > most:
            jax.clear_caches()


class CompilationClock:
    """Adds up the time that JAX reports for tracing, lowering and compiling.

    Traces of inner functions lie within those of outer ones; each moment counts once. A program is
    traced, lowered and compiled without pause, so what passes between counts too.

    Attributes:
        programs: that were compiled, or taken from those that are kept.
        loaded: those that were taken.
        tell: called with True when a program is about to be compiled, with False after it.
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
        """Seconds until now."""
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
        # what follows the end is running, not compiling, whatever its name
        self._last = "" if event.endswith(LAST) else program, end
        while self._intervals and self._intervals[-1][0] >= start:
            self._intervals.pop()  # it lies within this one, which ends later
        if self._intervals:
            start = max(start, self._intervals[-1][1])
        self._intervals.append((start, end))

    def _count(self, event: str, **_: str | int) -> None:
        self.loaded += event == LOADED
