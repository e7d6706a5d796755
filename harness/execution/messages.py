"""Messages from inside a worker: a call begins, goes on, and ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Started:
    """A call has begun."""


@dataclass(frozen=True)
class Entered:
    """A call has come to a phase, in the code of a component."""

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
    """A call was not begun: this worker is not like its driver, for this reason."""

    reason: str


Message = Started | Entered | Share | Returned | Raised | Declined
