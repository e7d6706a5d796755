"""The documentation in a real browser, from the disk: formulas, search, light and dark, narrow."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
OVERFLOW = "document.documentElement.scrollWidth - window.innerWidth"


@pytest.fixture(scope="module")
def site(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    for package in ("material", "math_core", "mkdocs_click"):
        pytest.importorskip(package, reason="needs the packages of the extra docs")
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"})
    return folder


@pytest.fixture
def page(chromium: Browser, site: Path) -> Iterator[Page]:
    """Yield a page that must ask for nothing outside the site's folder, and log no error."""
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    yield page
    page.close()
    inside = (site.as_uri(), "data:", "about:")
    assert [url for url in asked if not url.startswith(inside)] == []
    assert said == []


def test_no_page_scrolls_sideways(page: Page, site: Path) -> None:
    for width in (1280, 400):
        page.set_viewport_size({"width": width, "height": 900})
        for file in sorted(site.glob("*.html")):
            if file.name != "404.html":  # its links hold on a server alone
                page.goto(file.as_uri())
                assert page.evaluate(OVERFLOW) <= 0, (file.name, width)


def test_formulas_are_drawn(page: Page, site: Path) -> None:
    page.goto((site / "theory.html").as_uri() + "#dmft")
    assert page.locator("math").count() > 400
    assert page.evaluate("document.querySelector('math').getBoundingClientRect().height") > 5
    assert page.evaluate("document.querySelector('#dmft').getBoundingClientRect().top") >= 40


def test_search_finds_words_from_the_disk(page: Page, site: Path) -> None:
    page.goto((site / "index.html").as_uri())
    page.locator("input.md-search__input").click()
    page.keyboard.type("bootstrap")
    page.locator(".md-search-result__link", has_text="Scoring").first.wait_for()


def test_a_reader_switches_between_light_and_dark(page: Page, site: Path) -> None:
    page.goto((site / "index.html").as_uri())
    scheme = "document.body.getAttribute('data-md-color-scheme')"
    before = page.evaluate(scheme)
    page.locator("label[for^=__palette]:visible").click()
    assert {before, page.evaluate(scheme)} == {"default", "slate"}
