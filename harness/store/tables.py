"""Curves and arrays of a cell as files: read within bounds, and refused unless they are such.

A checksum says that a file is what someone wrote, not who, nor that it makes sense. What a file
declares of its size is checked before memory is taken for it.
"""

from __future__ import annotations

import math
import sys
import zipfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from harness.store.check import UnusableError, brief

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

LARGEST_CURVES = 20_000_000
"""Recorded values of a cell."""

LARGEST_NAME = 200
"""Characters of the name of an observable."""

FINITE = sys.float_info.max
RANGES = {
    "step": (0, 2**62),
    "time": (-FINITE, FINITE),
    "index": (0, 2**31),
    "value": (-FINITE, FINITE),
    "stderr": (0, FINITE),
}
"""Between which values the columns of curves lie."""


def read_curves(path: Path, stages: int, columns: Sequence[str] = ()) -> pa.Table:
    """Read the tidy table of observables: see `CURVES`; names are dictionary-encoded.

    Args:
        path: the file.
        stages: how many there are.
        columns: to read; all if empty.

    Raises:
        UnusableError: if it holds something else, too much, or values that are not finite.
    """
    try:
        metadata = pq.read_metadata(path)
        if not metadata.schema.to_arrow_schema().equals(CURVES):
            raise UnusableError(
                f"{path}: not the columns of curves, which are {', '.join(CURVES.names)}"
            )
        if metadata.num_rows > LARGEST_CURVES:
            raise UnusableError(f"{path}: {metadata.num_rows:,} values; at most {LARGEST_CURVES:,}")
        with pq.ParquetFile(path, metadata=metadata, read_dictionary=["observable"]) as file:
            table = file.read(list(columns) or None, use_threads=False).combine_chunks()
            table.validate(full=True)
    except (OSError, ValueError, MemoryError, pa.ArrowException) as error:
        raise UnusableError(f"{path}: not a table ({brief(error)})") from None
    if fault := _fault(table, stages):
        raise UnusableError(f"{path}: {fault}")
    return table


def plain_curves(table: pa.Table) -> pa.Table:
    """Return curves with names as text, exactly as `CURVES` has it."""
    return table.cast(CURVES)


def read_arrays(path: Path, names: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """Read arrays of numbers from an archive that `numpy.savez` wrote.

    Args:
        path: the file.
        names: which; all of them if None.

    Raises:
        UnusableError: if it is no such archive, holds anything but arrays of finite numbers, or
            declares more than the file has.
    """
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, path.stat().st_size)
            for name, member in members:
                if names is None or name in names:
                    with archive.open(member) as opened:
                        found[name] = _array(opened, member.file_size)
    except (OSError, ValueError, TypeError, LookupError, RecursionError, MemoryError) as error:
        raise UnusableError(f"{path}: not arrays ({brief(error)})") from None
    except (EOFError, RuntimeError, zipfile.BadZipFile) as error:  # encrypted members, for one
        raise UnusableError(f"{path}: not arrays ({brief(error)})") from None
    for name, array in found.items():
        if not np.isfinite(array).all():
            raise UnusableError(f"{path}: {name}: has values that are not finite")
    return found


def array_names(path: Path) -> list[str]:
    """Return the names of the arrays of an archive.

    Raises:
        UnusableError: if it is none.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return [name for name, _ in _members(archive, path.stat().st_size)]
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        raise UnusableError(f"{path}: not arrays ({brief(error)})") from None


def _fault(table: pa.Table, stages: int) -> str:
    """Return what no curves of ours have, or an empty string."""
    for name in set(table.column_names) - {"index", "stderr"}:
        if table[name].null_count:
            return f"{name}: has no value in places"
    ranges = RANGES | {"stage": (0, stages - 1)}
    for name in ranges.keys() & set(table.column_names):
        if not _within(table[name], *ranges[name]):
            return f"{name}: has values that are not finite, or out of range"
    if "observable" in table.column_names and len(table):
        called = table["observable"].combine_chunks().dictionary
        if called.null_count or not all(len(c) <= LARGEST_NAME for c in called.to_pylist()):
            return f"observable: has names of more than {LARGEST_NAME} characters"
    return ""


def _within(column: pa.ChunkedArray, low: float, high: float) -> bool:
    """Return whether all values that there are lie in a range; NaN does not."""
    if column.null_count == len(column):
        return True
    if pa.types.is_floating(column.type) and pc.any(pc.is_nan(column)).as_py():
        return False
    found = pc.min_max(column).as_py()
    return bool(low <= found["min"] and found["max"] <= high)


def _members(archive: zipfile.ZipFile, size: int) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    """Return the name and entry of every array; raise ValueError where they are not our own."""
    entries = archive.infolist()
    if any(e.compress_type != zipfile.ZIP_STORED for e in entries):
        raise ValueError("compressed; numpy.savez writes arrays as they are")
    if sum(e.file_size for e in entries) > size:
        raise ValueError("declares more than the file has")
    if len({e.filename for e in entries}) < len(entries):
        raise ValueError("two of one name")
    return ((e.filename.removesuffix(".npy"), e) for e in entries)


def _array(opened: IO[bytes], size: int) -> NDArray[Any]:
    """Read one array whose header declares just what follows it."""
    version = np.lib.format.read_magic(opened)
    if version not in {(1, 0), (2, 0)}:
        raise ValueError(f"version {version} of numpy's format")
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    try:
        shape, fortran, dtype = read(opened)
    except Exception as error:  # numpy's reader of headers lets its tokenizer's errors through
        raise ValueError(f"a header that cannot be read: {brief(error)}") from None
    if dtype.hasobject or dtype.kind not in "biuf" or dtype.shape:
        raise ValueError(f"an array of {dtype}; arrays of numbers are allowed")
    count = math.prod(shape)
    if min(shape, default=0) < 0 or opened.tell() + count * dtype.itemsize != size:
        raise ValueError(f"declares an array of shape {shape}, and has another size")
    data = opened.read(count * dtype.itemsize)
    flat = np.frombuffer(bytearray(data), dtype, count)
    return flat.reshape(shape, order="F" if fortran else "C")
