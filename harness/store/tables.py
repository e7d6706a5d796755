"""Curves and arrays of a cell as files: read within bounds, and refused if invalid.

A checksum shows that a file is unchanged, but neither who wrote it nor that it makes sense. The
sizes that a file declares are checked before memory is taken for it.
"""

from __future__ import annotations

import contextlib
import functools
import io
import math
import os
import sys
import zipfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from harness.errors import StoreError
from harness.store.check import UnusableError, brief, open_plain

CURVES = pa.schema(
    [
        ("stage", pa.int32()),
        ("observable", pa.string()),
        ("step", pa.int64()),
        ("time", pa.float64()),
        ("index", pa.int32()),
        ("value", pa.float64()),
        ("stderr", pa.float64()),
    ]
)

OTHER_COLUMNS = f"not the columns of curves, which are {', '.join(CURVES.names)}"

LARGEST_NAME = 200
"""Largest number of characters of the name of an observable."""

HELD = 30_000_000
"""Largest number of recorded values in memory at once, for comparing or averaging cells."""


@dataclass(frozen=True)
class Bounds:
    """Bounds on the unpacked curves of a cell.

    They bound the unpacked size of a whole folder by a multiple of its size, however many cells it
    has; only the wanted values of one cell are in memory beside those kept from others.

    Attributes:
        values: largest number of recorded values, whatever the size of the file.
        numbers: largest number of these for observables that are numbers, one for each step.
        few: number of recorded values that a file of any size may have.
        packed: largest number of recorded values for each byte of a file that has more. A value
            takes ten bytes, or a fifth of a byte where all are equal, as for a theory that predicts
            zero.
        width: largest number of bytes for each recorded value that the file may declare.
        part: number of recorded values in memory at once before the wanted ones are selected.
    """

    values: int = 20_000_000
    numbers: int = 2**20
    few: int = 2**16
    packed: int = 8
    width: int = 64 + LARGEST_NAME
    part: int = 2**16


BOUNDS = Bounds()

Keep = Callable[[pa.Table], pa.Table]
"""Takes a part of the curves and returns the wanted rows."""

CHUNK = 2**24
"""Number of bytes of an array that are read at once."""

FINITE = sys.float_info.max
SMALL = 2**20
"""Largest number of bytes of a file, or of an array in one, that is read at once."""

RANGES = {
    "step": (0, 2**62),
    "time": (-FINITE, FINITE),
    "index": (0, 2**31),
    "value": (-FINITE, FINITE),
    "stderr": (0, FINITE),
}
"""Ranges of the values in the columns of curves."""


def read_curves(
    path: Path,
    stages: int,
    columns: Sequence[str] = (),
    keep: Keep | None = None,
    bounds: Bounds = BOUNDS,
) -> pa.Table:
    """Read the tidy table of observables: see `CURVES`; names are dictionary-encoded.

    Args:
        path: the file.
        stages: number of stages.
        columns: columns to read; all if empty.
        keep: takes each part of the table and returns the wanted rows; all if None.
        bounds: bounds on the unpacked file.

    Raises:
        UnusableError: if the file is invalid or too large, or a value is not finite.
    """
    parts = curve_batches(path, stages, columns, bounds)
    kept = [part if keep is None else keep(part) for part in parts]
    if not kept:
        wanted = columns or CURVES.names
        return pa.table({name: pa.array([], _encoded(name)) for name in wanted})
    if len(kept) == 1:
        return kept[0].combine_chunks()
    return pa.concat_tables(kept).unify_dictionaries().combine_chunks()


def curve_batches(
    path: Path, stages: int, columns: Sequence[str] = (), bounds: Bounds = BOUNDS
) -> Iterator[pa.Table]:
    """Yield the tidy table of observables in parts of a bounded size: see `read_curves`."""
    try:
        with open_plain(path) as opened, contextlib.ExitStack() as stack:
            chosen, singles = list(columns) or None, 0
            size = os.fstat(opened.fileno()).st_size
            # one read of a file opened by Python takes longer than all of a small file
            source = pa.BufferReader(opened.read()) if size <= SMALL else opened
            try:
                read = pq.ParquetFile(source, read_dictionary=["observable"])
            except KeyError:  # there is no column of that name
                raise UnusableError(f"{path}: {OTHER_COLUMNS}") from None
            file = stack.enter_context(read)
            if fault := _excess(file.metadata, size, bounds):
                raise UnusableError(f"{path}: {fault}")
            for table in _parts(file, chosen, bounds.part):
                table.validate(full=True)
                if "index" in table.column_names:
                    singles += table["index"].null_count
                if singles > bounds.numbers:
                    raise UnusableError(f"{path}: more than {bounds.numbers:,} values of numbers")
                if fault := curves_fault(table, stages):
                    raise UnusableError(f"{path}: {fault}")
                yield table
    except (OSError, ValueError, MemoryError, pa.ArrowException) as error:
        raise UnusableError(f"{path}: not a table ({brief(error)})") from None


def _parts(file: pq.ParquetFile, columns: list[str] | None, size: int) -> Iterator[pa.Table]:
    """Yield the rows of a file in parts of at most `size` rows, each column in one piece."""
    if file.metadata.num_rows <= size and file.metadata.num_row_groups == 1:
        yield file.read(columns, use_threads=False)
        return
    for batch in file.iter_batches(size, columns=columns, use_threads=False):
        yield pa.Table.from_batches([batch]).combine_chunks()


def of_observables(*names: str) -> Keep:
    """Return a `Keep` for the rows of some observables."""

    def keep(table: pa.Table) -> pa.Table:
        called = table["observable"].combine_chunks()
        codes = [i for i, name in enumerate(called.dictionary.to_pylist()) if name in names]
        return table.filter(pa.array(np.isin(called.indices.to_numpy(), codes)))

    return keep


def numbers(table: pa.Table) -> pa.Table:
    """Return the rows of observables that are numbers."""
    return table.filter(pc.is_null(table["index"]))


def thinned(table: pa.Table) -> pa.Table:
    """Return the rows of numbers, and of vectors those at the last step of every stage."""
    codes = table["observable"].combine_chunks().indices.to_numpy().astype(np.int64)
    step = table["step"].to_numpy()
    place = codes + (codes.max(initial=0) + 1) * table["stage"].to_numpy().astype(np.int64)
    vector = ~table["index"].is_null().to_numpy()
    which, group = np.unique(place, return_inverse=True)
    last = np.full(len(which), -1)
    np.maximum.at(last, group[vector], step[vector])
    return table.filter(pa.array(~vector | (step == last[group])))


def plain_curves(table: pa.Table) -> pa.Table:
    """Return curves with names as text, exactly as `CURVES` has it."""
    return table.cast(CURVES)


@dataclass
class Allowance:
    """Number of recorded values of several cells that still fit in memory together.

    Attributes:
        left: the number left.
    """

    left: int = HELD

    def take(self, path: Path, count: int) -> None:
        """Take the values of one cell.

        Raises:
            StoreError: if there are too many, together with those taken before.
        """
        if count > self.left:
            raise StoreError(
                f"{path}: has more values than may be in memory beside those of other cells"
                f" ({self.left:,} are left)"
            )
        self.left -= count

    @contextlib.contextmanager
    def counted(self, path: Path, keep: Keep) -> Iterator[Keep]:
        """Yield a `Keep` for the same rows of one cell that also takes their number.

        It raises StoreError as `take` does. A cell whose reading fails takes nothing.
        """
        before = self.left

        def counting(table: pa.Table) -> pa.Table:
            kept = keep(table)
            self.take(path, len(kept))
            return kept

        try:
            yield counting
        except StoreError:
            self.left = before
            raise


def read_arrays(path: Path, names: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """Read arrays of numbers from an archive that `numpy.savez` wrote.

    Args:
        path: the file.
        names: names of the arrays; all if None.

    Raises:
        UnusableError: if it is no such archive, holds anything but arrays of finite numbers, or
            declares more bytes than the file has.
    """
    found = {}
    with _archive(path) as archive:
        for name, member in _members(archive):
            if names is None or name in names:
                with archive.open(member) as opened:
                    size = member.file_size
                    whole = io.BytesIO(opened.read()) if size <= SMALL else opened
                    found[name] = _array(whole, size)
    for name, array in found.items():
        if not np.isfinite(array).all():
            raise UnusableError(f"{path}: {name}: has values that are not finite")
    return found


def array_names(path: Path) -> list[str]:
    """Return the names of the arrays of an archive.

    Raises:
        UnusableError: if it is no archive.
    """
    with _archive(path) as archive:
        return [name for name, _ in _members(archive)]


@contextlib.contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive of arrays; any other file raises `UnusableError`."""
    try:
        with open_plain(path) as opened:
            small = os.fstat(opened.fileno()).st_size <= SMALL
            with zipfile.ZipFile(io.BytesIO(opened.read()) if small else opened) as archive:
                yield archive
    except (OSError, ValueError, TypeError, LookupError, RecursionError, MemoryError) as error:
        raise UnusableError(f"{path}: not arrays ({brief(error)})") from None
    except (EOFError, RuntimeError, zipfile.BadZipFile) as error:  # such as encrypted members
        raise UnusableError(f"{path}: not arrays ({brief(error)})") from None


def _encoded(name: str) -> pa.DataType:
    """Return the type for reading a column."""
    found = CURVES.field(name).type
    return pa.dictionary(pa.int32(), found) if name == "observable" else found


def _excess(metadata: pq.FileMetaData, size: int, bounds: Bounds) -> str:
    """Return the fault of a curve file's declared columns or sizes, or an empty string."""
    if not metadata.schema.to_arrow_schema().equals(CURVES):
        return OTHER_COLUMNS
    rows = metadata.num_rows
    if rows > bounds.values:
        return f"{rows:,} values; at most {bounds.values:,}"
    if rows > max(bounds.few, bounds.packed * size):
        return (
            f"{rows:,} values in {size:,} bytes; at most {bounds.packed} a byte where there are"
            f" more than {bounds.few:,}"
        )
    groups = [metadata.row_group(k) for k in range(metadata.num_row_groups)]
    declared = sum(max(0, group.total_byte_size) for group in groups)
    if declared > bounds.width * (rows + bounds.few):
        return f"declares {declared:,} bytes for {rows:,} values"
    return ""


def curves_fault(table: pa.Table, stages: int) -> str:
    """Return the fault of a part of the curves, or an empty string.

    Args:
        table: part of the curves, each column in one piece, names dictionary-encoded.
        stages: number of stages.
    """
    if not len(table):
        return ""
    columns = dict(zip(table.column_names, (c.chunk(0) for c in table.columns), strict=True))
    for name in columns.keys() - {"index", "stderr"}:
        if columns[name].null_count:
            return f"{name}: has no value in places"
    ranges = RANGES | {"stage": (0, stages - 1)}
    for name in ranges.keys() & columns.keys():
        if not _within(columns[name], *ranges[name]):
            return f"{name}: has values that are not finite, or out of range"
    if "observable" in columns:
        called = columns["observable"].dictionary
        if called.null_count or not all(len(c) <= LARGEST_NAME for c in called.to_pylist()):
            return f"observable: has names of more than {LARGEST_NAME} characters"
    return ""


def _within(column: pa.Array, low: float, high: float) -> bool:
    """Return whether all non-null values lie in a range; NaN does not."""
    if column.null_count == len(column):
        return True
    # for a short column, NumPy finds both ends in less time than a call of Arrow takes
    values = (column.drop_null() if column.null_count else column).to_numpy()
    return bool(low <= values.min() and values.max() <= high)


def _members(archive: zipfile.ZipFile) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    """Return the name and entry of every array; raise ValueError if an entry is not our own."""
    entries = archive.infolist()
    assert archive.fp is not None
    size = archive.fp.seek(0, os.SEEK_END)
    if any(e.compress_type != zipfile.ZIP_STORED for e in entries):
        raise ValueError("compressed; numpy.savez writes arrays as they are")
    if sum(e.file_size for e in entries) > size:
        raise ValueError("declares more than the file has")
    if len({e.filename for e in entries}) < len(entries):
        raise ValueError("two of one name")
    return ((e.filename.removesuffix(".npy"), e) for e in entries)


def _array(opened: IO[bytes], size: int) -> NDArray[Any]:
    """Read one array; its header must declare exactly the bytes that follow."""
    version = np.lib.format.read_magic(opened)
    if version not in {(1, 0), (2, 0)}:
        raise ValueError(f"version {version} of numpy's format")
    length = opened.read(2 if version == (1, 0) else 4)
    try:
        shape, fortran, dtype = _header(
            version, length + opened.read(int.from_bytes(length, "little"))
        )
    except Exception as error:  # numpy's header reader passes on errors of its tokenizer
        raise ValueError(f"a header that cannot be read: {brief(error)}") from None
    if dtype.hasobject or dtype.kind not in "biuf" or dtype.shape:
        raise ValueError(f"an array of {dtype}; arrays of numbers are allowed")
    count = math.prod(shape)
    if min(shape, default=0) < 0 or opened.tell() + count * dtype.itemsize != size:
        raise ValueError(f"declares an array of shape {shape}, and has another size")
    data = bytearray(count * dtype.itemsize)
    for at in range(0, len(data), CHUNK):
        part = opened.read(min(CHUNK, len(data) - at))
        data[at : at + len(part)] = part
    flat = np.frombuffer(data, dtype, count)
    return flat.reshape(shape, order="F" if fortran else "C")


@functools.lru_cache(maxsize=256)
def _header(version: tuple[int, int], text: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, order and type of an array; cached, as cells of a problem share headers."""
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    found: tuple[tuple[int, ...], bool, np.dtype[Any]] = read(io.BytesIO(text))
    return found
