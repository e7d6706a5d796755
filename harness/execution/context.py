"""The memory of a worker: components, problems and data that several of its jobs need."""

from __future__ import annotations

import functools
import os
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from harness.errors import DataError
from harness.execution.calls import Spent
from harness.records import Problem, TransferData
from harness.registry import Component, Registry
from harness.store import Store
from harness.suites import Experiment, build_data, build_problem
from harness.suites.cells import digest, problem_identity, task_key

if TYPE_CHECKING:
    from harness.execution.compilation import CompilationClock

KEPT = 8
"""Number of last used problems that a worker keeps, and of tasks' data."""

T = TypeVar("T")


class JobContext:
    """Components, problems and data that a worker keeps between jobs."""

    def __init__(self, plugin_dirs: tuple[str, ...], results: str) -> None:
        self.plugin_dirs = plugin_dirs
        self.store = Store(results, make=False)
        self._process = os.getpid()
        self._problems: OrderedDict[str, Problem] = OrderedDict()
        self._data: OrderedDict[str, TransferData] = OrderedDict()

    def problem(
        self, experiment: Experiment, data: str, enter: Callable[[Component], None]
    ) -> Problem:
        """Return an experiment's problem; the last few are kept, as many jobs share one.

        Args:
            experiment: the experiment.
            data: digest of its data.
            enter: called with each component before the component is called.

        Raises:
            DataError: if the task makes other data now.
        """
        key = digest(problem_identity(experiment, data))
        found = self._problems.get(key)
        if found is None:
            made = self._known_data(experiment, data, enter)
            found = build_problem(experiment, self.registry, enter, made)
        _keep(self._problems, key, found)
        return found

    def data(self, experiment: Experiment, enter: Callable[[Component], None]) -> TransferData:
        """Make an experiment's data anew, as its files may have changed."""
        made = build_data(experiment, self.registry, enter)
        _keep(self._data, task_key(experiment), made)
        return made

    def _known_data(
        self, experiment: Experiment, expected: str, enter: Callable[[Component], None]
    ) -> TransferData:
        """Return the data of a digest, made at most once."""
        kept = self._data.get(task_key(experiment))
        if kept is not None and kept.digest == expected:
            return kept
        made = self.data(experiment, enter)
        if made.digest != expected:
            raise DataError(
                f"task {experiment.task.name!r} makes other data now than when the run was planned"
                f" (digest {made.digest[:8]}, not {expected[:8]}): a file that it reads changed, or"
                " it draws numbers without its seed; mend that, then run again"
            )
        return made

    @functools.cached_property
    def compilation(self) -> CompilationClock:
        """Counts the time spent on compiling, from the first job on."""
        from harness.execution.compilation import CompilationClock

        return CompilationClock()

    @property
    def is_forked(self) -> bool:
        """Whether a plugin forked this process; the worker is then the parent, and goes on."""
        return os.getpid() != self._process

    def end_if_forked(self) -> None:
        """End this process if a plugin forked it."""
        if self.is_forked:
            os._exit(1)

    def stopwatch(self) -> Callable[[], Spent]:
        """Return a function that returns the time and programs spent since now."""
        clock, start = self.compilation, time.perf_counter()
        seconds, programs, loaded = clock.seconds, clock.programs, clock.loaded

        def spent() -> Spent:
            compiling, kept = clock.seconds - seconds, clock.loaded - loaded
            computing = max(0.0, time.perf_counter() - start - compiling)
            return Spent(computing, compiling, clock.programs - programs - kept, kept)

        return spent

    def describe(self, component: Component) -> str:
        """Return a component's name in errors: its kind, name and file."""
        return f"{component.kind} {component.name!r} ({self.registry.origin(component)})"

    @functools.cached_property
    def registry(self) -> Registry:
        """The components, loaded when first needed."""
        return Registry.load(self.plugin_dirs)


def _keep(kept: OrderedDict[str, T], key: str, value: T) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > KEPT:
        kept.popitem(last=False)
