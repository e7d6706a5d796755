"""A real browser, and pages opened in it that must ask nothing of a network and log no error."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from patience import PATIENCE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Open = Callable[..., "Page"]

MILLISECONDS = 1000 * PATIENCE
"""What the browser may take for anything."""

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    driver = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("needs the browser chromium, which .ci/run installs")
    driver.expect.set_options(timeout=MILLISECONDS)
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=list(FLAGS), timeout=MILLISECONDS
        )
        yield browser
        browser.close()


@pytest.fixture
def browse(chromium: Browser) -> Iterator[Open]:
    """Open a file; when the test is over, the page must have asked for nothing and be sound."""
    asked: list[str] = []
    said: list[str] = []
    opened = []

    def browse(path: Path, width: int = 1400, fragment: str = "", **options: Any) -> Page:
        context = chromium.new_context(viewport={"width": width, "height": 900}, **options)
        opened.append(context)
        page = context.new_page()
        page.set_default_timeout(MILLISECONDS)
        page.on("request", lambda r: asked.append(r.url))
        page.on("console", lambda m: said.append(f"{m.type}: {m.text}"))
        page.on("pageerror", lambda e: said.append(str(e)))
        page.on("dialog", lambda d: said.append(f"dialog: {d.message}"))
        page.goto(path.as_uri() + fragment)
        asked.remove(path.as_uri())
        return page

    yield browse
    for context in opened:
        context.close()
    assert [url for url in asked if not url.startswith("data:")] == []
    assert said == []
