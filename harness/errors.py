"""Errors that a user can act on, each with the exit code the command line gives it."""

from __future__ import annotations

from collections.abc import Sequence


class LimitbenchError(Exception):
    """A fault that the user can mend. Its message is one line: fault, place, allowed values."""

    exit_code = 2


class SuiteError(LimitbenchError):
    """A suite file that cannot be run. Its message has a line for every fault in the file."""


class PluginError(LimitbenchError):
    """A plugin or component that is missing, broken or clashing."""


class DataError(LimitbenchError):
    """A data set that is missing, or too small for its task."""


class StoreError(LimitbenchError):
    """A results folder that cannot be read or written."""


class OutputError(LimitbenchError):
    """Standard output that cannot be written; all files are."""

    exit_code = 1


class ClusterError(LimitbenchError):
    """A Dask cluster that cannot be reached, or whose workers are not like the driver."""


class SchedulerLostError(ClusterError):
    """A scheduler that went away during a run; finished results are kept."""

    exit_code = 1


class NotEnoughError(LimitbenchError):
    """Too few results to judge a claim; it is undecided."""


class DivergenceError(LimitbenchError):
    """Training whose loss stopped being finite, or exploded."""

    exit_code = 1


class ObservableError(LimitbenchError):
    """An observable of one's own that raises, or whose value cannot be recorded."""

    exit_code = 1


def nearest(name: str, known: Sequence[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the closest known name, or an empty string."""
    import difflib

    match = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else ""


def printable(text: str) -> str:
    """Return foreign text for a terminal: one line, unprintable characters as U+FFFD."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))
