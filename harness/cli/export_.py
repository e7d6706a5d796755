"""`limitbench export`."""

from __future__ import annotations

import json
import sys

import click


@click.command("export")
@click.argument("folder", metavar="DIR")
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
    from harness.store import TIDY, Store, export_rows, export_tables, gathered

    store = Store(folder)
    if form == "json":
        separator = "[\n"
        for row in export_rows(store):
            click.echo(separator + json.dumps(row, allow_nan=False), nl=False)
            separator = ",\n"
        click.echo("[]" if separator == "[\n" else "\n]")
        return
    import pyarrow.parquet as pq
    from pyarrow import csv

    tables = gathered(export_tables(store))
    kind = csv.CSVWriter if form == "csv" else pq.ParquetWriter
    with kind(sys.stdout.buffer, TIDY) as writer:
        for table in tables:
            writer.write_table(table)
