"""What a result was computed with."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

VERSIONS = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy", "limitbench")


CACHE_VARIABLE = "LIMITBENCH_CACHE_DIR"


def cache_folder() -> Path | None:
    """Return the folder of what can be computed again: compiled programs, and what jobs took.

    It is made if need be. None if there is no home to put it in, or if it cannot be written.
    """
    named, shared = os.environ.get(CACHE_VARIABLE), os.environ.get("XDG_CACHE_HOME")
    try:
        folder = Path(named) if named else Path(shared or Path("~/.cache").expanduser())
        folder = folder if named else folder / "limitbench"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # the latter is how pathlib says that there is no home
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that compute."""
    return {name: importlib.metadata.version(name) for name in VERSIONS}


@functools.cache
def environment() -> dict[str, Any]:
    """Return versions, processor and JAX devices of this process; imports JAX."""
    import jax

    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": processors(),
        "devices": sorted({d.device_kind for d in jax.devices()}),
        "versions": package_versions(),
    }
