"""Hash of a results folder's content, to tell whether files derived from it are current."""

from __future__ import annotations

import hashlib
from pathlib import Path

from harness.store.cells import Store
from harness.store.check import TABLES, UnusableError, checksum


def fingerprint(store: Store) -> str:
    """Return a hash of all cells and manifests of a folder, in hexadecimal digits.

    Every file is read, as a changed table makes its cell unusable. Times are ignored, so that a
    copy of a folder has the hash of the original.

    Raises:
        StoreError: if this is no results folder.
    """
    found = hashlib.sha256()
    for folder in store.folders():
        files = [_digest(folder / name) for name in ("cell.json", *TABLES)]
        found.update(f"{folder.name} {' '.join(files)}\n".encode())
    for path in sorted(store.folder("experiments").glob("*.json")):
        found.update(f"{path.name} {_digest(path)}\n".encode())
    return found.hexdigest()


def _digest(path: Path) -> str:
    try:
        return checksum(path)
    except (UnusableError, OSError):
        return "unusable"
