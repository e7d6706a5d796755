"""What a result was computed with."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
from typing import Any

VERSIONS = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy", "limitbench")


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
