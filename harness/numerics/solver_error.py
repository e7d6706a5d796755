"""The error of a solver whose problem cannot be solved as requested."""

from __future__ import annotations


class SolverError(Exception):
    """A problem without a solution, or without one that these settings find.

    Any other exception of a solver is a bug in it.

    Args:
        reason: why there is no solution, in one line.
        advice: change of settings that helps; empty where the caller gives better advice.
    """

    def __init__(self, reason: str, advice: str = "") -> None:
        super().__init__(reason, advice)
        self.reason, self.advice = reason, advice

    def __str__(self) -> str:
        """Return the reason, then the advice."""
        return "; ".join(part for part in (self.reason, self.advice) if part)


class UnstableError(SolverError):
    """Steps that are too large: the solution diverges."""
