"""Inside a worker process: how it is set up, and the calls it takes."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from typing import Any

from harness.execution.jobs import CellReport, Job, JobContext, resolve, run_job
from harness.suites.expand import Experiment

_PROGRESS_INTERVAL = 0.2
_state: dict[str, Any] = {}


def start(
    plugin_dirs: tuple[str, ...], results: str, workers: int, slots: Any, messages: Any
) -> None:
    """Set a new worker process up: its share of the processors, quiet stdout, cached compilation.

    Args:
        plugin_dirs: folders of user plugins.
        results: the results folder.
        workers: how many workers share the machine.
        slots: a shared counter that numbers the workers.
        messages: a queue for progress: (job number, share done).
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver decides what Ctrl-C means
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # stdout carries results only
    with slots.get_lock():
        slot, slots.value = slots.value % workers, slots.value + 1
    if hasattr(os, "sched_setaffinity"):
        mine = sorted(os.sched_getaffinity(0))[slot::workers]
        with contextlib.suppress(OSError):  # some containers forbid it; then threads compete
            os.sched_setaffinity(0, mine or os.sched_getaffinity(0))
    import jax

    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    jax.config.update("jax_compilation_cache_dir", os.path.join(cache, "limitbench", "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    _state.update(context=JobContext(plugin_dirs, results), messages=messages)


def call_job(number: int, job: Job) -> list[CellReport]:
    """Run a job; see `run_job`."""
    last = 0.0

    def share(done: float) -> None:
        nonlocal last
        if time.monotonic() - last > _PROGRESS_INTERVAL:
            last = time.monotonic()
            _state["messages"].put((number, done))

    return run_job(_state["context"], job, share)


def call_resolve(experiment: Experiment) -> tuple[float, ...]:
    """Resolve an experiment's steps; see `resolve`."""
    return resolve(_state["context"], experiment)
