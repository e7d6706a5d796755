"""Environment in which a result was computed."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
from typing import Any

from harness.execution.machine import processors

VERSIONS = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy", "limitbench")


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that compute."""
    return {name: importlib.metadata.version(name) for name in VERSIONS}


def settings() -> dict[str, str]:
    """Return the XLA settings from environment variables, which may change last digits."""
    return {name: os.environ[name] for name in ("XLA_FLAGS",) if os.environ.get(name)}


@functools.cache
def environment() -> dict[str, Any]:
    """Return versions, processor and JAX devices of this process; imports JAX."""
    import jax

    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": processors(),
        "devices": sorted({d.device_kind for d in jax.devices()}),
        "settings": settings(),
        "versions": package_versions(),
    }
