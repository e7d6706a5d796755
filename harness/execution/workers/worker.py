"""Inside a worker process: its setup, and its loop of calls."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import functools
import io
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

from harness import signals
from harness.errors import LimitbenchError, StoreError
from harness.execution.calls import Call, Inspection, Job
from harness.execution.context import JobContext
from harness.execution.inventory import Inventory, difference, take_inventory
from harness.execution.jobs import inspect_data, kept, run_job, run_pilot
from harness.execution.messages import (
    Declined,
    Entered,
    Message,
    Raised,
    Returned,
    Share,
    Started,
)
from harness.execution.programs import use_kept_programs

PROGRESS_INTERVAL = 0.2
PR_SET_PDEATHSIG = 1
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
BLOCK, FREE = 2**25, 2**28
"""Bytes: blocks of memory that are used again, the C library's largest; and all that may wait."""
GUARD = """
import os, signal, sys, time
worker = int(sys.argv[1])
while os.getppid() == worker:
    time.sleep(0.2)
os.killpg(worker, signal.SIGKILL)
"""
"""Waits for its parent, a worker, to end, then kills the rest of the worker's process group.

It is in that group itself, so that the group's number cannot be reused before.
"""


@dataclass(frozen=True)
class Settings:
    """Settings of every worker of a run.

    Attributes:
        plugin_dirs: folders of user plugins.
        results: the results folder, an absolute path.
        workers: number of workers that share the machine.
        driver: process number of the driver.
        threads: number of threads for a worker; its share of the processors if None.
        expected: inventory that a worker must have to take calls; None on the driver's machine.
    """

    plugin_dirs: tuple[str, ...]
    results: str
    workers: int
    driver: int
    threads: int | None = None
    expected: Inventory | None = None


def main(calls: Connection, log: Connection, settings: Settings, slot: int) -> None:
    """Set a worker up and take calls until the driver closes the connection.

    The worker leads a process group, so that it can be killed with all that its plugins start,
    and dies with the driver. A guard in the group ends the group once the worker is gone, for
    whatever reason: nobody else is left to do so if the driver was killed.

    Args:
        calls: connection for incoming calls and outgoing messages.
        log: connection for all printed output.
        settings: settings of the run.
        slot: number of the worker, for its share of the processors.
    """
    signals.ignore()  # the driver handles Ctrl-C
    signals.let_in()
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != settings.driver:
            return
    _start_guard()
    for stream in (sys.stdout, sys.stderr):
        # before the log replaces it: a stream on a file asks for its position
        if isinstance(stream, io.TextIOWrapper):  # output of plugins fails no cell
            stream.reconfigure(errors="backslashreplace")
        os.dup2(log.fileno(), stream.fileno())
    faulthandler.enable()
    if settings.threads is not None:
        os.environ["NPROC"] = str(settings.threads)  # from which XLA takes its number of threads
    elif hasattr(os, "sched_setaffinity"):
        mine = sorted(os.sched_getaffinity(0))[slot :: settings.workers]
        with contextlib.suppress(OSError):  # some containers forbid it; then threads compete
            os.sched_setaffinity(0, mine or os.sched_getaffinity(0))
    context = JobContext(settings.plugin_dirs, settings.results)
    refusal: str | None = None
    home = os.getcwd()
    while True:
        try:
            call = calls.recv()
        except EOFError:
            return
        os.chdir(home)  # an earlier plugin may have changed the folder
        if not isinstance(call, Inspection):
            _load_jax()
        calls.send(Started())
        if refusal is None:
            refusal = _refusal(context, settings.expected)
        answer = Declined(refusal) if refusal else _answer(context, call, calls.send)
        context.end_if_forked()
        sys.stdout.flush()
        sys.stderr.flush()
        calls.send(answer)
        if not isinstance(call, Inspection):
            from harness.execution.compilation import release_programs

            release_programs()


@functools.cache
def _load_jax() -> None:
    """Load, once, the modules for computing calls, before the time of the first call is counted.

    Data are made without JAX, so that plans, and runs without missing cells, stay fast.
    """
    _keep_memory()
    use_kept_programs()
    from harness import networks, observables  # noqa: F401


def _keep_memory() -> None:
    """Let the C library keep some memory that is free, for the next arrays.

    Else it returns the memory of each intermediate result to the system, which clears it anew for
    the next: a twentieth of the time of small networks.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):  # GNU's
        library.mallopt(M_MMAP_THRESHOLD, BLOCK)
        library.mallopt(M_TRIM_THRESHOLD, FREE)


def _start_guard() -> None:
    """Start the guard that ends this process's group after it, on systems with groups."""
    if hasattr(os, "killpg"):
        subprocess.Popen(  # nobody waits for it: it outlives us
            [sys.executable, "-I", "-S", "-c", GUARD, str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def _refusal(context: JobContext, expected: Inventory | None) -> str:
    """Return the reason why this worker takes no calls; empty if it does."""
    if expected is None:
        return ""
    try:
        return difference(expected, take_inventory(context.registry))
    except LimitbenchError as error:
        return str(error)


def _answer(context: JobContext, call: Call, send: Callable[[Message], None]) -> Message:
    last, reached = 0.0, 0.0

    def share(done: float) -> None:
        nonlocal last, reached
        reached = done
        if time.monotonic() - last > PROGRESS_INTERVAL:
            last = time.monotonic()
            send(Share(done))

    def tell_compiling(now: bool) -> None:
        # neither two threads nor a forked process may share a pipe
        if threading.current_thread() is threading.main_thread() and not context.is_forked:
            send(Share(reached, now))

    def enter(phase: str, component: str) -> None:
        context.end_if_forked()
        send(Entered(phase, component))

    try:
        if isinstance(call, Inspection):
            return Returned(inspect_data(context, call, enter))
        context.compilation.tell = tell_compiling
        if isinstance(call, Job):
            return Returned(run_job(context, call, share, enter))
        return Returned(run_pilot(context, call, enter))
    except LimitbenchError as error:
        message = kept(" ".join(str(error).split()))
        return Raised(message, kept(traceback.format_exc()), isinstance(error, StoreError))
    except BaseException as error:  # a plugin may raise anything, SystemExit included
        message = kept(" ".join(f"{type(error).__name__}: {error}".split()))
        return Raised(message, kept(traceback.format_exc()), False)
