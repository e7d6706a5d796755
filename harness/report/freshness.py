"""Test whether a report shows the current results, by content, as copies have other times."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from harness.store import Store
from harness.store.check import UnusableError, open_plain
from harness.store.fingerprint import fingerprint

if TYPE_CHECKING:
    from harness.registry import Registry

HEAD = 2**16
"""Leading bytes of a report that contain its digest."""

_DIGEST = re.compile(rb'<meta name="limitbench-content" content="([0-9a-f]{64})">')


def extra_sections(store: Store, registry: Registry | None) -> list[str]:
    """Return the text of the sections that plugins add."""
    if registry is None:
        return []
    return registry.notify("limitbench_report_section", results=str(store.root))


def content_digest(
    store: Store, registry: Registry | None, only: Sequence[str], extra: Sequence[str]
) -> str:
    """Return a hash of all inputs of a report, in hexadecimal digits.

    Args:
        store: the results folder.
        registry: source of the claims.
        only: globs of the experiments shown.
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
        "extra": list(extra),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def is_current(path: Path, store: Store, registry: Registry | None) -> bool:
    """Return whether a report was made from the current results, plugins and limitbench.

    Args:
        path: of a report of all experiments.
        store: the results folder.
        registry: source of the plugins that add sections and claims.

    Raises:
        StoreError: if the folder holds no results.
    """
    try:
        with open_plain(path) as opened:
            found = _DIGEST.search(opened.read(HEAD))
    except (UnusableError, OSError):
        return False
    if found is None:
        return False
    extra = extra_sections(store, registry)
    return found[1].decode() == content_digest(store, registry, (), extra)
