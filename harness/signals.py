"""Signals that ask a process to end: in a command, and in the workers of a run."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import NoReturn

STOPPING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Signals sent by Ctrl-C, by a scheduler or a shutdown, and by a closing terminal."""


class Stopped(BaseException):
    """A signal asks this process to end; this is no error, and nothing may go on afterwards.

    Attributes:
        number: number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def heed() -> None:
    """Raise `Stopped` at a signal that asks for an end; one that is ignored stays ignored."""
    for number in STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def ignore() -> None:
    """Ignore signals that ask for an end: this process is about to exit, or another one decides."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Hold signals back; a process that is started meanwhile holds them back until `let_in`.

    A terminal sends Ctrl-C to every process of a command, also to one that is still importing and
    could only answer with a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let_in() -> None:
    """Accept the signals that were held back when this process was started."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


def _stop(number: int, _: object) -> NoReturn:
    """Unwind; a second signal during that ends the process at once."""
    for each in STOPPING:
        signal.signal(each, _end)
    raise Stopped(number)


def _end(number: int, _: object) -> NoReturn:
    os._exit(128 + number)
