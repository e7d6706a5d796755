"""One worker process as its driver sees it: given calls, listened to, killed."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from types import ModuleType

import psutil

from harness.cache import cache_folder
from harness.execution.calls import Call
from harness.execution.messages import Declined, Entered, Message, Raised, Returned, Share, Started
from harness.execution.workers import worker
from harness.execution.workers.worker import Settings
from harness.signals import held_back

STARTUP = 1800.0
"""Seconds after which a worker that has not taken its first call counts as hanging; importing JAX
takes a few, and many times that on a busy machine."""

PRINTED = 64 * 2**10
"""Largest number of bytes of one call's output that are passed on to stderr."""

KEPT = 8 * 2**10
"""Number of last bytes of one call's output that are kept to explain a failure."""

READS = 64
"""Largest number of blocks of output read at once, lest endless output block the loop."""

_SPAWN = multiprocessing.get_context("spawn")


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Let a process start without the script, which would otherwise run again unless guarded.

    A worker needs nothing of the script.
    """
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


class WorkerProcess:
    """A spawned process that runs one call at a time and keeps JAX between calls.

    Attributes:
        number: number of the present call; None while idle.
        phase, component: present phase and component of the call, as last reported.

    Args:
        settings: settings of the run.
        slot: number of the worker among those of the run.
    """

    def __init__(self, settings: Settings, slot: int) -> None:
        cache_folder()  # the worker inherits it
        self._calls, theirs = _SPAWN.Pipe()
        self._log, log = _SPAWN.Pipe(duplex=False)
        self._process = _SPAWN.Process(target=worker.main, args=(theirs, log, settings, slot))
        with held_back(), _without_main():
            self._process.start()
        theirs.close()
        log.close()
        os.set_blocking(self._log.fileno(), False)
        self._last = b""
        self._passed = 0
        self.number: int | None = None
        self.phase = self.component = ""

    def assign(self, number: int, call: Call, timeout: float | None) -> None:
        """Give an idle worker a call, with the seconds that it may take."""
        self.number, self.phase, self.component = number, "start", ""
        self._timeout, self._deadline = timeout, time.monotonic() + STARTUP
        self._last, self._passed = b"", 0
        with contextlib.suppress(OSError):  # it has died, as `exitcode` will tell
            self._calls.send(call)

    @property
    def handles(self) -> list[Connection | int]:
        """Handles that become ready when there is news."""
        return [self._calls, self._log, self._process.sentinel]

    @property
    def exitcode(self) -> int | None:
        """Exit code of the process; None while it lives."""
        return self._process.exitcode

    @property
    def overdue(self) -> bool:
        """Whether the call has exceeded its time."""
        return self.number is not None and time.monotonic() > self._deadline

    @property
    def memory(self) -> int:
        """Bytes of memory in use; 0 once the process has ended."""
        try:
            return int(psutil.Process(self._process.pid).memory_info().rss)
        except psutil.Error:
            return 0

    @property
    def last_lines(self) -> str:
        """The last 20 lines that the call printed."""
        return "\n".join(self._last.decode(errors="replace").splitlines()[-20:])

    def messages(self) -> list[Share | Returned | Raised | Declined]:
        """Read the worker's output and messages; return the messages for its driver."""
        self._read_log()
        found: list[Share | Returned | Raised | Declined] = []
        try:
            while self._calls.poll():
                message: Message = self._calls.recv()
                if isinstance(message, Started):
                    self.phase = "load"
                    later = float("inf") if self._timeout is None else self._timeout
                    self._deadline = time.monotonic() + later
                elif isinstance(message, Entered):
                    self.phase, self.component = message.phase, message.component
                else:
                    found.append(message)
        except (EOFError, OSError):
            pass  # it has died, as `exitcode` will tell
        return found

    def kill(self) -> None:
        """Kill the process at once with all its children."""
        children: list[psutil.Process] = []
        with contextlib.suppress(psutil.Error):
            children = psutil.Process(self._process.pid).children(recursive=True)
        self.signal_group()
        for child in children:  # those that left the group
            with contextlib.suppress(psutil.Error):
                child.kill()
        self._process.join()
        self._read_log()
        self._calls.close()
        self._log.close()

    def signal_group(self) -> None:
        """Send SIGKILL to the process and its group, without waiting."""
        pid = self._process.pid
        if hasattr(os, "killpg") and pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        self._process.kill()

    def _read_log(self) -> None:
        for _ in range(READS):
            try:
                printed = os.read(self._log.fileno(), 2**16)
            except (BlockingIOError, OSError):
                return
            if not printed:
                return
            self._last = (self._last + printed)[-KEPT:]
            if self._passed < PRINTED:
                sys.stderr.write(printed[: PRINTED - self._passed].decode(errors="replace"))
                self._passed += len(printed)
                if self._passed >= PRINTED:
                    sys.stderr.write(f"\n[a job printed more than {PRINTED} bytes: left out]\n")
                sys.stderr.flush()
