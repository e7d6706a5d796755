"""`limitbench pack`."""

from __future__ import annotations

import os

import click

from harness.cli.common import complete_folder, counted
from harness.cli.layout import say


@click.command("pack")
@click.argument(
    "folders", metavar="DIR...", nargs=-1, required=True, shell_complete=complete_folder
)
@click.option("-o", "file", metavar="FILE", required=True, help="Where the submission goes.")
@click.option("--full", is_flag=True, help="Keep every value, not only those that scoring needs.")
def command(folders: tuple[str, ...], file: str, full: bool) -> None:
    """Write the cells of results folders into one file, to send or to keep.

    It holds data only: facts, observables and checksums, and no folder of this machine. By default
    it has what scoring needs. An older submission of that name is replaced, and nothing else.
    """
    from harness.store import Store
    from harness.submissions import pack

    header = pack([Store(folder) for folder in folders], file, full)
    size = os.path.getsize(file)
    say(f"{file}: {counted(header.cells, 'cell')}, {counted(size, 'byte')}")
