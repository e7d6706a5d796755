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
"""Seconds after which a worker that has not taken its first call is taken to hang; importing JAX
takes a few, and many times that on a busy machine."""

PRINTED = 64 * 2**10
"""Bytes of what one call prints that are passed on to stderr."""

KEPT = 8 * 2**10
"""Bytes of what one call printed last that are kept to explain a failure."""

READS = 64
"""Blocks of what a worker prints that are read in one go, lest one that never stops hold us up."""

_SPAWN = multiprocessing.get_context("spawn")


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Let a process start without the script, which would be run again in it unless guarded.

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
        number: of the call that it runs; None while it is idle.
        phase, component: where the call is, as far as the worker told.

    Args:
        settings: of the run.
        slot: number of the worker among those of the run.
    """

    def __init__(self, settings: Settings, slot: int) -> None:
        cache_folder()  # which the worker inherits
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
        """What becomes ready when there is something to see."""
        return [self._calls, self._log, self._process.sentinel]

    @property
    def exitcode(self) -> int | None:
        """How it ended; None while it lives."""
        return self._process.exitcode

    @property
    def overdue(self) -> bool:
        """Whether the call has taken longer than it may."""
        return self.number is not None and time.monotonic() > self._deadline

    @property
    def memory(self) -> int:
        """Bytes of memory in use; 0 once it has ended."""
        try:
            return int(psutil.Process(self._process.pid).memory_info().rss)
        except psutil.Error:
            return 0

    @property
    def last_lines(self) -> str:
        """The last 20 lines that the call printed."""
        return "\n".join(self._last.decode(errors="replace").splitlines()[-20:])

    def messages(self) -> list[Share | Returned | Raised | Declined]:
        """Take in what the worker printed and told; return what its driver must know."""
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
        """End it at once with all that it started."""
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
        """Send it and its process group the signal that none survives; wait for nothing."""
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
