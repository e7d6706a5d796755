"""Text between markers of a page, which programs beside this one write."""

from __future__ import annotations

import re
from pathlib import Path

from harness.store.files import write_text


def fill(page: Path, name: str, text: str) -> None:
    """Put text between a page's markers of a name."""
    block = f"<!-- {name} -->\n{text}\n<!-- /{name} -->"
    pattern = f"<!-- {name} -->.*<!-- /{name} -->"
    old = page.read_text(encoding="utf-8")
    write_text(page, re.sub(pattern, lambda _: block, old, flags=re.DOTALL), "make it writable")
