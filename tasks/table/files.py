"""Columns of numbers from .csv, .npz and .parquet files; no code in a file is ever run."""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.lib.format import MAGIC_PREFIX
from numpy.typing import NDArray

from harness import DataError, nearest

SHOWN = 20
"""Most columns in the list of an error."""

MOST_CLASSES = 100
"""Most classes of labels, each an output of the network."""

NUMERIC = "biuf"
"""Kinds of NumPy types that count as numbers: truth values, whole numbers and floats."""

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
"""Marks that stand between columns in files that are not comma-separated."""

COMMAS = "write commas between columns, and numbers with a decimal point"

INDEX = "__index_level_"
"""Prefix of pandas' names for row numbers in a .parquet file; in a .csv they have no name."""


@dataclass(frozen=True, eq=False)
class Columns:
    """Contents of a file.

    Attributes:
        file: its name, as given.
        word: word for one of its parts, "column" or "array".
        parts: arrays by name; text and other things as Python objects. Objects of a .npz, which
            are not read, are an empty array.
    """

    file: str
    word: str
    parts: Mapping[str, NDArray[Any]]

    def label(self, name: str) -> Float[np.ndarray, " P"]:
        """Return labels by name.

        Raises:
            DataError: if they are not there, or not one finite number a row.
        """
        found = self._numbers(name, "; for labels that name classes, set classes to true")
        self._refuse_what_is_not_a_label(name, found, "one number")
        return found

    def classes(self, name: str) -> Float[np.ndarray, "P k"]:
        """Return one-hot labels: a column for each of a part's values, which are in order.

        Raises:
            DataError: if they are not there, not one number or text a row, or too many for
                classes.
        """
        found = self._part(name)
        if found.dtype.kind in NUMERIC:
            found = found.astype(np.float64)
        else:
            empty = np.isin(found.astype(str), ("", "None", "NaT"))
            self._refuse_rows(name, np.flatnonzero(empty), len(found), "empty")
            found = found.astype(str)
        self._refuse_what_is_not_a_label(name, found, "one class")
        values, index = np.unique(found, return_inverse=True)
        if len(values) > MOST_CLASSES:
            raise DataError(
                f"{self._called(name)} holds {len(values)} different values; classes may have"
                f" {MOST_CLASSES}; set classes to false for labels that are numbers"
            )
        return np.eye(len(values))[index]

    def refuse_equal_labels(self, name: str) -> None:
        """Raise DataError if labels are the same in all rows."""
        numeric = self.parts[name].dtype.kind in NUMERIC
        found = self.parts[name].astype(np.float64 if numeric else str)
        if (found == found[0]).all():
            shown = f"{found[0]:g}" if numeric else repr(str(found[0]))
            raise DataError(
                f"{self._called(name)} holds {shown} in all {len(found)} rows; labels must differ"
            )

    def inputs(self, names: Sequence[str], rows: int) -> Float[np.ndarray, "P D"]:
        """Return inputs side by side, in the order of their names.

        Raises:
            DataError: if one is not there, not made of finite numbers, or not of so many rows.
        """
        side_by_side = []
        for name in names:
            found = self._numbers(name)
            if found.ndim not in (1, 2) or len(found) != rows or not found.size:
                raise DataError(
                    f"{self._called(name)} has shape {found.shape}; inputs beside {rows} labels"
                    f" need ({rows},) or ({rows}, D); list those that are inputs in 'inputs'"
                )
            self._refuse_what_is_not_finite(name, found)
            side_by_side.append(found.reshape(rows, int(np.prod(found.shape[1:]))))
        return np.concatenate(side_by_side, axis=1)

    def numeric(self, but: Sequence[str]) -> list[str]:
        """Return the names of all parts, in the file's order, except for some.

        Raises:
            DataError: if there is none of numbers, or one of anything else.
        """
        others = [name for name in self.parts if name not in but]
        found = [name for name in others if self.parts[name].dtype.kind in NUMERIC]
        if not found:
            raise DataError(
                f"file {self.file!r} has no {self.word} of numbers for inputs, beside the labels;"
                f" {self._known()}"
            )
        if strange := [name for name in others if name not in found]:
            inputs = f"name the inputs, for example inputs = [{', '.join(map(repr, found[:3]))}]"
            if any(map(_is_number, self.parts[strange[0]].ravel().tolist())):
                self._numbers(strange[0], f"; mend it, or {inputs}")
            raise DataError(f"{self._called(strange[0])} holds no numbers; {inputs}")
        return found

    def _part(self, name: str) -> NDArray[Any]:
        if name not in self.parts:
            raise DataError(
                f"file {self.file!r} has no {self.word} {name!r}{nearest(name, [*self.parts])};"
                f" {self._known()}"
            )
        found = self.parts[name]
        if not found.size and found.dtype.kind not in NUMERIC:
            raise DataError(
                f"{self._called(name)} holds Python objects, which are not read; save numbers"
            )
        return found

    def _numbers(self, name: str, remedy: str = "") -> NDArray[np.float64]:
        """Return a part as numbers; the error names the first row that is none, and a remedy."""
        found = self._part(name)
        if found.dtype.kind in NUMERIC:
            return found.astype(np.float64)
        rows = found.reshape(found.shape or (1,)).tolist()
        telling = (i for i, v in enumerate(rows) if v not in ("", None) and not _is_number(v))
        row = next(telling, 0)
        raise DataError(
            f"{self._called(name)} is not made of numbers: row {row + 1} holds"
            f" {_shown(rows[row])}{remedy}"
        )

    def _refuse_what_is_not_finite(self, name: str, found: NDArray[np.float64]) -> None:
        rows = np.unique(np.nonzero(~np.isfinite(found))[0])
        self._refuse_rows(name, rows, len(found), "empty or not finite")

    def _refuse_rows(self, name: str, rows: NDArray[Any], total: int, fault: str) -> None:
        if len(rows):
            raise DataError(
                f"{self._called(name)} is {fault} in {len(rows)} of {total} rows, first in row"
                f" {rows[0] + 1}; remove such rows, or fill them"
            )

    def _refuse_what_is_not_a_label(self, name: str, found: NDArray[Any], needed: str) -> None:
        if found.ndim != 1:
            raise DataError(
                f"{self._called(name)} has shape {found.shape}; labels need {needed} a row, shape"
                " (P,)"
            )
        if found.dtype.kind in NUMERIC:
            self._refuse_what_is_not_finite(name, found)

    def _called(self, name: str) -> str:
        return f"file {self.file!r}: {self.word} {name!r}"

    def _known(self) -> str:
        names = [repr(name) for name in self.parts]
        more = f" (and {len(names) - SHOWN} more)" if len(names) > SHOWN else ""
        known = f"{self.word}s are {', '.join(names[:SHOWN]) or 'none'}{more}"
        separators = (mark for mark in SEPARATORS if mark in "".join(self.parts))
        if len(self.parts) > 1 or (mark := next(separators, "")) == "":
            return known
        return f"{known}: {SEPARATORS[mark]} seem to separate them; {COMMAS}"


def read(file: str) -> Columns:
    """Read a file.

    Args:
        file: its path, relative to the working directory; "~" is the user's folder.

    Raises:
        DataError: if it is missing, no plain file, or not of the kind that its name indicates.
    """
    path = os.path.expanduser(file)
    if os.path.isdir(path):
        raise DataError(f"file {file!r} is a folder; name a file in it")
    if not os.path.isfile(path):
        if os.path.lexists(path):
            raise DataError(f"file {file!r} is not a plain file")
        near = nearest(os.path.basename(path), _beside(path))
        start = "" if os.path.isabs(path) else f" from {os.getcwd()}, where limitbench runs"
        raise DataError(f"file {file!r} is not there{start}{near}")
    word, reader = READERS[suffix(file)]
    with _reading(file):
        return Columns(file, word, reader(path))


def suffix(file: str) -> str:
    """Return the suffix of a file's name, in lower case and with the dot."""
    return os.path.splitext(file)[1].lower()


_LENGTHS = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")


def _csv(path: str) -> dict[str, NDArray[Any]]:
    import pyarrow.csv as pa_csv

    with open(path, "rb") as file:
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise DataError("it is UTF-16 text; save it as UTF-8")
    options = {
        "read_options": pa_csv.ReadOptions(use_threads=False),  # rows in errors have a number then
        "parse_options": pa_csv.ParseOptions(newlines_in_values=True),
    }
    try:
        return _of_arrow(pa_csv.read_csv(path, **options))
    except UnicodeDecodeError:
        raise DataError("it is no UTF-8 text; save it as UTF-8") from None
    except ValueError as error:
        if (found := _LENGTHS.search(str(error))) is None:
            raise
        line, first, own = found.groups()
        raise DataError(
            f"line {line} has {own} columns, the first line {first}; mend it: {COMMAS}"
        ) from None


def _parquet(path: str) -> dict[str, NDArray[Any]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as opened:
        return _of_arrow(opened.read(use_threads=False))


def _npz(path: str) -> dict[str, NDArray[Any]]:
    parts: dict[str, NDArray[Any]] = {}
    with open(path, "rb") as file:
        if not zipfile.is_zipfile(file):
            file.seek(0)
            lone = file.read(len(MAGIC_PREFIX)) == MAGIC_PREFIX
            raise DataError(
                f"it {'holds one array without a name' if lone else 'is no .npz archive'}; write it"
                " with numpy.savez"
            )
        file.seek(0)
        opened = np.load(file, allow_pickle=False)
        for name in opened.files:
            try:
                found = opened[name]
            except ValueError as error:
                if "allow_pickle" not in str(error):
                    raise
                found = np.empty(0, dtype=object)
            if isinstance(found, np.ndarray):
                parts[name] = found
    return parts


READERS: Mapping[str, tuple[str, Callable[[str], dict[str, NDArray[Any]]]]] = {
    ".csv": ("column", _csv),
    ".npz": ("array", _npz),
    ".parquet": ("column", _parquet),
}
"""Readers of files, and the words for their parts, by suffix."""


def _of_arrow(table: Any) -> dict[str, NDArray[Any]]:
    """Return the named columns: numbers as floats, with NaN for missing ones; others as objects."""
    import pyarrow as pa

    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
    parts: dict[str, NDArray[Any]] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if not name or name.startswith(INDEX):
            continue
        if name in parts:
            raise DataError(f"two columns are called {name!r}; give each a name of its own")
        values = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
        if any(is_kind(values.type) for is_kind in kinds):
            floats = values.cast(pa.float64(), safe=False)
            parts[name] = floats.to_numpy(zero_copy_only=False)
        else:
            parts[name] = np.fromiter(values.to_pylist(), dtype=object, count=len(values))
    return parts


@contextlib.contextmanager
def _reading(file: str) -> Iterator[None]:
    """Turn any error of file readers into one line."""
    try:
        yield
    except DataError as error:
        raise DataError(f"file {file!r} cannot be read as {suffix(file)}: {error}") from None
    except Exception as error:
        reason = " ".join(str(error).split())[:200].rstrip(" .") or "no reason given"
        raise DataError(
            f"file {file!r} cannot be read as {suffix(file)}: {type(error).__name__}: {reason}"
        ) from error


def _beside(path: str) -> list[str]:
    """Return the names of files of known kinds in the folder of a missing file."""
    with contextlib.suppress(OSError):
        return [n for n in os.listdir(os.path.dirname(path) or ".") if suffix(n) in READERS]
    return []


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
