"""Files beside a user's plugin that its source names, such as data that a regime reads."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

DEPTH = 4
"""Folders below a plugin's folder in which files are looked for, itself included."""

MOST = 10_000
"""Most files that are looked at."""

_NAME = re.compile(r"[\w\-. ]*\.\w{1,12}")
"""The end of a text that may be a file's name, whole or from a dot of it on."""


def texts_of(tree: ast.AST) -> frozenset[str]:
    """Return the texts of a source that may end a file's name, without folders: "coef.json"."""
    constants = (n.value for n in ast.walk(tree) if isinstance(n, ast.Constant))
    names = (re.split(r"[/\\]", text)[-1] for text in constants if isinstance(text, str))
    return frozenset(name for name in names if _NAME.fullmatch(name))


def named_files(texts: Iterable[str], files: Iterable[Path]) -> set[Path]:
    """Return the files whose names end with one of these texts.

    A part of an f-string, such as ".json", so stands for all files of that ending.
    """
    endings = tuple(texts)
    return {path for path in files if path.name.endswith(endings)}


def files_below(folder: Path, marks: frozenset[str]) -> Iterator[Path]:
    """Yield the files in and below a folder.

    Hidden folders are left out, and those that hold a file of limitbench's own marks: results
    change all the time.
    """
    left = MOST
    for place, folders, files in os.walk(folder):
        here = Path(place)
        if not marks.isdisjoint(files) or left <= 0:
            folders.clear()
            continue
        deep = len(here.relative_to(folder).parts) + 1 >= DEPTH
        skipped = ("__pycache__", "node_modules")
        folders[:] = (
            [] if deep else [n for n in sorted(folders) if n[0] != "." and n not in skipped]
        )
        kept = sorted(files)[:left]
        left -= len(kept)
        yield from (path for path in map(here.joinpath, kept) if path.is_file())
