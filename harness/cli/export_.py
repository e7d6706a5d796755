"""`limitbench export`."""

from __future__ import annotations

import json
import sys

import click

from harness.cli.common import complete_folder


@click.command("export")
@click.argument("folder", metavar="DIR", shell_complete=complete_folder)
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "csv", "parquet"]),
    default="json",
    show_default=True,
    help="Format of the table.",
)
def command(folder: str, form: str) -> None:
    """Write every recorded value of a results folder to stdout, one row each, in full precision."""
    from harness.store import COLUMNS, Store, export_rows, export_tables

    store = Store(folder)
    if form == "json":
        separator = "[\n"
        for row in export_rows(store):
            click.echo(separator + json.dumps(row, allow_nan=False), nl=False)
            separator = ",\n"
        click.echo("[]" if separator == "[\n" else "\n]")
        return
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import csv

    tables = list(export_tables(store))
    table = pa.concat_tables(tables) if tables else pa.table({name: [] for name in COLUMNS})
    if form == "csv":
        csv.write_csv(table, sys.stdout.buffer)
    else:
        pq.write_table(table, pa.output_stream(sys.stdout.buffer))
