"""What makes a cell's folder a result: facts that fit its key, and files that fit the facts.

A results folder may come from a stranger. Nothing in it is run, nothing outside it is opened, and
sizes are bounded before anything is read.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import zipfile
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.suites.cells import FORMAT, digest

TABLES = ("curves.parquet", "arrays.npz")
LARGEST_TEXT = 16 * 2**20
"""Bytes of a JSON file beyond which it is not read."""

LARGEST_ARRAYS = 16 * 2**30
"""Bytes that the arrays of one cell may take in memory."""

IDENTITY = ("format", "task", "data_seed", "architecture", "regime", "dts", "solver")


class UnusableError(Exception):
    """Why a file or folder is not taken; the message begins with its path."""


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class _Spec(_Strict):
    name: str
    version: str
    parameters: dict[str, Any]


class _Solver(_Strict):
    name: str
    width: int | None
    seed: int | None
    dtype: str | None
    theory: _Spec | None


class _Facts(_Strict):
    """Types of what readers use in ``cell.json``; there may be more."""

    experiment: str
    task: _Spec
    data_seed: int
    architecture: _Spec
    regime: _Spec
    dts: list[float]
    solver: _Solver
    status: Literal["done", "failed", "not-applicable"]
    message: str = ""
    phase: str = ""
    traceback: str = ""
    log: str = ""
    started: str = ""
    seconds: float = 0.0
    notes: dict[str, float | int | str] = {}
    environment: dict[str, Any] = {}
    sha256: dict[str, str] = {}


class _Manifest(_Strict):
    """Types of what an experiment's manifest says."""

    suite: str
    position: int
    experiment: str
    cells: list[str]
    failure: str
    traceback: str


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object from a regular file of bounded size.

    Raises:
        UnusableError: if it is none.
    """
    _regular(path, LARGEST_TEXT)
    try:
        facts = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UnusableError(f"{path}: not JSON, or cut short ({_brief(error)})") from None
    if not isinstance(facts, dict):
        raise UnusableError(f"{path}: not a JSON object")
    return facts


def read_manifest(path: Path) -> dict[str, Any]:
    """Return what an experiment's manifest says.

    Raises:
        UnusableError: if it is none, or not of this version.
    """
    facts = read_object(path)
    _check(path, facts, _Manifest)
    return facts


def _check(path: Path, facts: dict[str, Any], model: type[BaseModel]) -> None:
    """Raise UnusableError unless facts are of this version's format, and of a model's types."""
    found = facts.get("format")
    if type(found) is not int:
        raise UnusableError(f"{path}: has no format number; not written by limitbench")
    if found != FORMAT:
        age, remedy = (
            ("a newer", "install that version to read it")
            if found > FORMAT
            else ("an older", "run its suite again; `limitbench results prune` removes it")
        )
        raise UnusableError(
            f"{path}: format {found} is of {age} limitbench (this one reads format {FORMAT});"
            f" {remedy}"
        )
    try:
        model.model_validate(facts)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UnusableError(f"{path}: {where}: {first['msg']}") from None


def read_cell(folder: Path) -> dict[str, Any]:
    """Return the facts of a cell's folder whose files are what was written.

    Raises:
        UnusableError: if it is no such folder; the message begins with the path at fault.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise UnusableError(f"{folder}: not a folder of a cell")
    path = folder / "cell.json"
    facts = read_object(path)
    _check(path, facts, _Facts)
    try:
        key = digest({name: facts[name] for name in IDENTITY})
    except (ValueError, RecursionError) as error:
        raise UnusableError(f"{path}: {_brief(error)}") from None
    if facts.get("key") != key or folder.name != key:
        raise UnusableError(f"{path}: says what cell {key} is, and lies in {folder.name}")
    if facts["status"] == "done":
        for name in TABLES:
            _whole(folder / name, facts.get("sha256", {}).get(name))
    return facts


def bounded_arrays(path: Path) -> None:
    """Raise UnusableError where arrays would take more memory than any cell's do."""
    try:
        with zipfile.ZipFile(path) as found:
            size = sum(member.file_size for member in found.infolist())
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UnusableError(f"{path}: not arrays ({_brief(error)})") from None
    if size > LARGEST_ARRAYS:
        raise UnusableError(f"{path}: {size:,} bytes of arrays; at most {LARGEST_ARRAYS:,}")


def _regular(path: Path, largest: int) -> None:
    """Raise UnusableError unless a path is a plain file (no link, no pipe), not too large."""
    try:
        found = path.lstat()
    except OSError as error:
        raise UnusableError(f"{path}: {_brief(error)}") from None
    if not stat.S_ISREG(found.st_mode):
        raise UnusableError(f"{path}: not a regular file")
    if found.st_size > largest:
        raise UnusableError(f"{path}: {found.st_size:,} bytes; at most {largest:,}")


def _whole(path: Path, expected: str | None) -> None:
    """Raise UnusableError unless a table is what was written.

    Cells of before there were checksums must begin and end as their formats do.
    """
    _regular(path, LARGEST_ARRAYS)
    try:
        if expected is not None:
            whole = checksum(path) == expected
        elif path.suffix == ".npz":
            whole = zipfile.is_zipfile(path)
        else:
            whole = _ends(path) == (b"PAR1", b"PAR1")
    except OSError as error:
        raise UnusableError(f"{path}: {_brief(error)}") from None
    if not whole:
        raise UnusableError(f"{path}: cut short or changed since it was written")


def _ends(path: Path) -> tuple[bytes, bytes]:
    with path.open("rb") as opened:
        begins = opened.read(4)
        opened.seek(-4, os.SEEK_END)
        return begins, opened.read(4)


def _brief(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:200]
