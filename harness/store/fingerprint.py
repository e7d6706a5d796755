"""Hash of a results folder's content, to tell whether files derived from it are current."""

from __future__ import annotations

import hashlib
from pathlib import Path

from harness.store.cells import Store
from harness.store.check import LARGEST_TEXT, TABLES, UnusableError, hashed, open_plain


def fingerprint(store: Store) -> str:
    """Return a hash of all cells and manifests of a folder, in hexadecimal digits.

    The small files are read; they hold checksums of the tables, of which only the size is checked.
    Times are ignored, so that a copy of a folder has the hash of the original.

    Raises:
        StoreError: if this is no results folder.
    """
    found = hashlib.sha256()
    for folder in store.folders():
        sizes = [_size(folder / name) for name in TABLES]
        found.update(f"{folder.name} {_digest(folder / 'cell.json')} {sizes}\n".encode())
    for path in sorted(store.folder("experiments").glob("*.json")):
        found.update(f"{path.name} {_digest(path)}\n".encode())
    return found.hexdigest()


def _digest(path: Path) -> str:
    try:
        with open_plain(path, LARGEST_TEXT) as opened:
            return hashed(opened)
    except (UnusableError, OSError):
        return "unusable"


def _size(path: Path) -> int | None:
    try:
        return path.lstat().st_size
    except OSError:
        return None
