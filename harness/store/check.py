"""Checks of a cell's folder: its facts must match its key, and its files must match the facts.

A results folder may come from a stranger. Nothing in it is run, nothing outside it is opened, and
sizes are checked before anything is read.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import zipfile
from io import BufferedReader
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.errors import printable
from harness.records.cell import CellFacts, ObservableName, Short, SpecFacts, Title, Whole
from harness.store.files import LONGEST, shortened
from harness.suites.cells import FORMAT, OBSERVABLES, digest

TABLES = ("curves.parquet", "arrays.npz")
_READ = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a pipe in place of a file would never open
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
PART = 2**16
"""Number of bytes that are hashed at once; most files of a cell are smaller."""

LARGEST_TEXT = 16 * 2**20
"""Largest number of bytes of a JSON file."""

LARGEST_ARRAYS = 16 * 2**30
"""Largest number of bytes of one cell's arrays in memory."""

DEPTH = 32
"""Largest depth of nested objects and lists in a JSON file."""

IDENTITY = ("format", "data", "architecture", "regime", "dts", "solver")


Model = TypeVar("Model", bound=BaseModel)


class UnusableError(Exception):
    """Reason why a file or folder is refused; one printable line that begins with its path."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class Manifest(BaseModel):
    """The cells of an experiment of a suite, or the reason why it has none.

    Attributes:
        format: format of the folder.
        suite: name of the suite.
        position: position of the experiment in the suite.
        experiment: name of the experiment.
        task, data_seed: requested task and data seed.
        cells: keys of the cells.
        failure, traceback: reason why there are none, with the last lines that were printed; empty
            otherwise.
        scored: observables of one's own that are scored; not written where there are none.
        formerly: earlier names of the experiment; not written where there are none.
    """

    model_config = ConfigDict(strict=True, allow_inf_nan=False, frozen=True)

    format: Whole
    suite: Title
    position: Whole
    experiment: Title
    task: SpecFacts
    data_seed: Whole
    cells: Annotated[list[Short], Field(max_length=10**6)]
    failure: str
    traceback: str
    scored: Annotated[list[ObservableName], Field(max_length=1000)] = []
    formerly: Annotated[list[Title], Field(max_length=10**4)] = []


def open_plain(path: Path, largest: int = LARGEST_ARRAYS) -> BufferedReader:
    """Open a plain file (no link, no pipe) of at most so many bytes.

    Raises:
        UnusableError: if it is no plain file, or larger.
    """
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise UnusableError(f"{path}: not a regular file")
        opened = os.fdopen(os.open(path, _READ), "rb")
    except OSError as error:
        raise UnusableError(f"{path}: {brief(error)}") from None
    size = os.fstat(opened.fileno()).st_size
    if size > largest:
        opened.close()
        raise UnusableError(f"{path}: {size:,} bytes; at most {largest:,}")
    return opened


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits.

    Raises:
        UnusableError: if it is no plain file.
    """
    with open_plain(path) as opened:
        return hashed(opened)


def hashed(opened: BufferedReader) -> str:
    """Return the SHA-256 of the rest of an open file, in hexadecimal digits."""
    found = hashlib.sha256()
    while part := opened.read(PART):
        found.update(part)
    return found.hexdigest()


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object from a plain file of bounded size.

    Raises:
        UnusableError: if it is none.
    """
    try:
        with open_plain(path, LARGEST_TEXT) as opened:
            content = opened.read()
    except OSError as error:
        raise UnusableError(f"{path}: not JSON, or cut short ({brief(error)})") from None
    return parse_object(str(path), content)


def parse_object(place: str, content: bytes) -> dict[str, Any]:
    """Return a JSON object from its text.

    Args:
        place: its place, with which errors begin.
        content: the text, of bounded size.

    Raises:
        UnusableError: if it is none, or nested too deeply.
    """
    try:
        facts = json.loads(content)
        if b"\\u" in content:  # surrogates, which cannot be written in UTF-8
            json.dumps(facts, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise UnusableError(f"{place}: not JSON, or cut short ({brief(error)})") from None
    if not isinstance(facts, dict):
        raise UnusableError(f"{place}: not a JSON object")
    # most files have fewer objects and lists than the allowed depth
    if content.count(b"{") + content.count(b"[") > DEPTH and _deeper(facts, DEPTH):
        raise UnusableError(f"{place}: nested too deeply; at most {DEPTH} objects or lists")
    return facts


def read_manifest(path: Path) -> Manifest:
    """Return the manifest of an experiment from its file.

    Raises:
        UnusableError: if it is no manifest, or not of this version.
    """
    found = _check(path, read_object(path), Manifest)
    if path.stem != slug(found.suite, found.experiment):
        raise UnusableError(f"{path}: is of another experiment than its name says")
    return found


def slug(*names: str, most: int = LONGEST) -> str:
    """Return a safe, unique file name, or part of one, for names; the last stays readable.

    It has at most 249 bytes, and at most `most`.
    """
    readable = "".join(c if c.isalnum() or c in "-_." else "-" for c in names[-1])[:60].strip(".-")
    digest = hashlib.sha256(json.dumps(names).encode()).hexdigest()[:8]
    return f"{shortened(readable, most - len(digest) - 1)}-{digest}"


def _check(path: Path | str, facts: dict[str, Any], model: type[Model]) -> Model:
    """Return facts as a model; raise UnusableError unless they are of this version's format."""
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
        return model.model_validate(facts)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UnusableError(f"{path}: {where}: {first['msg']}") from None


def read_cell(folder: Path) -> CellFacts:
    """Return the facts of a cell's folder after checking that its files are unchanged.

    Raises:
        UnusableError: if the folder is invalid; the message begins with the path at fault.
    """
    if not _is_folder(folder):
        raise UnusableError(f"{folder}: not a folder of a cell")
    path = folder / "cell.json"
    found = check_facts(str(path), folder.name, read_object(path))
    if found.status == "done":
        for name in TABLES:
            _whole(folder / name, found.sha256.get(name))
    return found


def check_facts(place: str, named: str, facts: dict[str, Any]) -> CellFacts:
    """Return the facts of a cell after checking that its key is theirs.

    Args:
        place: their place, with which errors begin.
        named: key by which the cell is stored.
        facts: facts as plain JSON.

    Raises:
        UnusableError: if they are invalid, of another version, or of another key.
    """
    found = _check(place, facts, CellFacts)
    try:
        observed = {OBSERVABLES: facts[OBSERVABLES]} if facts.get(OBSERVABLES) else {}
        key = digest({**{name: facts[name] for name in IDENTITY}, **observed})
    except (ValueError, RecursionError) as error:
        raise UnusableError(f"{place}: {brief(error)}") from None
    if facts.get("key") != key or named != key:
        raise UnusableError(f"{place}: describes cell {key} but is stored as {named}")
    return found


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _deeper(value: Any, limit: int) -> bool:
    """Return whether objects and lists are nested more deeply than a limit."""
    level = [value]
    for _ in range(limit):
        level = [
            inner
            for each in level
            if isinstance(each, (dict, list))
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return any(isinstance(each, (dict, list)) for each in level)


def _whole(path: Path, expected: str | None) -> None:
    """Raise UnusableError if a table has changed since it was written.

    Tables older than checksums must begin and end as their formats require.
    """
    try:
        with open_plain(path) as opened:
            if expected is not None:
                whole = hashed(opened) == expected
            elif path.suffix == ".npz":
                whole = zipfile.is_zipfile(opened)
            else:
                whole = _ends(opened) == (b"PAR1", b"PAR1")
    except OSError as error:
        raise UnusableError(f"{path}: {brief(error)}") from None
    if not whole:
        raise UnusableError(f"{path}: cut short or changed since it was written")


def _ends(opened: BufferedReader) -> tuple[bytes, bytes]:
    begins = opened.read(4)
    opened.seek(-4, os.SEEK_END)
    return begins, opened.read(4)


def brief(error: BaseException) -> str:
    """Return an error's message on one line of bounded length."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:200]
