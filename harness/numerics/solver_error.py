"""The error of a solver whose problem cannot be solved as it was asked."""

from __future__ import annotations


class SolverError(Exception):
    """A problem without a solution, or without one that these settings find.

    A mistake in the program is never one: what else a solver raises has to be mended there.

    Args:
        reason: why there is no solution, in one line.
        advice: what to change; empty where the caller knows better.
    """

    def __init__(self, reason: str, advice: str = "") -> None:
        super().__init__(reason, advice)
        self.reason, self.advice = reason, advice

    def __str__(self) -> str:
        """Return the reason, then the advice."""
        return "; ".join(part for part in (self.reason, self.advice) if part)


class UnstableError(SolverError):
    """Steps that are too large: the solution diverges."""
