"""`limitbench doctor`."""

from __future__ import annotations

import importlib.metadata
import platform

import click

from harness.cli.common import load_registry, plugin_dir_option

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
@plugin_dir_option
def command(plugin_dirs: tuple[str, ...]) -> None:
    """Say what this installation has and what it lacks; exit 1 if something is missing."""
    import psutil

    missing = []
    click.echo(f"python     {platform.python_version()} on {platform.platform()}")
    for name in PACKAGES:
        try:
            click.echo(f"{name:<20} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
            click.echo(f"{name:<20} missing; install limitbench again")
    memory = psutil.virtual_memory()
    click.echo(f"processors {psutil.cpu_count()}, memory {memory.total / 2**30:.1f} GiB")
    registry = load_registry(plugin_dirs)
    click.echo(f"components {len(registry.components())}, set aside {len(registry.set_aside)}")
    for line in about_cache():
        click.echo(line)
    import jax

    click.echo(f"devices    {', '.join(str(d) for d in jax.devices())}")
    raise SystemExit(1 if missing or registry.set_aside else 0)


def about_cache() -> list[str]:
    """Return where compiled programs are kept, how much that is, and how often it served."""
    from harness.execution.history import history_file, read_history
    from harness.execution.programs import kept_programs, programs_folder

    folder = programs_folder()
    count, size = kept_programs()
    history = read_history(history_file())
    loaded = sum(job.loaded for job in history)
    total = loaded + sum(job.compiled for job in history)
    served = f"; it served {loaded / total:.0%} of {total} programs" if total else ""
    return [
        f"cache      {folder}: {count} programs, {size / 2**20:.1f} MiB",
        f"jobs       {len(history)} of this machine are remembered{served}",
    ]
