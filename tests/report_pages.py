"""Pages that tests write, and their elements as a browser reads them."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from made_results import Results

from harness.registry import Registry
from harness.report import write_report


def page_of(results: Results, registry: Registry | None = None, **options: Any) -> str:
    return write_report(results.store, None, registry, **options).read_text(encoding="utf-8")


class Elements(HTMLParser):
    """Every start tag with its attributes, the ids, and the text outside scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.text += data

    def attributes(self, name: str) -> list[str]:
        return [found[name] for _, found in self.tags if name in found]
