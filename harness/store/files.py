"""Files as limitbench writes them: whole or not at all, and never through a link.

Files are first written in the same folder under a name that nothing else has; only such names are
ever swept away.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import IO

from harness.errors import StoreError

ASIDE = re.compile(r"\.limitbench-[0-9a-f]{16}\.tmp")
"""Names of temporary files, present while they are written or after a writer was killed."""

CELL_FILES = ("cell.json", "curves.parquet", "arrays.npz")
"""Names of all files that limitbench writes into the folder of a cell."""

LONGEST = 255
"""Largest number of bytes of a file's name."""

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)


def shortened(name: str, most: int) -> str:
    """Return the start of a name that has at most so many bytes, whole letters alone."""
    return name.encode()[:most].decode(errors="ignore")


def aside_in(folder: Path) -> Path:
    """Return a temporary path in a folder, for files that are renamed once written."""
    return folder / f".limitbench-{secrets.token_hex(8)}.tmp"


def write_file(target: Path, write: Callable[[IO[bytes]], object], remedy: str) -> None:
    """Write a file whole or not at all, replacing an older one.

    Args:
        target: path of the file, in an existing folder.
        write: writes the content to an open file.
        remedy: advice for the user if it cannot be written.

    Raises:
        StoreError: if it cannot be written; no temporary file is left, and an older file stays.
    """
    if reason := not_a_file(target):
        raise StoreError(f"{target}: cannot be written ({reason}); {remedy}")
    aside = aside_in(target.parent)
    try:
        with os.fdopen(os.open(aside, _NEW, 0o666), "wb") as opened:
            write(opened)
        os.replace(aside, target)
    except OSError as error:
        raise StoreError(f"{target}: cannot be written ({cause(error)}); {remedy}") from error
    finally:
        with contextlib.suppress(OSError):  # missing: renamed, or never begun
            aside.unlink()


def write_text(target: Path, text: str, remedy: str) -> None:
    """Write text as `write_file` does, in UTF-8; surrogates become question marks."""
    content = text.encode("utf-8", errors="replace")
    write_file(target, lambda opened: opened.write(content), remedy)


def not_a_file(path: Path) -> str:
    """Return the kind of a path that no file may replace; empty for a file or a free path."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return ""
    if stat.S_ISLNK(mode):
        return "a link, which is not followed"
    return "" if stat.S_ISREG(mode) else "not a regular file"


def cause(error: OSError) -> str:
    """Return the system's words for an error, which pyarrow wraps in its own."""
    return os.strerror(error.errno) if error.errno else " ".join(str(error).split())


def strangers(folder: Path) -> list[str]:
    """Return the names of foreign files in the folder of a cell.

    Raises:
        OSError: if the path is no folder, or cannot be read.
    """
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.name not in CELL_FILES or not stat.S_ISREG(path.lstat().st_mode)
    )


def leftover(path: Path) -> bool:
    """Return whether a path is a leftover of a killed writer, and holds nothing else."""
    if not ASIDE.fullmatch(path.name) or path.is_symlink():
        return False
    if not path.is_dir():
        return path.is_file()
    moved = path / "cell"  # a cell that was making way for another
    parts = [path, moved] if moved.is_dir() and not moved.is_symlink() else [path]
    try:
        return not any(
            set(strangers(part)) - ({"cell"} if part is path else set()) for part in parts
        )
    except OSError:
        return False


def clear(folder: Path) -> None:
    """Remove limitbench's files of a cell from a folder, and the folder if it is then empty."""
    moved = folder / "cell"
    if moved.is_dir() and not moved.is_symlink():
        clear(moved)
    for name in CELL_FILES:
        if not not_a_file(folder / name):
            (folder / name).unlink(missing_ok=True)
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT}:
            raise


def replace_folder(aside: Path, target: Path) -> None:
    """Rename the folder of a cell into place of an older one, whose foreign files are kept.

    Raises:
        OSError: if it cannot be renamed.
    """
    try:
        aside.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        old = aside_in(target.parent)
        old.mkdir()
        for name in strangers(target):
            (target / name).rename(aside / name)
        target.rename(old / "cell")
        aside.rename(target)
        clear(old)
