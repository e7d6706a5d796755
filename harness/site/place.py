"""The folder of a site: new, empty, or marked by an earlier one, of which no other file is touched.

The mark lists the files of the site. A file is replaced or removed only if it is on that list.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.errors import StoreError
from harness.store.check import UnusableError, read_object
from harness.store.files import ASIDE, cause, not_a_file, write_file
from harness.store.mark import check_outside

MARK = "limitbench-site.json"

FOLDERS = ("theory", "experiment", "figures", "data")
"""Folders of a site."""

FORMAT = 1
"""Format of the mark."""

_WHAT = "site"
_REMEDY = "choose another folder with -o, new or empty"
_FILE = re.compile(rf"(?:(?:{'|'.join(FOLDERS)})/)?[^/\\\0]+\.(?:html|csv|json|svg|png)|\.nojekyll")


def check_place(root: Path) -> set[str]:
    """Return the files of the site in a folder, empty if it is new or empty.

    Raises:
        StoreError: if it holds anything else, or lies in a results folder.
    """
    check_outside(root, _REMEDY)
    if os.path.lexists(root / MARK):
        return _listed(root / MARK)
    if not os.path.lexists(root):
        return set()
    try:
        found = sorted(path.name for path in root.iterdir() if not ASIDE.fullmatch(path.name))
    except OSError as error:
        raise StoreError(f"{root}: cannot be written ({cause(error)}); {_REMEDY}") from error
    if found:
        raise StoreError(
            f"{root}: cannot be written (it holds {found[0]!r}, and no {MARK} that marks a site);"
            f" {_REMEDY}"
        )
    return set()


def write_files(root: Path, files: Mapping[str, bytes]) -> None:
    """Write a site, each file whole or not at all, and remove those of an earlier one.

    Args:
        root: the folder.
        files: contents by path below the folder.

    Raises:
        StoreError: if the folder holds anything but a site, or cannot be written.
    """
    old = check_place(root)
    for folder in (root / name for name in FOLDERS):
        if folder.is_symlink():
            raise StoreError(f"{folder}: is a link, which is not followed; {_REMEDY}")
    for name in files:
        if name not in old and os.path.lexists(root / name):
            raise StoreError(
                f"{root / name}: is no file of the site, so not overwritten; {_REMEDY}"
            )
    _make_folder(root, root)
    _mark(root, old | files.keys())  # first: a site that is cut short can be written again
    for name in FOLDERS:
        _make_folder(root, root / name)
    for name, content in files.items():
        write_file(root / name, lambda opened, text=content: opened.write(text), _REMEDY)  # type: ignore[misc]
    for name in sorted(old - files.keys()):
        path = root / name
        parent = root if path.parent == root else path.parent
        if not (parent != root and parent.is_symlink()) and not not_a_file(path):
            path.unlink(missing_ok=True)
    _mark(root, files)


def _make_folder(root: Path, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{root}: cannot be written ({cause(error)}); {_REMEDY}") from error


def _listed(mark: Path) -> set[str]:
    """Return the files that a mark lists."""
    try:
        facts = read_object(mark)
    except UnusableError as error:
        raise StoreError(f"{error}; it marks no site: {_REMEDY}") from None
    layout, files = facts.get("format"), facts.get("files")
    if facts.get("limitbench") != _WHAT or type(layout) is not int or not isinstance(files, list):
        raise StoreError(f"{mark}: does not mark a site; {_REMEDY}")
    if layout > FORMAT:
        raise StoreError(
            f"{mark}: sites of format {layout} are of a newer limitbench (this one knows format"
            f" {FORMAT}); install that version, or {_REMEDY}"
        )
    return {name for name in files if isinstance(name, str) and _FILE.fullmatch(name)}


def _mark(root: Path, files: Iterable[str]) -> None:
    facts = {"limitbench": _WHAT, "format": FORMAT, "files": sorted(files)}
    text = f"{json.dumps(facts, indent=1)}\n".encode()
    write_file(root / MARK, lambda opened: opened.write(text), _REMEDY)
