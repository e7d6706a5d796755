"""`limitbench site`."""

from __future__ import annotations

import click

from harness.cli.common import complete_folder


@click.command("site")
@click.argument(
    "inputs", metavar="DIR|FILE...", nargs=-1, required=True, shell_complete=complete_folder
)
@click.option(
    "-o",
    "--output",
    metavar="FOLDER",
    required=True,
    shell_complete=complete_folder,
    help="Where to write it: a new or empty folder, or an earlier site.",
)
@click.option(
    "--docs", metavar="URL", default="", help="Address of the documentation, for links to theories."
)
def command(inputs: tuple[str, ...], output: str, docs: str) -> None:
    """Write a site of the leaderboard, from results folders and submissions.

    Pages for the ranking, each theory, each experiment, two theories side by side and versions,
    with data and figures as files. They work from a disk or any server, and ask no network.
    """
    from harness.site import write_site

    click.echo(str(write_site(inputs, output, docs)))
