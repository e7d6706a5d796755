"""`limitbench report`."""

from __future__ import annotations

import click

from harness.cli.common import load_registry, plugin_dir_option


@click.command("report")
@click.argument("folder", metavar="DIR")
@click.option(
    "-o", "--output", metavar="FILE", help="Where to write it; DIR/report.html by default."
)
@plugin_dir_option
def command(folder: str, output: str | None, plugin_dirs: tuple[str, ...]) -> None:
    """Write the report of a results folder: one HTML file that needs no network."""
    from pathlib import Path

    from harness.report import write_report
    from harness.store import Store

    path = write_report(Store(folder), Path(output) if output else None, load_registry(plugin_dirs))
    click.echo(str(path))
