"""Progress on stderr: bars on a terminal, a line for each job elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)


class Lines:
    """Writes a line when a job ends; for logs and pipes."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def begin(self, titles: Sequence[str]) -> None:
        """Remember the jobs."""
        self._titles, self._done, self._start = titles, 0, time.monotonic()

    def share(self, number: int, done: float) -> None:
        """Say nothing: a log has no use for shares."""

    def finish(self, number: int, failure: str) -> None:
        """Write one line."""
        self._done += 1
        if self._quiet and not failure:
            return
        seconds = time.monotonic() - self._start
        status = f"FAILED: {failure}" if failure else "done"
        counter = f"[{self._done}/{len(self._titles)} {seconds:6.1f} s]"
        click.echo(f"{counter} {self._titles[number]}: {status}", err=True)


class Bars:
    """Draws one bar for all jobs, and failures above it."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
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
        """Start a bar of as many jobs."""
        for earlier in self._progress.task_ids:
            self._progress.remove_task(earlier)
        self._titles = titles
        self._shares: dict[int, float] = {}
        self._done = 0
        self._task = self._progress.add_task("starting workers", total=len(titles))

    def share(self, number: int, done: float) -> None:
        """Move the bar by the share of a job."""
        self._shares[number] = done
        self._draw(number)

    def finish(self, number: int, failure: str) -> None:
        """Count a job as done."""
        self._shares.pop(number, None)
        self._done += 1
        self._draw(number)
        if failure:
            self._progress.console.print(
                f"[red]failed[/red] {escape(self._titles[number])}: {escape(failure)}"
            )

    def _draw(self, number: int) -> None:
        self._progress.update(
            self._task,
            completed=self._done + sum(self._shares.values()),
            description=escape(self._titles[number][:60]),
        )
