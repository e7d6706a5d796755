"""Inventories of the workers of a Dask cluster, and their differences from this machine."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from harness.execution.cluster.scheduler import connect
from harness.execution.inventory import Inventory, Plugin, difference

INVENTORY_TIME = 120.0
"""Seconds that a worker may take for its inventory."""


async def look(plugin_dirs: Sequence[str]) -> dict[str, Any]:
    """Return the inventory of this machine, taken by a new process; busy workers answer too.

    Raises:
        RuntimeError: if the process failed, with the last line that it printed.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "harness.execution.inventory", *plugin_dirs),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"},  # jobs use the GPU now
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), INVENTORY_TIME)
    except TimeoutError:
        process.kill()
        raise RuntimeError(
            f"it sent no list of its versions and plugins within {INVENTORY_TIME:g} s"
        ) from None
    if process.returncode != 0:
        raise RuntimeError((err.decode(errors="replace").strip().splitlines() or ["died"])[-1])
    found: dict[str, Any] = json.loads(out)
    return found


def roll_call(
    scheduler: str, expected: Inventory, plugin_dirs: Sequence[str]
) -> list[dict[str, Any]]:
    """Return one row for every worker, by address.

    Args:
        scheduler: as in `connect`.
        expected: inventory of this machine.
        plugin_dirs: folders of user plugins, absolute.

    Returns:
        Rows with ``worker`` (address), ``name``, ``threads``, ``memory_limit`` (bytes),
        ``resources``, ``match``, ``difference``, and, if the worker answered, ``versions``,
        ``plugins`` and ``machine``.

    Raises:
        ClusterError: if there is no such cluster.
    """
    with connect(scheduler) as client:
        known = client.scheduler_info()["workers"]
        answers = client.run(look, list(plugin_dirs), on_error="return")
    return [
        _row(address, known[address], answers[address], expected) for address in sorted(answers)
    ]


def _row(address: str, facts: Any, answer: Any, expected: Inventory) -> dict[str, Any]:
    row: dict[str, Any] = {
        "worker": address,
        "name": str(facts["name"]),
        "threads": facts["nthreads"],
        "memory_limit": facts["memory_limit"],
        "resources": facts["resources"],
    }
    if isinstance(answer, BaseException):
        line = f"{type(answer).__name__}: {' '.join(str(answer).split())[:300]}"
        missing = isinstance(answer, ImportError | AttributeError)
        reason = "limitbench is not installed there, or is of another version: " if missing else ""
        return row | {
            "match": False,
            "difference": reason + line,
            "versions": {},
            "plugins": [],
            "machine": None,
        }
    plugins = [Plugin(p["name"], p["sha256"], tuple(p["components"])) for p in answer["plugins"]]
    found = Inventory(answer["versions"], tuple(plugins), answer["settings"])
    differs = difference(expected, found)
    return row | {
        "match": not differs,
        "difference": differs,
        "versions": dict(found.versions),
        "plugins": [asdict(p) for p in plugins],
        "machine": answer["machine"],
    }
