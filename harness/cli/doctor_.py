"""`limitbench doctor`."""

from __future__ import annotations

import importlib.metadata
import platform

import click

from harness.cli.common import load_registry, plugin_dir_option
from harness.cli.layout import print_entries, wide_option

PACKAGES = (
    "limitbench",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "pydantic",
    "pluggy",
    "scikit-learn",
    "tensorflow-datasets",
)


@click.command("doctor")
@wide_option
@plugin_dir_option
def command(plugin_dirs: tuple[str, ...]) -> int:
    """Report the installation, and anything that it lacks; exit 1 if something is missing."""
    import psutil

    missing = []
    facts = [("python", f"{platform.python_version()} on {platform.platform()}")]
    for name in PACKAGES:
        try:
            facts.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
            facts.append((name, "missing; install limitbench again"))
    memory = psutil.virtual_memory()
    facts.append(("processors", f"{psutil.cpu_count()}, memory {memory.total / 2**30:.1f} GiB"))
    registry = load_registry(plugin_dirs)
    components = f"{len(registry.components())}, set aside {len(registry.set_aside)}"
    print_entries([*facts, ("components", components), *about_cache()])
    import jax

    print_entries([("devices", ", ".join(str(d) for d in jax.devices()))])
    return 1 if missing or registry.set_aside else 0


def about_cache() -> list[tuple[str, str]]:
    """Return the folder of compiled programs, its size, and how often programs were reused."""
    from harness.execution.cost.history import history_file, read_history
    from harness.execution.programs import kept_programs, programs_folder

    count, size = kept_programs()
    history = read_history(history_file())
    loaded = sum(job.loaded for job in history)
    total = loaded + sum(job.compiled for job in history)
    served = f"; it served {loaded / total:.0%} of {total} programs" if total else ""
    return [
        ("cache", f"{programs_folder()}: {count} programs, {size / 2**20:.1f} MiB"),
        ("jobs", f"{len(history)} of this machine are remembered{served}"),
    ]
