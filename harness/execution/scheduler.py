"""Reaching a Dask scheduler by address or file, or starting a cluster as Dask is configured."""

from __future__ import annotations

import contextlib
import importlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import ClusterError

if TYPE_CHECKING:
    from distributed import Client

CONFIG = "config"
"""In place of an address: the cluster that Dask's configuration names."""

PATIENCE = "15s"
"""How long a scheduler may take to answer at first."""


@contextlib.contextmanager
def connect(scheduler: str) -> Iterator[Client]:
    """Connect to a scheduler; on leaving, disconnect, and end a cluster that was started here.

    Args:
        scheduler: an address such as ``tcp://host:8786``, the file that ``dask scheduler
            --scheduler-file`` writes, or "config".

    Raises:
        ClusterError: if there is none, or the extra ``cluster`` is not installed.
    """
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise ClusterError(
            "a Dask cluster needs the package distributed; install it with"
            " pip install 'limitbench[cluster]'"
        ) from None
    # what goes wrong between Dask's parts is told in one line of our own
    for name in ("distributed", "distributed.client", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        target = _target(scheduler, stack)
        try:
            client = Client(**target, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise ClusterError(
                f"--scheduler {scheduler}: no Dask scheduler answers there"
                f" ({' '.join(str(error).split())[:200]}); start one with `dask scheduler`, or"
                " check the address"
            ) from None
        stack.callback(client.close, timeout=2)
        yield client


def _target(scheduler: str, stack: contextlib.ExitStack) -> dict[str, Any]:
    """Return what tells a client where the scheduler is."""
    if scheduler == CONFIG:
        return {"address": stack.enter_context(_configured())}
    if "://" not in scheduler and (scheduler.endswith(".json") or Path(scheduler).is_file()):
        if not Path(scheduler).is_file():
            raise ClusterError(
                f"--scheduler {scheduler}: no such file; `dask scheduler --scheduler-file"
                f" {scheduler}` writes it"
            )
        return {"scheduler_file": scheduler}
    return {"address": scheduler}


@contextlib.contextmanager
def _configured() -> Iterator[Any]:
    """Yield the address, or the cluster, that Dask's configuration names; end that at the end."""
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
    except Exception as error:  # whatever a package for some cluster raises
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
