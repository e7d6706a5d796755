"""Reaching a Dask scheduler by address or file, or starting a cluster as Dask is configured."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import logging
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import ClusterError, nearest, printable

if TYPE_CHECKING:
    from distributed import Client

CONFIG = "config"
"""Stands for the cluster in Dask's configuration, in place of an address."""

ANSWER_TIME = 6.0
"""Seconds that a scheduler may take for its first answer."""

FORMS = (
    "write an address such as tcp://host:8786, the file that `dask scheduler --scheduler-file`"
    " writes, or config"
)

LARGEST_FILE = 2**20
"""Largest number of bytes of a scheduler file; a usual one has a few thousand."""

LAST_PORT = 65535

DEFAULT_PORT = 8786
"""Port of a Dask scheduler if its address names no port."""


@contextlib.contextmanager
def connect(scheduler: str, patience: float = ANSWER_TIME) -> Iterator[Client]:
    """Connect to a scheduler; on leaving, disconnect, and end a cluster that was started here.

    Args:
        scheduler: an address such as ``tcp://host:8786``, the file that ``dask scheduler
            --scheduler-file`` writes, or "config".
        patience: seconds that the scheduler may take to answer.

    Raises:
        ClusterError: if there is no such scheduler, or the extra ``cluster`` is not installed.
    """
    check_scheduler(scheduler, patience)
    from distributed import Client

    with contextlib.ExitStack() as stack:
        if scheduler == CONFIG:
            target = {"address": stack.enter_context(_configured())}
        elif _is_file(scheduler):
            target = {"scheduler_file": scheduler}
        else:
            target = {"address": scheduler}
        try:
            client = Client(**target, timeout=f"{patience}s", set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise _silent(scheduler, error) from None
        stack.callback(client.close, timeout=2)
        yield client


def check_scheduler(scheduler: str, patience: float = ANSWER_TIME) -> None:
    """Check that a scheduler answers, before any other work.

    A cluster in Dask's configuration is not started for this check.

    Raises:
        ClusterError: if the address is invalid, or no scheduler answers there.
    """
    try:
        import distributed  # noqa: F401
    except ModuleNotFoundError:
        raise ClusterError(
            "a Dask cluster needs the package distributed; install it with"
            " pip install 'limitbench[cluster]'"
        ) from None
    # faults between Dask's parts are reported in one line of our own
    for name in ("distributed", "distributed.client", "distributed.comm", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if scheduler == CONFIG:
        import dask.config

        address = dask.config.get("scheduler-address", None)
        if dask.config.get("limitbench.cluster", None) is not None or address is None:
            return
        address = str(address)
    else:
        address = _address_in(scheduler) if _is_file(scheduler) else scheduler
    host, port = _checked(address, scheduler)
    try:
        start = time.monotonic()
        _resolve(host, port, patience)
        if address.partition("://")[0] not in ("ucx", "ucxx"):  # Dask would try again and again
            socket.create_connection((host, port), patience).close()
        left = patience - (time.monotonic() - start)
        # in a thread, as this one may run an event loop already, as in a notebook
        with ThreadPoolExecutor(1) as thread:
            answer = thread.submit(_greeting, address, left).result()
    except Exception as error:  # from sockets, TLS, Dask, or another program that answers
        raise _silent(scheduler, error) from None
    kind = answer.get("type") if isinstance(answer, dict) else None
    if kind != "Scheduler":
        raise ClusterError(
            f"--scheduler {scheduler}: a Dask {str(kind or 'process').lower()} answers there, no"
            " scheduler; give the address that `dask scheduler` prints"
        )


def _greeting(address: str, patience: float) -> Any:
    return asyncio.run(asyncio.wait_for(_greet(address, patience), patience))


async def _greet(address: str, patience: float) -> Any:
    """Return the description that a Dask process at an address gives of itself."""
    from distributed.comm.core import connect as open_comm
    from distributed.security import Security

    settings = Security().get_connection_args("client")
    comm = await open_comm(address, timeout=patience, **settings)
    try:
        await comm.write({"op": "identity", "reply": True})
        return await comm.read()
    finally:
        comm.abort()


def _resolve(host: str, port: int, patience: float) -> None:
    """Find a host's address within `patience` seconds: no library bounds its own resolver.

    Raises:
        OSError: if the host has no address, or name servers do not answer.
    """
    found: list[OSError | None] = []

    def ask() -> None:
        try:
            socket.getaddrinfo(host, port)
        except (OSError, UnicodeError) as error:
            found.append(error if isinstance(error, OSError) else OSError(f"no host: {error}"))
        else:
            found.append(None)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(patience)
    if not found:
        raise TimeoutError(f"no name server says within {patience:g} s where {host} is")
    if found[0] is not None:
        raise found[0]


def _silent(scheduler: str, error: Exception) -> ClusterError:
    if isinstance(error, OSError):
        words = "it says nothing" if isinstance(error, TimeoutError) else type(error).__name__
        reason = printable(str(error))[:200] or words
    elif scheduler.startswith(("ucx://", "ucxx://")):
        reason = "the packages that Dask needs for ucx are not installed here"
    else:  # Dask fails in many ways on what another program says
        reason = "another program does, in no words of Dask's"
    return ClusterError(
        f"--scheduler {scheduler}: no Dask scheduler answers there ({reason}); start one with"
        " `dask scheduler`, or check the address"
    )


def _is_file(scheduler: str) -> bool:
    """Return whether a path is meant, existing or not."""
    if "://" in scheduler:
        return False
    named = scheduler.endswith(".json") or any(c in scheduler for c in ("/", os.sep))
    return bool(scheduler) and (named or Path(scheduler).exists())


def _address_in(scheduler: str) -> str:
    """Return the address that a scheduler file holds."""
    path = Path(scheduler)
    if not path.exists():
        raise ClusterError(
            f"--scheduler {scheduler}: no such file; `dask scheduler --scheduler-file"
            f" {scheduler}` writes it"
        )
    address = None
    with contextlib.suppress(OSError, ValueError, RecursionError):
        if path.is_file() and path.stat().st_size <= LARGEST_FILE:
            read = json.loads(path.read_bytes())
            address = read.get("address") if isinstance(read, dict) else None
    if not isinstance(address, str):
        raise ClusterError(
            f"--scheduler {scheduler}: is no scheduler file, a JSON object with an address; {FORMS}"
        )
    return address


def _checked(address: str, scheduler: str) -> tuple[str, int]:
    """Return host and port of an address that Dask can use.

    Args:
        address: address as given, or from a file or a configuration.
        scheduler: scheduler as the user named it.

    Raises:
        ClusterError: if the address is invalid.
    """
    from distributed.comm.registry import backends
    from distributed.security import Security

    def refused(why: str) -> ClusterError:
        shown = scheduler if scheduler == address else f"{scheduler}: {address}"
        return ClusterError(f"--scheduler {printable(shown)!r}: {why}; {FORMS}")

    scheme, given, place = address.partition("://")
    scheme, place = (scheme, place) if given else ("tcp", address)
    schemes = sorted({*backends} - {"inproc"})
    if scheme not in schemes:
        hint = nearest(scheme, schemes)
        raise refused(f"Dask has no {scheme!r}{hint}; it has {', '.join(schemes)}")
    if place.startswith("["):
        host, _, rest = place[1:].partition("]")
        colon, port = rest[:1], rest[1:]
    else:
        host, colon, port = place.rpartition(":") if ":" in place else (place, "", "")
    if not re.fullmatch(r"[\w.:%-]+", host) or (colon not in ("", ":")):
        raise refused(f"{host!r} is no name of a host" if host else "it names no host")
    if colon and not (port.isascii() and port.isdigit() and 0 < int(port[:6]) <= LAST_PORT):
        raise refused(f"port {port!r} is no number from 1 to {LAST_PORT}")
    if scheme in ("tls", "wss"):
        try:
            certified = Security().get_connection_args("client").get("ssl_context") is not None
        except (OSError, ValueError) as error:
            raise refused(f"the certificates of Dask's configuration: {error}") from None
        if not certified:
            raise refused(
                f"{scheme} needs a certificate; name it in Dask's configuration, under"
                " distributed.comm.tls"
            )
    return host, int(port or DEFAULT_PORT)


@contextlib.contextmanager
def _configured() -> Iterator[Any]:
    """Yield the address or cluster in Dask's configuration; a cluster is ended afterwards."""
    import dask.config

    settings = dask.config.get("limitbench.cluster", None)
    address = dask.config.get("scheduler-address", None)
    if settings is None and address is not None:
        yield address
        return
    if not isinstance(settings, dict) or "class" not in settings:
        raise ClusterError(
            "--scheduler config: Dask's configuration has neither scheduler-address nor"
            " limitbench.cluster with a class, such as dask_jobqueue.SLURMCluster; see"
            " docs/cluster.md for an example"
        )
    module, _, name = str(settings["class"]).rpartition(".")
    try:
        made = getattr(importlib.import_module(module), name)
    except (ImportError, ValueError, AttributeError) as error:
        raise ClusterError(
            f"limitbench.cluster.class {settings['class']!r} in Dask's configuration: {error};"
            " install its package, or correct the name"
        ) from None
    try:
        cluster = made(**settings.get("options", {}))
    except Exception as error:  # a cluster's package may raise anything
        line = " ".join(str(error).split())
        raise ClusterError(
            f"limitbench.cluster in Dask's configuration: {settings['class']} did not start"
            f" ({type(error).__name__}: {line[:300]}); correct its options"
        ) from error
    with cluster:
        if "adapt" in settings:
            cluster.adapt(**settings["adapt"])
        else:
            cluster.scale(**settings.get("scale", {"n": 1}))
        yield cluster
