"""Inside a worker process: how it is set up, and the calls it takes."""

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
GUARD = """
import os, signal, sys, time
worker = int(sys.argv[1])
while os.getppid() == worker:
    time.sleep(0.2)
os.killpg(worker, signal.SIGKILL)
"""
"""Waits for its parent, a worker, to end, then kills what is left of the worker's process group.

It is of that group itself: the group's number cannot go to another one before.
"""


@dataclass(frozen=True)
class Settings:
    """What every worker of a run is told.

    Attributes:
        plugin_dirs: folders of user plugins.
        results: the results folder, an absolute path.
        workers: how many workers share the machine.
        driver: process number of the driver.
        threads: that a worker may use; its share of the processors if None.
        expected: what workers must have to take calls; of the same machine nothing is asked.
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
    and dies with the driver. A guard in the group ends it when the worker is gone, however it
    went: nobody else is left to do so if the driver was killed.

    Args:
        calls: jobs and experiments come in, messages go out.
        log: takes all that is printed.
        settings: of the run.
        slot: number of the worker, for its share of the processors.
    """
    signals.ignore()  # the driver decides what Ctrl-C means
    signals.let_in()
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != settings.driver:
            return
    _start_guard()
    for stream in (sys.stdout, sys.stderr):
        # before the log takes its place: a stream that was a file asks where it is in it
        if isinstance(stream, io.TextIOWrapper):  # what plugins print fails no cell
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
        os.chdir(home)  # an earlier plugin may have gone elsewhere
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
    """Load, once, what calls that compute need, before the time of the first one is counted.

    Data are made without it, so that a plan, and a run of which all is finished, stay light.
    """
    use_kept_programs()
    from harness import networks, observables  # noqa: F401


def _start_guard() -> None:
    """Start the process that ends this one's group after it, where there are groups."""
    if hasattr(os, "killpg"):
        subprocess.Popen(  # nobody waits for it: it outlives us
            [sys.executable, "-I", "-S", "-c", GUARD, str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def _refusal(context: JobContext, expected: Inventory | None) -> str:
    """Return why this worker takes no calls; empty if it does."""
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
        # a pipe is not for two threads, nor for a process that a plugin forked
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
    except BaseException as error:  # whatever a plugin raised, SystemExit included
        message = kept(" ".join(f"{type(error).__name__}: {error}".split()))
        return Raised(message, kept(traceback.format_exc()), False)
