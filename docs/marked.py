"""Text between markers of a page, which programs beside this one write."""

from __future__ import annotations

import re
from pathlib import Path

from harness.store.files import write_text


def filled(page: Path, name: str) -> str:
    """Return the text between a page's markers of a name."""
    found = re.search(_between(name), page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return found[1] if found else ""


def fill(page: Path, name: str, text: str) -> None:
    """Put text between a page's markers of a name."""
    block = f"<!-- {name} -->\n{text}\n<!-- /{name} -->"
    old = page.read_text(encoding="utf-8")
    new = re.sub(_between(name), lambda _: block, old, flags=re.DOTALL)
    write_text(page, new, "make it writable")


def _between(name: str) -> str:
    return f"<!-- {name} -->\n?(.*?)\n?<!-- /{name} -->"
