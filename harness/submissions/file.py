"""The file of a submission: Parquet, written whole or not at all, and read within bounds.

It may come from a stranger. Nothing in it is run, and the sizes that it declares are checked
before memory is taken for it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.errors import StoreError
from harness.records.cell import Short, Whole
from harness.store import Manifest
from harness.store.check import (
    LARGEST_ARRAYS,
    LARGEST_TEXT,
    UnusableError,
    brief,
    open_plain,
    parse_object,
)
from harness.store.files import write_file
from harness.store.tables import CURVES
from harness.submissions.rows import (
    SCHEMA,
    Row,
    add_to,
    checked_row,
    new_digest,
    packed_arrays,
    unpacked_arrays,
)

FORMAT = 1
"""Format of submissions."""

ENTRY = b"limitbench"
"""Name of the header among the file's metadata."""

CELLS = 200_000
"""Largest number of cells of a submission."""

FEW = 2**20
"""Number of values that a file of any size may have."""

PACKED = 64
"""Largest number of values, and a fourth of the bytes, that each byte of a file may declare."""

GROUP = 2**26
"""Number of bytes of rows in memory after which they are written as a group."""

BATCH = 16
"""Number of cells that are read at once."""

LEVEL = 19
"""Level of compression by zstd, whose reading takes the same time at every level."""

_LEAF = "list.element"
_VALUES = [f"value.{_LEAF}", f"stderr.{_LEAF}", f"arrays.{_LEAF}.values.{_LEAF}"]
_REPEATED = [
    *(f"{name}.{_LEAF}" for name in CURVES.names if name not in {"value", "stderr"}),
    *(f"arrays.{_LEAF}.{name}" for name in ("name", "dtype", f"shape.{_LEAF}")),
]


class Header(BaseModel):
    """The header of a submission.

    Attributes:
        submission: format of the file.
        made: day on which it was made, such as 2026-11-29.
        limitbench: version of the program that made it.
        full: whether cells are whole; else they have the part that scoring needs.
        cells: number of cells.
        environments: software and devices with which the cells were computed.
        suites: TOML of suites by name, where it was known.
        manifests: experiments, and the keys of their cells.
        sha256: hash of the rows' content.
    """

    model_config = ConfigDict(strict=True, allow_inf_nan=False, frozen=True)

    submission: Whole
    made: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]
    limitbench: Short
    full: bool
    cells: Annotated[int, Field(ge=0, le=CELLS)]
    environments: Annotated[list[dict[str, Any]], Field(max_length=1000)]
    suites: dict[Short, str]
    manifests: Annotated[list[Manifest], Field(max_length=10**5)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def read_header(file: str | Path) -> Header:
    """Return the header of a submission.

    Raises:
        StoreError: if the file is none.
    """
    with _refused(), _opened(Path(file)) as (_, header):
        return header


def read_rows(file: str | Path) -> Iterator[Row]:
    """Yield the cells of a submission; the last one is followed by the check of the hash.

    Raises:
        StoreError: if the file is no submission, or a cell is invalid; or, after the last cell, if
            the content is not that of the hash.
    """
    path = Path(file)
    with _refused(), _opened(path) as (parquet, header):
        found, keys = new_digest(), set[str]()
        for batch in parquet.iter_batches(BATCH, use_threads=False):
            batch.validate(full=True)
            for row in _rows(path, batch):
                if row.key in keys:
                    raise UnusableError(f"{path}: cell {row.key}: is there twice")
                keys.add(row.key)
                add_to(found, row)
                yield row
        if len(keys) != header.cells:
            raise UnusableError(f"{path}: {len(keys)} cells; its header says {header.cells}")
        if found.hexdigest() != header.sha256:
            raise UnusableError(f"{path}: cut short or changed since it was written")


def write_rows(
    file: Path, rows: Iterable[Row], header: Callable[[int, str], Header], remedy: str
) -> Header:
    """Write a submission, whole or not at all.

    Args:
        file: path of the file; an older submission is replaced, and nothing else.
        rows: the cells.
        header: returns the header, from the number of cells and the hash of their content.
        remedy: advice for the user if it cannot be written.

    Returns:
        The header.

    Raises:
        StoreError: if the file cannot be written, or would replace anything but a submission.
    """
    if os.path.lexists(file):
        try:
            read_header(file)
        except StoreError as error:
            raise StoreError(f"{error}, so not overwritten; {remedy}") from None
    written: list[Header] = []

    def write(opened: IO[bytes]) -> None:
        written.append(_write(opened, rows, header))

    try:
        write_file(file, write, remedy)
    except pa.ArrowException as error:
        raise StoreError(f"{file}: cannot be written ({brief(error)}); {remedy}") from error
    return written[0]


def _write(opened: IO[bytes], rows: Iterable[Row], header: Callable[[int, str], Header]) -> Header:
    found, count, size = new_digest(), 0, 0
    held: list[dict[str, Any]] = []
    with pq.ParquetWriter(
        opened,
        SCHEMA,
        use_dictionary=_REPEATED,
        use_byte_stream_split=_VALUES,
        compression="zstd",
        compression_level=LEVEL,
        store_schema=False,
        write_statistics=False,
        data_page_size=2**24,
    ) as writer:
        for row in rows:
            add_to(found, row)
            held.append(_packed(row))
            count, size = count + 1, size + row.nbytes
            if size > GROUP:
                writer.write_table(pa.Table.from_pylist(held, SCHEMA))
                held, size = [], 0
        if held:
            writer.write_table(pa.Table.from_pylist(held, SCHEMA))
        made = header(count, found.hexdigest())
        text = json.dumps(made.model_dump(), allow_nan=False)
        writer.add_key_value_metadata({ENTRY.decode(): text})
    return made


def _packed(row: Row) -> dict[str, Any]:
    curves = {name: row.curves[name].combine_chunks() for name in CURVES.names}
    arrays = packed_arrays(row.key, row.arrays)
    return {"key": row.key, "facts": row.text, **curves, "arrays": arrays}


@contextlib.contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except UnusableError as error:
        raise StoreError(str(error)) from None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[pq.ParquetFile, Header]]:
    """Open a submission whose columns, sizes and header are checked."""
    try:
        with open_plain(path, LARGEST_ARRAYS) as opened:
            size = os.fstat(opened.fileno()).st_size
            limits = {"thrift_string_size_limit": 2 * LARGEST_TEXT}
            with pq.ParquetFile(opened, **limits) as parquet:
                if fault := _excess(parquet.metadata, size):
                    raise UnusableError(f"{path}: {fault}")
                yield parquet, _header(path, parquet.metadata)
    except (OSError, ValueError, MemoryError, pa.ArrowException) as error:
        raise UnusableError(f"{path}: not a submission ({brief(error)})") from None


def _excess(metadata: pq.FileMetaData, size: int) -> str:
    """Return the fault of a file's declared columns or sizes, or an empty string."""
    if not metadata.schema.to_arrow_schema().remove_metadata().equals(SCHEMA):
        return f"not the columns of a submission, which are {', '.join(SCHEMA.names)}"
    if metadata.num_rows > CELLS:
        return f"{metadata.num_rows:,} cells; at most {CELLS:,}"
    groups = [metadata.row_group(k) for k in range(metadata.num_row_groups)]
    columns = [group.column(k) for group in groups for k in range(group.num_columns)]
    values = sum(max(0, column.num_values) for column in columns)
    if values > max(FEW, PACKED * size):
        return f"declares {values:,} values in {size:,} bytes"
    declared = sum(max(0, column.total_uncompressed_size) for column in columns)
    if declared > 4 * max(FEW, PACKED * size):
        return f"declares {declared:,} bytes in a file of {size:,}"
    return ""


def _header(path: Path, metadata: pq.FileMetaData) -> Header:
    text = (metadata.metadata or {}).get(ENTRY)
    if text is None:
        raise UnusableError(f"{path}: not a submission (it has no header)")
    if len(text) > LARGEST_TEXT:
        raise UnusableError(f"{path}: a header of {len(text):,} bytes; at most {LARGEST_TEXT:,}")
    where = f"{path}: header"
    facts = parse_object(where, text)
    found = facts.get("submission")
    if type(found) is int and found > FORMAT:
        raise UnusableError(
            f"{path}: submissions of format {found} are of a newer limitbench (this one reads"
            f" format {FORMAT}); install that version to read it"
        )
    try:
        header = Header.model_validate(facts)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise UnusableError(
            f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        ) from None
    named = [(m.suite, m.experiment) for m in header.manifests]
    if len(set(named)) < len(named):
        raise UnusableError(f"{where}: lists an experiment twice")
    return header


def _rows(path: Path, batch: pa.RecordBatch) -> Iterator[Row]:
    for k in range(batch.num_rows):
        key, text = batch["key"][k].as_py(), batch["facts"][k].as_py()
        if key is None or text is None:
            raise UnusableError(f"{path}: a cell without key or facts")
        where = f"{path}: cell {key[:40]}"
        lists = {name: batch[name][k].values for name in (*CURVES.names, "arrays")}
        if any(values is None for values in lists.values()):
            raise UnusableError(f"{where}: lacks a list")
        structs = lists.pop("arrays")
        if len({len(values) for values in lists.values()}) != 1:
            raise UnusableError(f"{where}: columns of its curves differ in length")
        if lists["observable"].null_count or structs.null_count:
            raise UnusableError(f"{where}: has no value in places")
        curves = pa.table(lists, schema=CURVES)
        yield checked_row(str(path), key, text, curves, unpacked_arrays(where, structs))
