"""Measure what faults of workers do to a pool of the library pebble, for docs/faults.md.

Run `pip install pebble==5.2.3` and `python docs/pool_faults.py`. Linux; takes some minutes.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import FIRST_COMPLETED, wait

import psutil
from pebble import ProcessPool

SPAWN = multiprocessing.get_context("spawn")
STALL = 20.0
"""Seconds without any result after which a pool of tasks of milliseconds is called stuck."""
KILLS = 100
TRIALS = 4


def answer(size: int, seconds: float) -> bytes:
    """Return as many bytes after a while."""
    time.sleep(seconds)
    return bytes(size)


def hang() -> None:
    """Wait for ever in native code, holding the interpreter: no signal handler of Python runs."""
    mutex = ctypes.create_string_buffer(64)
    native = ctypes.PyDLL(None)
    native.pthread_mutex_lock(mutex)
    native.pthread_mutex_lock(mutex)


def start_a_child(seconds: int) -> int:
    """Start a process and wait for it."""
    child = subprocess.Popen(["sleep", str(seconds)])
    return child.wait()


def workers() -> list[psutil.Process]:
    """Return the worker processes of this process."""
    found = []
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.Error):  # it has ended by now
            if any("spawn_main" in part for part in process.cmdline()):
                found.append(process)
    return found


def kill_until_stuck(size: int, seconds: float, chance: random.Random) -> tuple[int, str]:
    """Kill random workers of a busy pool; return after how many it failed, and how."""
    pool = ProcessPool(max_workers=2, context=SPAWN)
    try:
        pending = {pool.schedule(answer, (size, seconds)) for _ in range(8)}
        wait(pending, timeout=60, return_when=FIRST_COMPLETED)
        for killed in range(KILLS):
            end = time.monotonic() + 0.3 + 0.3 * chance.random()
            heard = time.monotonic()
            done = set()
            while time.monotonic() < end or not done:
                done, pending = wait(pending, timeout=0.01, return_when=FIRST_COMPLETED)
                if done:
                    heard = time.monotonic()
                for future in done:
                    error = future.exception()
                    if error is not None and type(error).__name__ != "ProcessExpired":
                        return killed, f"{type(error).__name__}: every other job failed as well"
                    try:
                        pending.add(pool.schedule(answer, (size, seconds)))
                    except RuntimeError as refusal:
                        return killed, f"refused jobs ({refusal})"
                if time.monotonic() - heard > STALL:
                    return killed, f"no result for {STALL:.0f} s"
            if alive := workers():
                chance.choice(alive).kill()
        return KILLS, "nothing"
    finally:
        stop(pool)


def idle_worker_killed() -> str:
    """Kill one of two workers while no job runs; say what becomes of the next job."""
    pool = ProcessPool(max_workers=2, context=SPAWN)
    try:
        pool.schedule(answer, (1, 0.0)).result(60)
        workers()[0].kill()
        time.sleep(1.0)
        return f"next job returned {len(pool.schedule(answer, (1, 0.0)).result(30))} byte"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        stop(pool)


def hang_beyond_a_timeout() -> tuple[float, float]:
    """Return seconds from a timeout to the failure, and the longest wait of other jobs."""
    pool = ProcessPool(max_workers=2, context=SPAWN)
    try:
        wait([pool.schedule(answer, (1, 0.5)) for _ in range(2)])
        hung = pool.schedule(hang, (), timeout=2)
        start, longest, last = time.monotonic(), 0.0, time.monotonic()
        while not hung.done() and time.monotonic() - start < 60:
            pool.schedule(answer, (1, 0.01)).result(60)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        return time.monotonic() - start - 2, longest
    finally:
        stop(pool)


def replacement() -> float:
    """Return the seconds from kill -9 of a busy worker to a result of its successor."""
    pool = ProcessPool(max_workers=1, context=SPAWN)
    try:
        pool.schedule(answer, (1, 0.0)).result(60)
        job = pool.schedule(answer, (1, 600.0))
        while not job.running():
            time.sleep(0.01)
        start = time.monotonic()
        workers()[0].kill()
        pool.schedule(answer, (1, 0.0)).result(60)
        return time.monotonic() - start
    finally:
        stop(pool)


def grandchild_after_a_timeout() -> bool:
    """Return whether a process that a job started outlives the timeout of the job."""
    pool = ProcessPool(max_workers=1, context=SPAWN)
    try:
        pool.schedule(answer, (1, 0.0)).result(60)
        job = pool.schedule(start_a_child, (97,), timeout=1)
        wait([job], timeout=30)
        return outlives(97)
    finally:
        stop(pool)


def driver_killed() -> tuple[bool, bool]:
    """Kill -9 a driver; return whether a busy worker, and its child, live ten seconds later."""
    code = (
        "import sys; sys.path.insert(0, 'docs'); import pool_faults as f, time\n"
        "if __name__ == '__main__':\n"
        "    pool = f.ProcessPool(max_workers=1, context=f.SPAWN)\n"
        "    job = pool.schedule(f.start_a_child, (98,))\n"
        "    while not job.running(): time.sleep(0.1)\n"
        "    time.sleep(1); print(f.workers()[0].pid, flush=True); time.sleep(600)\n"
    )
    driver = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    worker = int(driver.stdout.readline())
    driver.kill()
    driver.wait()
    time.sleep(10)
    found = psutil.pid_exists(worker), outlives(98)
    if found[0]:
        os.kill(worker, signal.SIGKILL)
    return found


def outlives(seconds: int) -> bool:
    """Return whether the sleep of that many seconds still runs, and end it."""
    found = [
        p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", str(seconds)]
    ]
    for process in found:
        process.kill()
    return bool(found)


def stop(pool: ProcessPool) -> None:
    """End a pool that may be stuck."""
    for worker in workers():
        worker.kill()
    pool.stop()


def say(what: str, value: object) -> None:
    """Print a measurement."""
    print(f"{what}: {json.dumps(value)}", flush=True)  # noqa: T201


def main() -> None:
    """Print each measurement."""
    say("one idle worker of two killed", idle_worker_killed())
    say("seconds from kill -9 to the successor's result", [replacement() for _ in range(3)])
    say(
        "seconds beyond a timeout of a native hang; longest wait of others", hang_beyond_a_timeout()
    )
    say("grandchild outlives a timeout", grandchild_after_a_timeout())
    say("worker and grandchild outlive kill -9 of the driver", driver_killed())
    for size, seconds in ((200, 0.002), (200, 0.05), (2**20, 0.002)):
        for trial in range(TRIALS):
            found = kill_until_stuck(size, seconds, random.Random(trial))
            say(f"kills until stuck, results of {size} bytes after {seconds} s", found)


if __name__ == "__main__":
    main()
