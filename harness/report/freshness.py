"""Test whether a report shows the current results, by content, as copies have other times."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import StoreError
from harness.store import Store
from harness.store.check import UnusableError, open_plain
from harness.store.files import not_a_file
from harness.store.fingerprint import fingerprint
from harness.store.mark import check_outside

if TYPE_CHECKING:
    from harness.registry import Registry

FIGURES = 30
"""Experiments with figures on one page by default: enough for a reader, and a few MB."""

HEAD = 2**16
"""Leading bytes of a report that contain its digest."""

LARGEST = 2**30
"""Largest number of bytes of a report."""

_END = "<!-- limitbench-sha256 {} -->\n</html>\n"
_SEALED = len(_END.format("0" * 64))
_SEAL = re.compile(_END.format("([0-9a-f]{64})").encode())
_DIGEST = re.compile(rb'<meta name="limitbench-content" content="([0-9a-f]{64})">')


def extra_sections(store: Store, registry: Registry | None) -> list[str]:
    """Return the text of the sections that plugins add."""
    if registry is None:
        return []
    return registry.notify("limitbench_report_section", results=str(store.root))


def content_digest(
    store: Store,
    registry: Registry | None,
    only: Sequence[str],
    figures: int,
    extra: Sequence[str],
) -> str:
    """Return a hash of all inputs of a report, in hexadecimal digits.

    Args:
        store: the results folder.
        registry: source of the claims.
        only: globs of the experiments shown.
        figures: number of leading experiments with figures.
        extra: from `extra_sections`.

    Raises:
        StoreError: if the folder holds no results.
    """
    claims = [] if registry is None else registry.components("claim")
    facts = {
        "limitbench": version("limitbench"),
        "results": fingerprint(store),
        "claims": sorted([claim.name, claim.version] for claim in claims),
        "only": list(only),
        "figures": figures,
        "extra": list(extra),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def sealed(page: str) -> str:
    """Return a page with a hash of itself at its end, by which a part of it is told from it."""
    text = page.rstrip().removesuffix("</html>")
    return text + _END.format(hashlib.sha256(text.encode("utf-8", "replace")).hexdigest())


def check_free(path: Path, remedy: str) -> None:
    """Refuse a place for a report, unless it is free or an older report's, and outside of results.

    Args:
        path: of the report.
        remedy: advice for the user.

    Raises:
        StoreError: if the report would replace anything else, or lie in a results folder.
    """
    if not (reason := not_a_file(path)):
        check_outside(path, remedy)
        reason = "not a report that limitbench wrote" * (path.exists() and not _is_report(path))
    if reason:
        raise StoreError(f"{path}: cannot be written ({reason}); {remedy}")


def _is_report(path: Path) -> bool:
    try:
        with open_plain(path) as opened:
            return _DIGEST.search(opened.read(HEAD)) is not None
    except (UnusableError, OSError):
        return False


def is_current(path: Path, store: Store, registry: Registry | None, figures: int = FIGURES) -> bool:
    """Return whether a report is whole, and of the current results, plugins and limitbench.

    Args:
        path: of a report of all experiments.
        store: the results folder.
        registry: source of the plugins that add sections and claims.
        figures: number of leading experiments with figures.

    Raises:
        StoreError: if the folder holds no results.
    """
    try:
        with open_plain(path, LARGEST) as opened:
            page = opened.read()
    except (UnusableError, OSError):
        return False
    found, seal = _DIGEST.search(page, 0, HEAD), _SEAL.fullmatch(page[-_SEALED:])
    if not found or not seal:
        return False
    if hashlib.sha256(page[:-_SEALED]).hexdigest() != seal[1].decode():
        return False
    extra = extra_sections(store, registry)
    return found[1].decode() == content_digest(store, registry, (), figures, extra)
