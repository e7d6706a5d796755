"""Messages from inside a worker on the begin, progress and end of a call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Started:
    """A call has begun."""


@dataclass(frozen=True)
class Entered:
    """A call has entered a phase, in the code of a component."""

    phase: str
    component: str


@dataclass(frozen=True)
class Share:
    """This share of a call is done; `compiling` while a program is made for it."""

    done: float
    compiling: bool = False


@dataclass(frozen=True)
class Returned:
    """A call has ended."""

    value: Any


@dataclass(frozen=True)
class Raised:
    """A call has raised; `store` if the results folder is at fault."""

    message: str
    traceback: str
    store: bool


@dataclass(frozen=True)
class Declined:
    """A call was not begun, because this worker differs from its driver."""

    reason: str


Message = Started | Entered | Share | Returned | Raised | Declined
