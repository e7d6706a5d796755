"""`limitbench export`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING

import click

from harness.cli.common import complete_folder
from harness.cli.streams import lost

if TYPE_CHECKING:
    import pyarrow as pa


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
    from harness.scoring.distinct import marks
    from harness.store import TIDY, Store, export_rows, export_tables, gathered

    store = Store(folder)
    names = marks(store)
    if form == "json":
        separator = "[\n"
        for row in export_rows(store, names):
            click.echo(separator + json.dumps(row, allow_nan=False), nl=False)
            separator = ",\n"
            if lost():
                return
        click.echo("[]" if separator == "[\n" else "\n]")
        return
    import pyarrow.parquet as pq

    tables = gathered(export_tables(store, names))
    if form == "csv":
        write_csv(tables, sys.stdout.buffer)
        return
    with pq.ParquetWriter(sys.stdout.buffer, TIDY) as writer:
        for table in tables:
            if lost():
                return
            writer.write_table(table)


def write_csv(tables: Iterable[pa.Table], sink: IO[bytes]) -> None:
    """Write tables of one schema as CSV, one after the other; no text reads as a formula."""
    import pyarrow as pa
    from pyarrow import csv

    from harness.store import COLUMNS

    header = True
    for table in tables:
        if lost():
            return
        options = csv.WriteOptions(include_header=header)
        csv.write_csv(_plain_texts(table), sink, options)
        header = False
    if header:
        csv.write_csv(pa.table({name: [] for name in COLUMNS}), sink)


def _plain_texts(table: pa.Table) -> pa.Table:
    """Return a table whose texts are safe in a CSV file; each distinct text is checked once."""
    import pyarrow as pa

    from harness.formats import csv_text

    for place, column in enumerate(table.schema):
        if not pa.types.is_string(column.type):
            continue
        chunks = []
        for chunk in table[column.name].dictionary_encode().chunks:
            texts = [
                None if text is None else csv_text(text) for text in chunk.dictionary.to_pylist()
            ]
            plain = pa.DictionaryArray.from_arrays(chunk.indices, pa.array(texts, pa.string()))
            chunks.append(plain.dictionary_decode())
        table = table.set_column(place, column, pa.chunked_array(chunks, pa.string()))
    return table
