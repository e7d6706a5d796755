"""Progress on stderr: bars on a terminal, a line for each job elsewhere."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from types import TracebackType

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)


def duration(seconds: float) -> str:
    """Return a time in one or two units, to two digits or so."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min"


SILENCE = 5.0
"""Seconds without a line after which a log says that a job compiles."""


class Lines:
    """Writes a line when a job ends, or compiles after a silence; for logs and pipes."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def begin(self, titles: Sequence[str]) -> None:
        """Remember the jobs."""
        self._titles, self._done, self._start = titles, 0, time.monotonic()
        self._outlook = "0%"
        self._said = -math.inf
        self._since: dict[int, float] = {}
        self._compiled: dict[int, float] = {}

    def share(self, number: int, done: float, compiling: bool) -> None:
        """Write that a job compiles after a long silence, and add up the time of compiling."""
        now = time.monotonic()
        since = self._since.pop(number, now)
        self._compiled[number] = self._compiled.get(number, 0.0) + now - since
        if compiling:
            self._since[number] = now
            if now - self._said >= SILENCE:
                self._write(number, "compiling")

    def finish(self, number: int, failure: str, said: str = "done") -> None:
        """Write one line."""
        self._done += 1
        if not said and not failure:
            return
        compiled = self._compiled.get(number, 0.0)
        done = f"{said}, {duration(compiled)} of it compiling" if compiled >= 0.5 else said
        self._write(number, f"FAILED: {failure}" if failure else done, always=bool(failure))

    def outlook(self, done: float, left: float | None) -> None:
        """Remember how much of the work is done, for the next line."""
        self._outlook = f"{done:.0%}" + ("" if left is None else f", {duration(left)} left")

    def _write(self, number: int, status: str, always: bool = False) -> None:
        if self._quiet and not always:
            return
        self._said = time.monotonic()
        seconds = self._said - self._start
        counter = f"[{self._done}/{len(self._titles)} {seconds:6.1f} s, {self._outlook}]"
        click.echo(f"{counter} {self._titles[number]}: {status}", err=True)


class Bars:
    """Draws one bar for all jobs, and failures above it."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}% of the work, {task.fields[jobs]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=Console(stderr=True, highlight=False),
            transient=True,
        )

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def begin(self, titles: Sequence[str]) -> None:
        """Start a bar."""
        for earlier in self._progress.task_ids:
            self._progress.remove_task(earlier)
        self._titles = titles
        self._done = 0
        self._task = self._progress.add_task(
            "starting workers", total=1.0, jobs=f"0/{len(titles)} jobs", left=""
        )

    def share(self, number: int, done: float, compiling: bool) -> None:
        """Show which job reported last, and whether it waits for the compiler."""
        self._draw(number, "compiling" if compiling else "")

    def outlook(self, done: float, left: float | None) -> None:
        """Move the bar to the share of the work that is done."""
        self._progress.update(
            self._task, completed=done, left="" if left is None else f"{duration(left)} left"
        )

    def finish(self, number: int, failure: str, said: str = "done") -> None:
        """Count a job as done."""
        self._done += 1
        self._draw(number)
        if failure:
            self._progress.console.print(
                f"[red]failed[/red] {escape(self._titles[number])}: {escape(failure)}"
            )

    def _draw(self, number: int, doing: str = "") -> None:
        self._progress.update(
            self._task,
            jobs=f"{self._done}/{len(self._titles)} jobs",
            description=escape(self._titles[number][:60] + f": {doing}" * bool(doing)),
        )


def shown_progress() -> Bars | Lines:
    """Return bars on a terminal and in a notebook with widgets, and lines elsewhere."""
    notebook = "ipykernel" in sys.modules and "ipywidgets" in sys.modules
    return Bars() if notebook or sys.stderr.isatty() else Lines()
