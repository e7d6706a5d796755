"""`limitbench prepare`."""

from __future__ import annotations

import sys

import click

from harness.cli.common import complete_suite, load_registry, plugin_dir_option
from harness.cli.layout import say


@click.command("prepare")
@click.argument("suite", shell_complete=complete_suite)
@plugin_dir_option
def command(suite: str, plugin_dirs: tuple[str, ...]) -> None:
    """Fetch the data sets that a suite needs, so that running it needs no network.

    SUITE is a TOML file or the name of a bundled suite.
    """
    from harness.suites import load_suite

    registry = load_registry(plugin_dirs)
    loaded = load_suite(suite, registry)
    done = set()
    for experiment in loaded.experiments:
        component = registry.get("task", experiment.task.name)
        needed = (experiment.task.name, repr(sorted(experiment.task.parameters.items())))
        if component.prepare is None or needed in done:
            continue
        done.add(needed)
        if not sys.stderr.isatty() and "tensorflow_datasets" in sys.modules:
            sys.modules["tensorflow_datasets"].disable_progress_bar()
        component.prepare(component.parse(experiment.task.parameters))
        component.make(component.parse(experiment.task.parameters), experiment.data_seed)
        say(f"{experiment.name}: data ready", err=True)
    click.echo(f"suite {loaded.name!r}: all data is at hand")
