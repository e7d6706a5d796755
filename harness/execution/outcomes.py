"""Ends of calls, for the driver: a value, a failure, or the loss of a worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.execution.calls import CellReport, Inspected, Piloted
from harness.execution.messages import Declined, Share


@dataclass(frozen=True)
class JobFailure:
    """Reason why a job returned nothing.

    Attributes:
        message: the reason in one line.
        traceback: traceback of the worker, if there is one.
        phase: phase in which the job failed.
        log: last lines that the job printed.
    """

    message: str
    traceback: str = ""
    phase: str = ""
    log: str = ""


@dataclass(frozen=True)
class Died:
    """A job whose worker died, perhaps by the machine's fault."""

    failure: JobFailure


@dataclass(frozen=True)
class Lost:
    """A job whose worker is out of reach; another worker gets the job."""

    failure: JobFailure


UNREADABLE = JobFailure("a worker wrote it and died, and it cannot be read; run again")

Answer = Sequence[CellReport] | Piloted | Inspected
"""Return value of a worker."""

Outcome = Answer | JobFailure
"""Final outcome of a call."""

Value = Outcome | Died | Lost | Declined | Share
"""News of a call: `Share` while it runs, then its end; `Declined` if its worker refuses it."""


def failure_of(value: Outcome) -> str:
    """Return the reason why a call failed; empty if it did not."""
    if isinstance(value, JobFailure):
        return value.message
    if isinstance(value, Piloted | Inspected):
        return ""
    failures = [report.message for report in value if report.status == "failed"]
    return failures[0] if failures else ""


def outcome_in_words(value: Outcome) -> str:
    """Return the outcome of a call that did not fail, in the words of progress output."""
    if isinstance(value, Piloted):
        steps = ", ".join(f"{dt:g}" for dt in value.dts)
        said = [f"found dt = {steps}"] if value.trained else []
        said += ["cost estimated"] if any(work is not None for work in value.works) else []
        return ", ".join(said) or "cost unknown"
    if isinstance(value, JobFailure):
        return "failed"
    if isinstance(value, Inspected):
        return ""  # every run makes them
    if not value:
        return "found, as another run has computed it"
    excluded = [r.message for r in value if r.status == "not-applicable"]
    return f"does not apply: {excluded[0]}" if len(excluded) == len(value) else "done"
