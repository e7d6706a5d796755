"""Outcomes of checks: the property holds, fails for a reason, or could not be checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.conformance.samples import Sample
from harness.registry import Component

Checks = Mapping[str, Callable[[Component, Sample], None]]
"""Checks of a kind of component, by the property that must hold; each raises if it does not."""


@dataclass(frozen=True)
class Check:
    """The outcome of one check.

    Attributes:
        component: kind and name of the component.
        name: property that must hold.
        failure: reason why it does not hold; empty if it does.
        unchecked: reason why nothing could be checked; empty if something was.
    """

    component: str
    name: str
    failure: str = ""
    unchecked: str = ""


class NothingToCheckError(Exception):
    """A check that found nothing to check; its message gives the reason."""


def outcome_of(component: str, name: str, check: Callable[[], None]) -> Check:
    """Run a check and return its outcome.

    Args:
        component: kind and name of the component that is checked.
        name: the property that must hold.
        check: raises if it does not.
    """
    try:
        check()
    except NothingToCheckError as reason:
        return Check(component, name, unchecked=str(reason))
    except Exception as error:  # a contributed component may raise anything
        return Check(component, name, in_a_line(error))
    return Check(component, name)


def in_a_line(error: Exception) -> str:
    """Return an error's type and message in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def require(holds: bool, message: str) -> None:
    """Raise with a message unless a condition holds.

    Raises:
        ValueError: if it does not.
    """
    if not holds:
        raise ValueError(message)
