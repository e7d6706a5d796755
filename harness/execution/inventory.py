"""Inventory of a machine: versions and plugins, to be compared between machines.

As a program, prints this machine's inventory as one line of JSON; see `limitbench worker-check`.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.execution.environment import VERSIONS, settings
from harness.registry import Registry


@dataclass(frozen=True)
class Plugin:
    """A loaded plugin.

    Attributes:
        name: name of its file, or of its entry point.
        sha256: digest of its source and of the modules beside it, without comments and
            formatting; empty for a plugin without components.
        components: kind, name and version of each of its components.
    """

    name: str
    sha256: str
    components: tuple[str, ...]


@dataclass(frozen=True)
class Inventory:
    """Versions by package, the plugins, and settings that change numbers, of one machine."""

    versions: Mapping[str, str]
    plugins: tuple[Plugin, ...]
    settings: Mapping[str, str] = field(default_factory=dict)


def versions() -> dict[str, str]:
    """Return the versions on which results depend; that of Python without its last number.

    The version of limitbench is followed by the first digits of a hash of its source, for
    checkouts between two releases.
    """
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in VERSIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "missing"
    return found | {"limitbench": f"{found['limitbench']} (source {_source()})"}


def take_inventory(registry: Registry) -> Inventory:
    """Return versions, and the plugins of a registry."""
    plugins = []
    for origin, components in registry.plugins.items():
        name = origin if origin.startswith("entry point ") else Path(origin).name
        digests = sorted({registry.source(c) for c in components})
        digest = digests[0] if len(digests) == 1 else _hash(digests)
        known = tuple(sorted(f"{c.kind} {c.name} {c.version}" for c in components))
        plugins.append(Plugin(name, digest, known))
    plugins.sort(key=lambda p: (p.name, p.sha256))
    return Inventory(versions(), tuple(plugins), settings())


def version_difference(expected: Mapping[str, str], found: Mapping[str, str]) -> str:
    """Return the differences of versions in words; empty if there are none."""
    return "; ".join(
        f"{name} is {found.get(name, 'missing')} there and {version} here"
        for name, version in expected.items()
        if found.get(name, "missing") != version
    )


def difference(expected: Inventory, found: Inventory) -> str:
    """Return the expected items that a machine lacks, in words; empty if it has all.

    Further plugins do no harm.
    """
    faults = [version_difference(expected.versions, found.versions)]
    by_name: dict[str, list[Plugin]] = {}
    for plugin in found.plugins:
        by_name.setdefault(plugin.name, []).append(plugin)
    for plugin in expected.plugins:
        there = by_name.get(plugin.name, [])
        if plugin in there:
            continue
        brings = f"plugin {plugin.name} ({', '.join(plugin.components) or 'no components'})"
        if not there:
            faults.append(f"{brings} is missing or set aside there")
        elif all(p.components != plugin.components for p in there):
            other = ", ".join(there[0].components) or "no components"
            faults.append(f"{brings} brings {other} there")
        else:
            digests = f"{there[0].sha256[:8]} there and {plugin.sha256[:8]} here"
            faults.append(f"{brings} is other source there (SHA-256 {digests})")
    if expected.settings != found.settings:
        told = [_told(each.settings) for each in (found, expected)]
        faults.append(f"the environment sets {told[0]} there and {told[1]} here")
    return "; ".join(fault for fault in faults if fault)


def _told(settings: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items()) or "nothing"


def _hash(digests: Sequence[str]) -> str:
    return hashlib.sha256("".join(digests).encode()).hexdigest() if digests else ""


def present(plugin_dirs: Sequence[str]) -> list[str]:
    """Return those of the driver's plugin folders that exist on this machine.

    The others may lie elsewhere here, and be named by ``LIMITBENCH_PLUGIN_DIR``; the comparison
    of plugins finds missing ones.
    """
    return [folder for folder in plugin_dirs if Path(folder).exists()]


def machine() -> dict[str, Any]:
    """Return processors, memory and JAX devices of this machine; imports JAX."""
    import jax
    import psutil

    return {
        "host": platform.node(),
        "processors": os.cpu_count(),
        "memory": psutil.virtual_memory().total,
        "devices": [f"{d.platform} {d.device_kind}" for d in jax.devices()],
    }


@functools.cache
def _source() -> str:
    package = Path(__file__).resolve().parents[1]
    hashed = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        place = path.relative_to(package)
        if place.parts[0] != "_bundled":  # plugins are compared one by one
            hashed.update(f"{place.as_posix()}\0".encode())
            hashed.update(path.read_bytes())
    return hashed.hexdigest()[:8]


if __name__ == "__main__":
    inventory = take_inventory(Registry.load(present(sys.argv[1:])))
    sys.stdout.write(json.dumps({**asdict(inventory), "machine": machine()}) + "\n")
