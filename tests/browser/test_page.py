"""The report in a real browser: sorting, filtering, links, copying, keyboard, print, 500 rows."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from made_results import HOSTILE, Results

from harness.report import write_report
from harness.scoring import Scores, score_folder, score_results

if TYPE_CHECKING:
    from browser.conftest import Open
    from playwright.sync_api import Page

ROWS = "table.sortable tbody tr"
VISIBLE = f"{ROWS}:not([hidden])"
SMALL: dict[str, Any] = {"widths": (16, 64), "seeds": (0, 1, 2)}


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report of two tasks and a sweep, with a hostile name, a failure, an odd theory."""
    results = Results(tmp_path_factory.mktemp("browser") / "results")
    results.add("first", {"good": 0.0, "bad": 0.5}, **SMALL)
    results.add(HOSTILE, {"good": 0.0, "bad": "broke"}, **SMALL, task="other-task")
    results.add("empty", {"good": "not: two layers only"}, **SMALL)
    for value in (0.5, 1.0, 2.0):
        name = f"sweep[regime.richness={value}]"
        results.add(name, {"good": 0.0, "bad": value}, **SMALL, regime={"richness": value})
    results.add("a-name-without-any-space-" * 8, {"good": 0.0}, **SMALL)
    return write_report(results.store)


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a report of 510 rows: few cells, under the names of many experiments."""
    results = Results(tmp_path_factory.mktemp("large") / "results")
    for task in ("task-a", "task-b", "task-c"):
        theories: dict[str, float | str] = {"good": 0.0, "fair": 0.05, "bad": 0.5}
        results.add(task, theories, **SMALL, task=task)
    first = score_results([results.store])
    manifests = results.store.manifests()
    rows = list(first)
    for i in range(167):
        of = manifests[i % 3]
        named = {"position": 10 + i, "experiment": f"experiment {i:03}"}
        results.store.write_manifest(of.model_copy(update=named))
        same = [row for row in first if row.experiment == of.experiment]
        rows += [replace(row, experiment=f"experiment {i:03}") for row in same]
    scored = replace(score_folder(results.store), scores=Scores(rows))
    return write_report(results.store, figures=2, scored=scored)


def column(page: Page, number: int) -> list[str]:
    """Return the texts of a column in the rows that are shown."""
    cells = page.locator(f"{VISIBLE} > :nth-child({number})").all_inner_texts()
    return [cell.strip() for cell in cells]


def numbers(page: Page, number: int) -> list[float]:
    return [float(text.split()[0]) for text in column(page, number)]


def shows(page: Page, count: int) -> None:
    """Wait until so many rows are shown."""
    from playwright.sync_api import expect

    expect(page.locator(VISIBLE)).to_have_count(count)


def says(page: Page, text: str) -> None:
    """Wait until a screen reader is told so."""
    from playwright.sync_api import expect

    expect(page.locator("#said")).to_have_text(text)


def choose(page: Page, kind: str, value: str) -> None:
    page.get_by_label(kind, exact=True).select_option(value)


def test_headings_sort_up_and_down(browse: Open, page_file: Path) -> None:
    page = browse(page_file)
    heading = page.get_by_role("button", name="Limit gap")
    heading.click()
    assert numbers(page, 4) == sorted(numbers(page, 4))
    assert heading.locator("..").get_attribute("aria-sort") == "ascending"
    heading.click()
    assert numbers(page, 4) == sorted(numbers(page, 4), reverse=True)
    assert page.locator("[aria-sort]").count() == 1
    assert page.locator("#said").inner_text() == "sorted by Limit gap, descending"


def test_what_has_no_number_stays_at_the_end(browse: Open, page_file: Path) -> None:
    page = browse(page_file)
    heading = page.get_by_role("button", name="Width at 5")
    for _ in range(2):
        heading.click()
        words = column(page, 7)
        never = [i for i, text in enumerate(words) if text in ("never", "any", "unknown")]
        assert never == list(range(len(words) - len(never), len(words)))
        assert 0 < len(never) < len(words)


@pytest.mark.parametrize(
    ("kind", "value", "number"),
    [("Theory", "bad", 2), ("Verdict", "disagrees", 3)],
)
def test_rows_and_experiments_are_filtered(
    browse: Open, page_file: Path, kind: str, value: str, number: int
) -> None:
    page = browse(page_file)
    before = page.locator(VISIBLE).count()
    choose(page, kind, value)
    left = column(page, number)
    assert 0 < len(left) < before
    assert all(value in text for text in left)
    assert page.locator("#shown").inner_text() == f"{len(left)} of {before} rows"
    names = set(page.locator(f"{VISIBLE} th bdi").all_text_contents())
    headings = page.locator("section.experiment:not([hidden]) > h2").all_text_contents()
    assert set(headings) == names
    page.get_by_role("button", name="Show all").click()
    shows(page, before)
    assert page.locator("section.experiment[hidden]").count() == 0


def test_filters_combine_and_keep_experiments_without_a_verdict(
    browse: Open, page_file: Path
) -> None:
    page = browse(page_file)
    choose(page, "Task", "other-task")
    assert page.locator(VISIBLE).count() == 1
    choose(page, "Verdict", "disagrees")
    assert page.locator(VISIBLE).count() == 0
    page.get_by_role("button", name="Show all").click()
    shows(page, page.locator(ROWS).count())
    page.get_by_label("Experiment", exact=True).fill("EMPTY")
    headings = page.locator("section.experiment:not([hidden]) > h2").all_text_contents()
    assert headings == ["empty"]
    assert page.locator(VISIBLE).count() == 0
    choose(page, "Theory", "good")
    assert page.locator("section.experiment:not([hidden])").count() == 0


def test_filters_that_no_row_fits_are_told_so(browse: Open, page_file: Path) -> None:
    page = browse(page_file)
    assert page.locator("#nothing").is_hidden()
    page.get_by_label("Experiment", exact=True).fill("no such name")
    assert page.locator(VISIBLE).count() == 0
    assert page.locator("#nothing").inner_text().startswith("No row fits all of these filters")
    page.get_by_role("button", name="Show all").click()
    shows(page, page.locator(ROWS).count())
    assert page.locator("#nothing").is_hidden()


def test_the_address_keeps_the_filters(browse: Open, page_file: Path) -> None:
    page = browse(page_file)
    choose(page, "Theory", "bad")
    page.get_by_label("Experiment", exact=True).fill("sweep[")
    left = page.locator(VISIBLE).count()
    assert 0 < left < page.locator(ROWS).count()
    fragment = page.evaluate("location.hash")
    assert fragment == "#?experiment=sweep%5B&theory=bad"
    again = browse(page_file, fragment=fragment)
    assert again.locator(VISIBLE).count() == left
    assert again.get_by_label("Theory", exact=True).input_value() == "bad"
    again.get_by_role("button", name="Show all").click()
    shows(again, again.locator(ROWS).count())
    assert "#" not in again.evaluate("location.href")
    odd = browse(page_file, fragment="#?theory=none&length=3&verdict=%3Cscript%3E&__proto__=1")
    assert odd.locator(VISIBLE).count() == odd.locator(ROWS).count()


def test_a_link_leads_to_a_row_even_if_it_is_filtered_away(browse: Open, page_file: Path) -> None:
    page = browse(page_file)
    page.locator(f"{ROWS} .here").nth(3).click()
    assert page.locator(f"{ROWS}:target").count() == 1
    fragment = page.evaluate("location.hash")
    row = page.locator(f'[id="{fragment[1:]}"]')
    theory = row.locator("td").first.inner_text()
    choose(page, "Theory", "bad" if theory == "good" else "good")
    assert row.is_hidden()
    page.evaluate(f"location.hash = {fragment!r}")
    row.wait_for(state="visible")
    again = browse(page_file, fragment=fragment)
    assert again.locator(f"{ROWS}:target td").first.inner_text() == theory
    from playwright.sync_api import expect

    expect(again.locator(f"{ROWS}:target")).to_be_in_viewport()


def test_every_link_leads_somewhere_on_the_page(browse: Open, page_file: Path) -> None:
    page = browse(page_file)
    lost = page.evaluate(
        """[...document.querySelectorAll("a[href]")].map((a) => a.getAttribute("href"))
        .filter((h) => h[0] !== "#" || !document.getElementById(decodeURIComponent(h.slice(1))))"""
    )
    assert lost == []
    page.locator(f"{ROWS} th a:not(.here)").first.click()
    assert page.locator("section.experiment h2:target").inner_text() == "first"


def test_hostile_names_are_text_to_the_browser(browse: Open, page_file: Path) -> None:
    page = browse(page_file)
    assert page.locator("section.experiment > h2", has_text="alert(1)").text_content() == HOSTILE
    assert page.evaluate("document.scripts.length") == 1
    assert page.locator("main i").count() == 0
    page.get_by_label("Experiment", exact=True).fill("<script>")
    assert page.locator(VISIBLE).count() == 1
    page.get_by_role("button", name="Experiment").click()
    page.locator(f"{VISIBLE} th a:not(.here)").click()
    assert page.locator("h2:target").text_content() == HOSTILE


def test_a_suite_file_is_copied_or_at_least_selected(browse: Open, page_file: Path) -> None:
    allowed = browse(page_file, permissions=["clipboard-read", "clipboard-write"])
    hostile = allowed.locator("section.experiment", has_text="alert(1)").locator(".suite")
    hostile.locator("summary").click()
    hostile.get_by_role("button").click()
    says(allowed, "Copied")
    copied = allowed.evaluate("navigator.clipboard.readText()")
    suite = tomllib.loads(copied)
    assert suite["experiment"][0]["name"] == HOSTILE
    assert suite["suite"]["widths"] == [16, 64]
    refused = browse(page_file)
    refused.evaluate("() => { navigator.clipboard.writeText = () => { throw new Error('no') } }")
    part = refused.locator(".suite").first
    part.locator("summary").click()
    part.get_by_role("button").click()
    says(refused, "Selected; press Ctrl+C")
    assert "[suite]" in refused.evaluate("getSelection().toString()")


def test_everything_is_reached_and_done_by_keyboard(browse: Open, page_file: Path) -> None:
    page = browse(page_file)
    focused = "document.activeElement"
    page.keyboard.press("Tab")
    assert page.evaluate(f"{focused}.textContent") == "Skip to the leaderboard"
    page.keyboard.press("Enter")
    assert page.evaluate(f"{focused}.id") == "leaderboard"
    page.keyboard.press("Tab")
    page.keyboard.type("first")
    assert page.locator(VISIBLE).count() == 2
    for _ in range(4):
        page.keyboard.press("Tab")
    page.keyboard.type("bad")
    assert column(page, 2) == ["bad"]
    for _ in range(2):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    shows(page, page.locator(ROWS).count())
    for _ in range(2):  # the table scrolls, so it takes the focus first
        page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate(f"{focused}.textContent") == "Theory"
    assert page.evaluate(f"getComputedStyle({focused}).outlineStyle") == "solid"
    page.keyboard.press("Space")
    assert column(page, 2) == sorted(column(page, 2))


def test_a_screen_reader_finds_names_and_roles(browse: Open, page_file: Path) -> None:
    page = browse(page_file)
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.get_by_role("main").count() == 1
    assert page.get_by_role("search", name="Filter the leaderboard").count() == 1
    assert page.get_by_role("img", name="Convergence in width: first", exact=True).count() == 1
    assert page.get_by_role("img", name="Limit gap over regime.richness: sweep").count() == 1
    table = page.get_by_role("region", name="Leaderboard").get_by_role("table")
    assert table.get_by_role("columnheader").count() == 9
    assert table.get_by_role("rowheader").count() == page.locator(ROWS).count()
    unnamed = page.evaluate(
        """[...document.querySelectorAll("input, select, button")]
        .filter((e) => !(e.labels?.length || e.textContent.trim())).length"""
    )
    assert unnamed == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_screens_need_no_sideways_scrolling(
    browse: Open, page_file: Path, scheme: Any
) -> None:
    page = browse(page_file, width=400, color_scheme=scheme)
    page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    wide = page.evaluate(
        """[...document.querySelectorAll("figure, svg, p, h1, h2, h3, form, select, pre, dl")]
        .filter((e) => e.checkVisibility() && e.getBoundingClientRect().right > 401)
        .map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert wide == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(browse: Open, page_file: Path, scheme: Any) -> None:
    page = browse(page_file, color_scheme=scheme)
    faint = page.evaluate(
        """() => {
          const channels = (c) => c.match(/[\\d.]+/g).map(Number);
          const luminance = (c) => {
            const [r, g, b] = channels(c).map((v) => v / 255)
              .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const ground = (e) => {
            for (; e; e = e.parentElement) {
              const c = getComputedStyle(e).backgroundColor;
              if (!c.startsWith("rgba") || channels(c)[3] > 0) return c;
            }
            return "rgb(255, 255, 255)";
          };
          const found = [];
          const texts = "p, h1, h2, h3, a, td, th, .badge, label, button, select, figcaption, text";
          for (const e of document.querySelectorAll(texts)) {
            if (!e.checkVisibility() || !e.textContent.trim()) continue;
            const style = getComputedStyle(e);
            const svg = e instanceof SVGElement;
            const [a, b] = [svg ? style.fill : style.color, ground(e)].map(luminance);
            const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            if (ratio < 4.5) found.push([ratio, e.outerHTML.slice(0, 100)]);
          }
          return found;
        }"""
    )
    assert faint == []


def test_the_theme_can_be_chosen(browse: Open, page_file: Path) -> None:
    page = browse(page_file, color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    axis = "getComputedStyle(document.querySelector('figure text')).fill"
    light = page.evaluate(ground), page.evaluate(axis)
    button = page.get_by_role("button", name="Theme")
    button.click()
    assert (page.evaluate(ground), page.evaluate(axis)) == light
    button.click()
    assert button.inner_text() == "Theme: dark"
    assert page.evaluate(ground) != light[0]
    assert page.evaluate(axis) != light[1]


def test_print_is_light_and_unfolded_and_without_controls(browse: Open, page_file: Path) -> None:
    page = browse(page_file, color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    axis = "getComputedStyle(document.querySelector('figure text')).fill"
    assert page.evaluate(f"Math.max(...{axis}.match(/\\d+/g))") < 100
    for hidden in (".filters", "#theme", ".here", ".copy"):
        assert page.locator(hidden).first.is_hidden()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not(.trace, .suite, [open])").count() == 0
    page.set_viewport_size({"width": 718, "height": 1000})  # of A4 between margins of a centimetre
    wide = "[...document.querySelectorAll('table, figure')].map((e) => e.getBoundingClientRect())"
    assert page.evaluate(f"Math.max(...{wide}.map((box) => box.right))") <= 718
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_five_hundred_rows_sort_and_filter(
    browse: Open, large_file: Path, record_property: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    page = browse(large_file)
    assert page.locator(VISIBLE).count() == 510
    timed = """async () => {{
      const start = performance.now();
      {};
      await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
      return performance.now() - start;
    }}"""
    acts = {
        "sort by text": "document.querySelectorAll('thead button')[0].click()",
        "sort by number": "document.querySelectorAll('thead button')[3].click()",
        "filter": "const s = document.querySelector('[name=theory]'); s.value = 'good';"
        "s.dispatchEvent(new Event('input', { bubbles: true }))",
    }
    times = {name: page.evaluate(timed.format(act)) for name, act in acts.items()}
    assert page.locator("#shown").inner_text() == "170 of 510 rows"
    assert numbers(page, 4) == sorted(numbers(page, 4))
    said = ", ".join(f"{name} {ms:.0f} ms" for name, ms in times.items())
    megabytes = large_file.stat().st_size / 1e6
    record_property("milliseconds", times)
    with capsys.disabled():
        print(f"\n510 rows, {megabytes:.1f} MB: {said}")
