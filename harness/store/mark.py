"""The mark of a results folder: nothing is written to, or removed from, a folder without it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from harness.errors import StoreError
from harness.store.check import UnusableError, read_object
from harness.store.files import ASIDE, cause, write_text

MARK = "limitbench.json"
FOLDERS = ("cells", "experiments", "steps")
"""Folders below a results folder; each is made by its first user."""

LAYOUT = 1
"""Format of the folder, that is, the places of its files. Cells have their own format."""

_WHAT = "results folder"
_REMEDY = "choose another folder with --results"


def marked(root: Path) -> bool:
    """Return whether a folder has the mark of a results folder.

    Raises:
        StoreError: if its mark cannot be read, or is of a newer limitbench.
    """
    path = root / MARK
    if not os.path.lexists(path):
        return False
    try:
        facts = read_object(path)
    except UnusableError as error:
        raise StoreError(f"{error}; it marks no results folder: give another one") from None
    layout = facts.get("format")
    if facts.get("limitbench") != _WHAT or type(layout) is not int:
        raise StoreError(f"{path}: does not mark a results folder; give another one")
    if layout > LAYOUT:
        raise StoreError(
            f"{path}: results folders of format {layout} are of a newer limitbench (this one knows"
            f" format {LAYOUT}); install that version, or give another folder"
        )
    return True


def check_place(root: Path) -> None:
    """Refuse a folder to which results may not be written: it must be new, empty or marked.

    Raises:
        StoreError: if it is anything else.
    """
    if marked(root) or not root.is_dir():
        return
    try:
        found = sorted(path.name for path in root.iterdir() if not _is_nothing(path))
    except OSError as error:
        raise StoreError(f"{root}: cannot be read ({cause(error)}); {_REMEDY}") from error
    if not found or marked(root):  # another run has marked it in the meantime
        return
    if "cells" in found:
        raise StoreError(
            f"{root}: cannot be written (it has cells but no {MARK}: not a results folder, or one"
            f" of an older limitbench, which this one cannot read); {_REMEDY}, new or empty"
        )
    raise StoreError(
        f"{root}: cannot be written (it holds {found[0]!r}, and no {MARK} that marks a results"
        f" folder); {_REMEDY}, new or empty"
    )


def claim(root: Path) -> None:
    """Make a results folder with its mark, or use an existing one.

    Raises:
        StoreError: if it holds anything else, or cannot be written.
    """
    check_place(root)
    for name in FOLDERS:
        plain_folder(root, name)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{root}: cannot be written ({cause(error)}); {_REMEDY}") from error
    if not os.path.lexists(root / MARK):
        facts = json.dumps({"limitbench": _WHAT, "format": LAYOUT}, indent=1)
        write_text(root / MARK, f"{facts}\n", _REMEDY)
    try:
        (root / "cells").mkdir(exist_ok=True)
    except OSError as error:
        raise StoreError(f"{root}: cannot be written ({cause(error)}); {_REMEDY}") from error


def check_outside(path: Path, remedy: str) -> None:
    """Refuse a place below a results folder for anything that is none of the folder's own files.

    Args:
        path: of a file or folder to write.
        remedy: advice for the user.

    Raises:
        StoreError: if it lies in a results folder.
    """
    for folder in path.resolve().parents:
        if os.path.lexists(folder / MARK):
            raise StoreError(
                f"{path}: cannot be written (it lies in the results folder {folder}, which holds"
                f" only limitbench's own files); {remedy}"
            )


def plain_folder(root: Path, name: str) -> Path:
    """Return a folder below a results folder.

    Raises:
        StoreError: if it is a link, which leads out of the results folder.
    """
    path = root / name
    if path.is_symlink():
        raise StoreError(
            f"{path}: is a link, and none in a results folder is followed; put the folder itself"
            " there, or make the results folder a link"
        )
    return path


def _is_nothing(path: Path) -> bool:
    """Return whether a path holds nothing to lose: an empty folder of ours, or a partial mark."""
    if path.is_symlink():
        return False
    if path.name in FOLDERS and path.is_dir():
        return next(path.iterdir(), None) is None
    return ASIDE.fullmatch(path.name) is not None and path.is_file()
