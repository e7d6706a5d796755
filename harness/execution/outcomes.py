"""How calls end, for the driver: with a value, a failure, or without a worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.execution.calls import CellReport, Inspected, Piloted
from harness.execution.messages import Declined, Share


@dataclass(frozen=True)
class JobFailure:
    """Why a job returned nothing.

    Attributes:
        message: one line.
        traceback: of the worker, where there is one.
        phase: where it was.
        log: the last lines that it printed.
    """

    message: str
    traceback: str = ""
    phase: str = ""
    log: str = ""


@dataclass(frozen=True)
class Died:
    """A job ended with its worker, which may be the machine's fault."""

    failure: JobFailure


@dataclass(frozen=True)
class Lost:
    """A job's worker is gone, as seen from here; the job is given to another."""

    failure: JobFailure


UNREADABLE = JobFailure("a worker wrote it and died, and it cannot be read; run again")

Answer = Sequence[CellReport] | Piloted | Inspected
"""What a worker returned."""

Outcome = Answer | JobFailure
"""What becomes of a call in the end."""

Value = Outcome | Died | Lost | Declined | Share
"""News of a call: `Share` while it runs, then its end; `Declined` if its worker refuses it."""


def failure_of(value: Outcome) -> str:
    """Return why a call failed; empty if it did not."""
    if isinstance(value, JobFailure):
        return value.message
    if isinstance(value, Piloted | Inspected):
        return ""
    failures = [report.message for report in value if report.status == "failed"]
    return failures[0] if failures else ""


def outcome_in_words(value: Outcome) -> str:
    """Return what became of a call that did not fail, as progress says it."""
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
