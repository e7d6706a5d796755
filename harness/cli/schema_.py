"""`limitbench schema`."""

from __future__ import annotations

import click

from harness.cli.common import echo_json, load_registry, plugin_dir_option


@click.command("schema")
@plugin_dir_option
def command(plugin_dirs: tuple[str, ...]) -> None:
    """Print the JSON schema of suite files, for editors and other programs."""
    from harness.suites.schema import suite_schema

    echo_json(suite_schema(load_registry(plugin_dirs)))
