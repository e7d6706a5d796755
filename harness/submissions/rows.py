"""Cells as rows of a submission: checked like the files of a cell's folder, and hashed."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from harness.records.cell import CellFacts
from harness.store.check import UnusableError, check_facts, parse_object
from harness.store.tables import CURVES, curves_fault

ARRAY = pa.struct(
    [
        ("name", pa.string()),
        ("dtype", pa.string()),
        ("shape", pa.list_(pa.field("element", pa.int64()))),
        ("values", pa.list_(pa.field("element", pa.float64()))),
    ]
)

SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("facts", pa.string()),
        *((f.name, pa.list_(pa.field("element", f.type))) for f in CURVES),
        ("arrays", pa.list_(pa.field("element", ARRAY))),
    ]
)
"""Columns of a submission: a row is a cell, with its facts as JSON, its curves and its arrays."""

DTYPES = frozenset(
    ["bool", "float16", "float32", "float64"]
    + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
)
"""Types of arrays; their values are stored in double precision, which must hold them exactly."""

LARGEST_FACTS = 2**20
"""Largest number of characters of a cell's facts."""

LARGEST_NAME = 250
"""Largest number of characters of the name of an array."""

DIMENSIONS = 8
"""Largest number of axes of an array."""


@dataclass(frozen=True, eq=False)
class Row:
    """A cell of a submission.

    Attributes:
        key: key of the cell.
        text: its facts as JSON, without the checksums of its files.
        facts: its facts, checked.
        curves: its curves, with names as text; no rows where there is no result.
        arrays: its arrays by name.
    """

    key: str
    text: str
    facts: CellFacts
    curves: pa.Table
    arrays: dict[str, NDArray[Any]]

    @property
    def nbytes(self) -> int:
        """Number of bytes that it takes in memory, roughly."""
        values = sum(a.nbytes for a in self.arrays.values())
        return int(self.curves.nbytes) + len(self.text) + values


def checked_row(
    place: str, key: str, text: str, curves: pa.Table, arrays: dict[str, NDArray[Any]]
) -> Row:
    """Return a cell after the checks that the files of a cell's folder pass.

    Args:
        place: the file's path, with which errors begin.
        key: key of the cell.
        text: its facts as JSON.
        curves: its curves.
        arrays: its arrays by name.

    Raises:
        UnusableError: if anything is invalid.
    """
    where = f"{place}: cell {key[:40]}"
    if len(text) > LARGEST_FACTS:
        raise UnusableError(f"{where}: facts of {len(text):,} characters; at most {LARGEST_FACTS}")
    facts = check_facts(where, key, parse_object(where, text.encode(errors="replace")))
    if facts.sha256:
        raise UnusableError(f"{where}: has checksums of files, which it lacks")
    if facts.status != "done" and (len(curves) or arrays):
        raise UnusableError(f"{where}: has values, and the status {facts.status}")
    encoded = curves.set_column(1, "observable", curves["observable"].dictionary_encode())
    if fault := curves_fault(encoded.combine_chunks(), len(facts.dts)):
        raise UnusableError(f"{where}: {fault}")
    for name in arrays:
        if not _is_name(name):
            raise UnusableError(
                f"{where}: an array named {name[:40]!r}; not a name of limitbench's"
            )
    return Row(key, text, facts, curves, arrays)


def packed_arrays(place: str, arrays: dict[str, NDArray[Any]]) -> list[dict[str, Any]]:
    """Return arrays as structs of `ARRAY`.

    Raises:
        UnusableError: if double precision does not hold them exactly.
    """
    found = []
    for name, array in arrays.items():
        values = np.ascontiguousarray(array).ravel().astype(np.float64)
        if str(array.dtype) not in DTYPES or not _exact(values, array.ravel()):
            raise UnusableError(f"{place}: {name}: {array.dtype} is not held by double precision")
        found.append(
            {
                "name": name,
                "dtype": str(array.dtype),
                "shape": list(array.shape),
                "values": values,
            }
        )
    return found


def unpacked_arrays(place: str, structs: pa.StructArray) -> dict[str, NDArray[Any]]:
    """Return arrays by name from structs of `ARRAY`.

    Raises:
        UnusableError: if one is invalid, or has a name twice.
    """
    found: dict[str, NDArray[Any]] = {}
    names, dtypes = structs.field("name").to_pylist(), structs.field("dtype").to_pylist()
    shapes = structs.field("shape").to_pylist()
    for k, (name, dtype, shape) in enumerate(zip(names, dtypes, shapes, strict=True)):
        scalar = structs.field("values")[k].values
        sizes = shape or []
        if name is None or name in found or dtype not in DTYPES or shape is None or scalar is None:
            raise UnusableError(f"{place}: an array without name, type or values, or twice")
        if len(sizes) > DIMENSIONS or any(n is None or not 0 <= n < 2**31 for n in sizes):
            raise UnusableError(f"{place}: an array of an odd shape")
        if math.prod(sizes) != len(scalar) or scalar.null_count:
            raise UnusableError(f"{place}: {name[:40]}: values do not fill its shape")
        values = scalar.to_numpy()
        if not np.isfinite(values).all():
            raise UnusableError(f"{place}: {name[:40]}: has values that are not finite")
        with np.errstate(all="ignore"):
            typed = values.astype(dtype)
        if not _exact(values, typed):
            raise UnusableError(f"{place}: {name[:40]}: has values that are not of type {dtype}")
        found[name] = typed.reshape(sizes)
    return found


def add_to(digest: Any, row: Row) -> None:
    """Add all that a row says to a hash, whatever the encoding of its file."""
    curves = row.curves
    parts = [row.key.encode(), row.text.encode()]
    parts.append(json.dumps(curves["observable"].to_pylist()).encode())
    for name, dtype in (("stage", "<i8"), ("step", "<i8"), ("index", "<i8")):
        column = curves[name].fill_null(-1) if name == "index" else curves[name]
        parts.append(column.to_numpy().astype(dtype).tobytes())
    for name in ("time", "value", "stderr"):
        # a value that is not known is NaN here; files hold finite ones only
        parts.append(curves[name].to_numpy().astype("<f8").tobytes())
    for name, values in row.arrays.items():
        parts.append(f"{name} {values.dtype} {list(values.shape)}".encode())
        parts.append(values.astype("<f8").tobytes())
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)


def new_digest() -> Any:
    """Return an empty hash for `add_to`."""
    return hashlib.sha256()


def _is_name(name: str) -> bool:
    """Return whether a name of an array leads nowhere, as a path would."""
    plain = name.isprintable() and "\\" not in name and len(name) <= LARGEST_NAME
    return plain and all(part.strip(".") for part in name.split("/"))


def _exact(values: NDArray[Any], typed: NDArray[Any]) -> bool:
    with np.errstate(all="ignore"):
        return bool((values == typed.astype(np.float64)).all()) and bool(
            (values.astype(typed.dtype) == typed).all()
        )
