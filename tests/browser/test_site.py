"""The site in a real browser: filters that links keep, the keyboard, narrow screens, pairs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from made_results import HOSTILE, Results

from harness.site import write_site
from harness.site.names import experiment_page

if TYPE_CHECKING:
    from browser.conftest import Open
    from playwright.sync_api import Page

SMALL: dict[str, Any] = {"widths": (16, 64), "seeds": (0, 1, 2)}
LINES = "table.matrix tbody tr:not([hidden])"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the site of two tasks, with a hostile and a long name and two versions."""
    root = tmp_path_factory.mktemp("site")
    results, older = Results(root / "results"), Results(root / "older", version="0")
    results.add("first", {"good": 0.0, "bad": 0.5, "other": 0.7}, **SMALL)
    results.add(HOSTILE, {"good": 0.0, "bad": "broke"}, **SMALL, task="other-task")
    results.add("a-name-without-any-space-" * 8, {"good": 0.0, "bad": 0.2}, **SMALL)
    older.add("first", {"good": 0.9}, **SMALL)
    return write_site([results.store.root, older.store.root], root / "made" / "site").parent


def names(page: Page) -> list[str]:
    return [text.strip() for text in page.locator(f"{LINES} > th").all_inner_texts()]


def test_filters_are_kept_by_links_and_counted(browse: Open, site: Path) -> None:
    page = browse(site / "index.html")
    page.get_by_label("Task").select_option("made-up-task")
    assert len(names(page)) == 2
    assert page.locator("table.matrix tfoot td").all_inner_texts()[1] == "0 of 2"
    assert page.url.endswith("#?task=made-up-task")
    # a link within the page does not replace them
    page.locator(".contents").get_by_role("link", name="Experiments").click()
    assert page.url.endswith("#?task=made-up-task")


@pytest.mark.parametrize("file", ["index.html", "theory/good.html", "compare.html"])
def test_an_address_with_filters_is_understood(browse: Open, site: Path, file: str) -> None:
    page = browse(site / file, fragment="#?task=other-task&theme=none")
    rows = page.locator("tr[data-experiment]:not([hidden])")
    kept = page.locator(
        f'a[href$="{"../" * file.count("/")}history.html#?task=other-task&theme=none"]'
    )
    assert kept.count() == 1
    # the pairs have no such experiment, as the other theory failed there
    assert (rows.count() > 0) == (file != "compare.html")
    for k in range(rows.count()):
        assert rows.nth(k).get_attribute("data-task") == "other-task"


def test_the_ranking_sorts_by_keyboard(browse: Open, site: Path) -> None:
    page = browse(site / "index.html")
    heading = page.get_by_role("button", name="Median gap")
    heading.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert page.locator("#said").inner_text() == "sorted by Median gap, descending"
    found = page.locator("section[aria-labelledby=ranking] tbody th").all_inner_texts()
    assert found == ["other", "bad", "good"]


def test_two_theories_stand_side_by_side(browse: Open, site: Path) -> None:
    page = browse(site / "compare.html", fragment="#?a=bad&b=good")
    assert page.locator("#result").inner_text().startswith("good is nearer to the networks: of 2")
    rows = page.locator("#pair tbody tr")
    assert rows.count() == 2
    assert rows.first.locator("td").last.inner_text() == "good"
    page.get_by_label("Second theory").select_option("other")
    assert rows.count() == 1
    assert "b=other" in page.url
    links = page.locator("#pair tbody a")
    assert (
        links.first.get_attribute("href")
        == experiment_page("first") + page.url[page.url.index("#") :]
    )
    page.get_by_label("Second theory").select_option("bad")
    assert page.locator("#result").inner_text() == "Choose two theories."
    assert not page.locator("#common").is_visible()


@pytest.mark.parametrize(("scheme", "width"), [("light", 400), ("dark", 280)])
def test_no_page_is_wider_than_a_narrow_screen(
    browse: Open, site: Path, scheme: str, width: int
) -> None:
    pages = ["index.html", "theory/bad.html", "compare.html", "history.html"]
    for file in [*pages, experiment_page("first"), experiment_page(HOSTILE)]:
        page = browse(site / file, width=width, color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") == width, file


def test_points_of_figures_have_values(browse: Open, site: Path) -> None:
    page = browse(site / experiment_page("first"))
    said = page.locator("figure svg use > title").all_text_contents()
    assert any(text.startswith("good, width 16: ") for text in said)


def test_without_scripts_every_row_is_there(browse: Open, site: Path) -> None:
    page = browse(site / "index.html", java_script_enabled=False)
    assert page.locator(LINES).count() == 3
    assert not page.locator(".filters").is_visible()
    page = browse(site / "compare.html", java_script_enabled=False)
    assert not page.locator("#side-by-side").is_visible()
    assert page.locator("section[aria-labelledby=pairs] tbody tr").count() > 2


def test_print_leaves_out_what_paper_cannot_do(browse: Open, site: Path) -> None:
    page = browse(site / "index.html")
    page.emulate_media(media="print")
    for part in (".pages", ".filters", ".contents", "#theme"):
        assert not page.locator(part).is_visible()
    assert page.locator(LINES).first.is_visible()
