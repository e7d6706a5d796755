"""`limitbench report`."""

from __future__ import annotations

import click

from harness.cli.common import complete_folder, load_registry, only_option, plugin_dir_option


@click.command("report")
@click.argument("folder", metavar="DIR", shell_complete=complete_folder)
@click.option(
    "-o", "--output", metavar="FILE", help="Where to write it; DIR/report.html by default."
)
@only_option
@click.option(
    "--figures",
    type=click.IntRange(min=0),
    metavar="N",
    help="Draw figures for the first N experiments; 30 by default.",
)
@plugin_dir_option
def command(
    folder: str,
    output: str | None,
    only: tuple[str, ...],
    figures: int | None,
    plugin_dirs: tuple[str, ...],
) -> None:
    """Write the report of a results folder: one HTML file that needs no network.

    Experiments beyond the first 30 are scored and described, but have no figures, so that the
    file stays small: --only and --figures choose others, or more.
    """
    if only and output is None:
        raise click.UsageError(
            "--only needs -o FILE: DIR/report.html is the report of all experiments"
        )
    from pathlib import Path

    from harness.report import FIGURES, write_report
    from harness.store import Store

    path = write_report(
        Store(folder),
        Path(output) if output else None,
        load_registry(plugin_dirs),
        only=only,
        figures=FIGURES if figures is None else figures,
    )
    click.echo(str(path))
