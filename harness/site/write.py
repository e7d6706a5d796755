"""A site from results folders and submissions, in a folder of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from harness.errors import StoreError
from harness.site.contents import read
from harness.site.pages import Site
from harness.site.place import check_place, write_files
from harness.submissions.pack import results_of

_ADDRESS = re.compile(r"https?://[^\s<>\"']+|(?:\.\.?/)*[\w.-]+(?:/[\w.-]+)*/?")


def write_site(
    inputs: Sequence[str | Path],
    output: str | Path,
    docs: str = "",
    processes: int | None = None,
) -> Path:
    """Write the site of the leaderboard, for any server or a disk: its pages ask no network.

    The same results give the same files, byte by byte. Files of an earlier site are replaced or
    removed, and no others.

    Args:
        inputs: results folders and submissions, scored together.
        output: folder of the site: new, empty, or of an earlier one.
        docs: address of the documentation, to which theories then link.
        processes: number of processes; if None, as many as save time.

    Returns:
        The path of the first page.

    Raises:
        StoreError: if an input holds no results, or the folder holds anything but a site or cannot
            be written.
    """
    root = Path(output)
    if docs and not _ADDRESS.fullmatch(docs):
        raise StoreError(
            f"docs {docs!r}: not the address of a folder; give one such as https://example.org/docs"
        )
    check_place(root)  # before any work
    with ExitStack() as stack:
        stores = [stack.enter_context(results_of(each)) for each in inputs]
        files = Site(read(stores), docs.rstrip("/")).files(processes)
    write_files(root, files)
    return root / "index.html"
