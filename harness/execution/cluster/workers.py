"""Running the calls of a run on a Dask cluster.

Dask carries calls to its workers and results back, and lists the workers. The same loop as in a
local run chooses the worker of a call, so that reservations, retries and Ctrl-C are the same:
every call is bound to one worker, and given to another if that one is lost.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import pickle
import queue
import secrets
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import ClusterError, SchedulerLostError, StoreError
from harness.execution.calls import Call
from harness.execution.cluster.scheduler import connect
from harness.execution.inventory import Inventory
from harness.execution.messages import Declined, Share
from harness.execution.outcomes import JobFailure, Lost, Value
from harness.execution.pool import TURN
from harness.registry.registry import PLUGIN_DIR_VARIABLE
from harness.store import Store
from harness.store.files import aside_in

if TYPE_CHECKING:
    from distributed import Future

LOG = logging.getLogger("harness.execution")

LOOK = 1.0
"""Least number of seconds between two looks at the list of workers."""

LOOK_SHARE = 0.1
"""Share of the driver's time that looking may take; it takes long for many workers."""

WAIT = 10.0
"""Seconds without a worker after which the user is notified."""


@dataclass(frozen=True)
class Cluster:
    """A cluster, and settings for its use.

    Attributes:
        scheduler: as in `connect`.
        inventory: versions and plugins that workers must have.
        resources: Dask resources that every job needs, such as ``{"GPU": 1}``.
        shared: whether workers write to the results folder, which they share with the driver;
            else cells are sent to the driver, which writes them.
    """

    scheduler: str
    inventory: Inventory
    resources: Mapping[str, float]
    shared: bool


@dataclass
class _Member:
    """A worker of the cluster: its address, name, limit of calls at once, and present calls."""

    address: str
    name: str
    slots: int
    calls: set[int] = field(default_factory=set)
    refusal: str = ""


@dataclass(frozen=True)
class _Given:
    """A call that a worker has."""

    member: _Member
    future: Future[Any]


class ClusterWorkers:
    """The workers of a Dask cluster, which may join and leave at any time.

    Args:
        cluster: the cluster, and settings for its use.
        store: the results folder.
        plugin_dirs: folders of user plugins, as the driver knows them.
        timeout: seconds that a call may take; None for any time.
        memory: bytes that the calls of a worker may use together; its own limit if None.

    Raises:
        ClusterError: if there is no such cluster.
    """

    def __init__(
        self,
        cluster: Cluster,
        store: Store,
        plugin_dirs: Sequence[str],
        timeout: float | None,
        memory: float | None,
    ) -> None:
        variable = os.environ.get(PLUGIN_DIR_VARIABLE, "").split(os.pathsep)
        self._folders = (*(str(Path(d).resolve()) for d in variable if d), *plugin_dirs)
        self._cluster, self._timeout, self._memory = cluster, timeout, memory
        self._store = Store(store.root, make=False)
        self._run = f"limitbench-{secrets.token_hex(8)}"
        self._members: dict[str, _Member] = {}
        self._given: dict[int, _Given] = {}
        self._news: queue.SimpleQueue[tuple[int, Future[Any] | None, Any]] = queue.SimpleQueue()
        self._proven = False
        self._next_look = 0.0
        self._waiting_since: float | None = time.monotonic()
        self._stack = contextlib.ExitStack()
        self._client = self._stack.enter_context(connect(cluster.scheduler))
        self._token = aside_in(store.folder("cells"))  # swept if nobody else removes it
        if cluster.shared:
            self._token.touch(exist_ok=False)
            self._stack.callback(self._token.unlink, missing_ok=True)
        self._client.subscribe_topic(self._run, self._hear_share)

    def free(self) -> int:
        """Return the number of further calls that can be given now."""
        self._look()
        return sum(max(0, m.slots - len(m.calls)) for m in self._members.values() if not m.refusal)

    def give(self, number: int, call: Call) -> None:
        """Give a call to the least busy worker; `listen` reports it under this number."""
        from harness.execution.cluster.remote import Assignment, run_call

        member = max(
            (m for m in self._members.values() if not m.refusal),
            key=lambda m: m.slots - len(m.calls),
        )
        assignment = Assignment(
            call=call,
            plugin_dirs=self._folders,
            expected=self._cluster.inventory,
            shared=str(self._store.root.resolve()) if self._cluster.shared else None,
            token=f"cells/{self._token.name}",
            timeout=self._timeout,
            memory=self._memory,
            topic=self._run,
            number=number,
        )
        future = self._client.submit(
            run_call,
            dict(self._cluster.inventory.versions),
            pickle.dumps(assignment),
            key=f"{self._run}-{number}-{secrets.token_hex(4)}",
            workers=[member.address],
            resources=dict(self._cluster.resources),
            pure=False,
        )
        member.calls.add(number)
        self._given[number] = _Given(member, future)
        future.add_done_callback(lambda done: self._fetch(number, done))

    def listen(self) -> list[tuple[int, Value]]:
        """Wait at most a turn for news; return numbers of calls with their news.

        Raises:
            SchedulerLostError: if the scheduler has gone.
            ClusterError: if no worker of the cluster matches the driver.
            StoreError: if a result cannot be written.
        """
        self._look()
        found: list[tuple[int, Value]] = []
        with contextlib.suppress(queue.Empty):
            number, future, answer = self._news.get(timeout=TURN)
            while True:
                found += self._take_in(number, future, answer)
                number, future, answer = self._news.get_nowait()
        return found

    def close(self) -> None:
        """Cancel the calls that still run, which their workers then end, and disconnect."""
        with contextlib.suppress(OSError, TimeoutError, CancelledError):
            self._client.cancel([g.future for g in self._given.values()], force=True)
        self._stack.close()

    def abandon(self) -> None:
        """Do nothing: workers end the calls of a driver that has gone."""

    def _hear_share(self, event: tuple[float, Any]) -> None:
        told = event[1]
        share = Share(float(told["done"]), bool(told["compiling"]))
        self._news.put((int(told["number"]), None, share))

    def _fetch(self, number: int, future: Future[Any]) -> None:
        """Fetch a result in a thread of Dask's; a result lost on the way is cancelled."""
        try:
            answer = future.result()
        except CancelledError:
            return
        except Exception as error:  # of any kind: it came from the worker
            answer = error
        self._news.put((number, future, answer))

    def _take_in(
        self, number: int, future: Future[Any] | None, answer: Any
    ) -> list[tuple[int, Value]]:
        """Return the news in an answer, with the call's cells written; nothing if it is late."""
        from harness.execution.cluster.remote import Delivery

        given = self._given.get(number)
        if given is None or (future is not None and future is not given.future):
            return []
        if isinstance(answer, Share):
            return [(number, answer)]
        self._forget(number)
        if not isinstance(answer, Delivery):
            return [(number, self._failure(given.member, answer))]
        for key, files in answer.files.items():
            self._store.adopt(key, files)
        if isinstance(answer.value, Declined):
            self._refuse(given.member, answer.value.reason)
        else:
            self._proven = True
        return [(number, answer.value)]

    def _failure(self, member: _Member, error: Exception | Lost) -> Value:
        """Return the outcome of a call that a worker could not run.

        Raises:
            StoreError: if workers share a results folder that cannot be written.
        """
        if isinstance(error, Lost):
            return error
        line = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        if isinstance(error, StoreError) and self._cluster.shared:
            raise error
        if isinstance(error, ImportError | AttributeError):
            reason = f"limitbench is not installed there, or is of another version ({line})"
            self._refuse(member, reason)
            return Declined(reason)
        return Lost(JobFailure(f"worker {_called(member)} could not run it ({line})"))

    def _refuse(self, member: _Member, reason: str) -> None:
        """Exclude a worker, and say so; end the run if no worker ever matched the driver."""
        if member.refusal:
            return
        member.refusal = reason
        remedy = (
            f"make it like this machine: `limitbench worker-check {self._cluster.scheduler}`"
            " compares all"
        )
        mine = [m for m in self._members.values() if m.slots]
        if not self._proven and all(m.refusal for m in mine):
            refused = (f"worker {_called(m)} refused: {m.refusal}" for m in mine)
            raise ClusterError("; ".join([*dict.fromkeys(refused), remedy]))
        LOG.warning("worker %s refused: %s; %s; the others go on", _called(member), reason, remedy)

    def _forget(self, number: int) -> None:
        given = self._given.pop(number)
        given.member.calls.discard(number)
        given.future.release()

    def _look(self) -> None:
        """Update the list of workers, but not too often."""
        if self._client.status != "running":
            raise self._scheduler_lost()
        start = time.monotonic()
        if start < self._next_look:
            return
        try:
            known = self._client.scheduler_info()["workers"]
        except (OSError, TimeoutError, CancelledError):
            raise self._scheduler_lost() from None
        now = time.monotonic()
        self._next_look = now + max(LOOK, (now - start) / LOOK_SHARE)
        for address in self._members.keys() - known.keys():
            self._lose(self._members.pop(address))
        for address, facts in known.items():
            slots = self._slots(facts)
            member = self._members.setdefault(address, _Member(address, str(facts["name"]), slots))
            member.slots = slots
        self._say_if_waiting()

    def _slots(self, facts: Mapping[str, Any]) -> int:
        """Return the number of calls that a worker runs at once."""
        if facts["status"] != "running":
            return 0
        offered = facts["resources"]
        each = [math.floor(offered.get(k, 0) / n) for k, n in self._cluster.resources.items()]
        return min([int(facts["nthreads"]), *each])

    def _lose(self, member: _Member) -> None:
        for number in member.calls:
            future = self._given[number].future
            failure = JobFailure(
                f"its worker {_called(member)} was lost, as others before; out of memory, or its"
                " time had run out: look at the worker's log"
            )
            self._news.put((number, future, Lost(failure)))
            future.cancel(force=True)

    def _say_if_waiting(self) -> None:
        """Tell the user, once for each wait, that there is no worker."""
        if any(m.slots and not m.refusal for m in self._members.values()):
            self._waiting_since = None
            return
        now = time.monotonic()
        since = self._waiting_since = self._waiting_since or now
        if math.isfinite(since) and now - since > WAIT:
            needed = ", ".join(f"{k}={n:g}" for k, n in self._cluster.resources.items())
            LOG.warning(
                "waiting for a worker%s to join %s; if none comes, look at the logs of its jobs",
                f" that offers {needed}" if needed else "",
                self._cluster.scheduler,
            )
            self._waiting_since = math.inf

    def _scheduler_lost(self) -> SchedulerLostError:
        return SchedulerLostError(
            f"the Dask scheduler {self._cluster.scheduler} was lost; finished cells are kept: start"
            " it again, then the same command completes the run"
        )


def _called(member: _Member) -> str:
    return member.address if member.name == member.address else f"{member.address} ({member.name})"
