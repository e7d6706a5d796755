"""The report: one offline page that answers first, keeps names as text, and hides no failure."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import matplotlib.pyplot as plt
import numpy as np
import pytest
from made_results import HOSTILE, WIDTHS, Results
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness import report
from harness.errors import StoreError
from harness.registry import Registry
from harness.report import sentences, svg, write_report
from harness.report.style import label, theory_styles
from harness.scoring import score_results
from harness.store import Store, experiments


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "results")


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


def test_page_asks_nothing_of_any_network(results: Results) -> None:
    results.add("one", {"good": 0.0, "bad": 0.5})
    page = page_of(results)
    elements = Elements(page)
    assert "http:" not in page
    assert "https:" not in page
    assert "@import" not in page
    assert all(value.startswith(("#", "data:")) for value in elements.attributes("href"))
    assert all(value.startswith("data:") for value in elements.attributes("src"))
    assert all(found.startswith("#") for found in re.findall(r"url\(\s*['\"]?(.)", page))
    assert not {"link", "iframe", "object", "base"} & {tag for tag, _ in elements.tags}
    assert not elements.attributes("action")
    assert "default-src 'none'" in page
    assert "form-action 'none'" in page


def test_headline_counts_the_experiments_on_which_each_theory_agrees(results: Results) -> None:
    results.add("one", {"good": 0.0, "bad": 0.5})
    results.add("two", {"good": 0.0, "bad": "not: linear only"})
    text = Elements(page_of(results)).text
    assert "good describes wide networks in 2 of 2 experiments; bad in 0 of 1." in text
    assert "agrees on 0, disagrees on 1, does not apply to 1" in text


def test_every_experiment_and_score_is_there(results: Results) -> None:
    for name in ("one", "two", "three[task.x=0.5]"):
        results.add(name, {"good": 0.0, "bad": 0.5})
    page = page_of(results)
    elements = Elements(page)
    headings = re.findall(r"<h2 id=\"experiment-[^>]+>(.*?)</h2>", page)
    assert headings == ["one", "two", "three[task.x=0.5]"]
    board = page.split('<table class="sortable"')[1].split("</table>")[0]
    assert board.count('<tr id="row-') == 3 * 2
    assert board.count("✓ agrees") == board.count("✗ disagrees") == 3
    assert "12 networks of architecture mlp (depth 1)" in elements.text
    assert "Widths 16, 64 and 256, 4 seeds each." in elements.text
    assert "9.8.7" in elements.text
    assert "seeds 0 to 3, float32" in elements.text


def test_anchors_exist_and_ids_are_unique(results: Results) -> None:
    results.add("one", {"good": 0.0, "bad": 0.5})
    results.add("One", {"good": 0.0})
    elements = Elements(page_of(results))
    ids = elements.attributes("id")
    assert len(ids) == len(set(ids))
    links = [h for h in elements.attributes("href") if not h.startswith("data:image/png;")]
    assert {h.removeprefix("#") for h in links} <= set(ids)
    for name in ("aria-labelledby", "aria-describedby"):
        assert set(elements.attributes(name)) <= set(ids)


def test_page_says_to_a_screen_reader_what_it_shows(results: Results) -> None:
    results.add("one", {"good": 0.0})
    elements = Elements(page_of(results))
    drawn = [found for tag, found in elements.tags if tag == "svg"]
    assert len(drawn) == 1 + 7
    assert all(found["role"] == "img" and found["aria-labelledby"] for found in drawn)
    assert all(found.get("scope") in ("row", "col") for tag, found in elements.tags if tag == "th")
    assert "Convergence in width: one" in elements.text


def test_hostile_names_stay_text(results: Results) -> None:
    results.add(HOSTILE, {"good": 0.0, "bad": "<img src=x onerror=alert(2)>"}, broken=(16,))
    page = page_of(results)
    elements = Elements(page)
    assert [tag for tag, _ in elements.tags].count("script") == 1
    assert not {"img", "b", "i"} & {tag for tag, _ in elements.tags}
    assert not [name for _, found in elements.tags for name in found if name.startswith("on")]
    assert HOSTILE in elements.text
    assert "<i>task</i>" in elements.text
    assert "x" not in elements.attributes("id")
    overview = page.split("<svg")[1].split("</svg>")[0]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in overview
    assert "$a_b$" in overview


def test_failures_and_gaps_are_shown_with_their_reasons(results: Results) -> None:
    results.add("one", {"good": 0.0, "bad": "out of memory"}, broken=(64,), missing=2)
    results.add("two", {"good": "not: two layers only"})
    results.add("three", {}, widths=(), failure="needs 60 points, has 3")
    text = " ".join(Elements(page_of(results)).text.split())
    assert "networks of width 64, seeds 0 to 3 failed loss <exploded> (phase: solve)" in text
    assert "bad failed out of memory (phase: solve)" in text
    assert "good does not apply two layers only" in text
    assert "2 cells are missing from the results folder" in text
    assert "It could not start: needs 60 points, has 3" in text
    assert "1 of 3 experiments could not start. 5 of 29 cells failed. 2 cells are missing." in text
    assert "Traceback <b>" in text
    assert "one (incomplete)" in text


@pytest.mark.parametrize(
    "case",
    [
        {"theories": {}},
        {"theories": {"good": 0.0}, "widths": ()},
        {"theories": {"good": "broke"}, "broken": WIDTHS},
        {"theories": {}, "widths": (), "missing": 3},
        {"theories": {"good": 0.0}, "seeds": (0,)},
        {"theories": {"good": 0.0}, "widths": (64,)},
        {"theories": {"good": 0.0}, "stages": 1},
        {"theories": {"good": 0.0}, "stages": 4},
        {"theories": {"good": 100.0}},
    ],
)
def test_incomplete_and_unusual_experiments_have_a_section(
    results: Results, case: dict[str, Any]
) -> None:
    results.add("odd one", **case)
    assert "odd one</h2>" in page_of(results)


def test_folder_without_cells_has_a_page_and_no_folder_has_none(
    results: Results, tmp_path: Path
) -> None:
    assert "There is no verdict yet." in page_of(results)
    with pytest.raises(StoreError, match="no results here"):
        write_report(Store(tmp_path / "elsewhere"))
    assert not (tmp_path / "elsewhere").exists()


def test_same_results_give_the_same_file(results: Results, tmp_path: Path) -> None:
    results.add("one", {"good": 0.0, "bad": 0.5})
    first = write_report(results.store).read_bytes()
    second = write_report(results.store, tmp_path / "new" / "again.html")
    assert second.read_bytes() == first
    assert [path.name for path in second.parent.iterdir()] == ["again.html"]


def test_file_that_cannot_be_written_is_a_one_line_error(results: Results, tmp_path: Path) -> None:
    (tmp_path / "taken.html").mkdir()
    with pytest.raises(StoreError, match=r"taken\.html: cannot be written .* choose another") as e:
        write_report(results.store, tmp_path / "taken.html")
    assert "\n" not in str(e.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results", "taken.html"]


def test_plugins_add_sections_as_text(results: Results) -> None:
    class Registered:
        def notify(self, hook: str, **facts: str) -> list[str]:
            assert hook == "limitbench_report_section"
            assert facts == {"results": str(results.store.root)}
            return ["<em>my\nsection</em>"]

    page = page_of(results, cast(Registry, Registered()))
    assert "<pre>&lt;em&gt;my\nsection&lt;/em&gt;</pre>" in page
    assert "From plugins" not in page_of(results)


def test_large_figure_is_embedded_as_an_image(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(svg, "LARGEST_SVG", 0)
    results.add("one", {"good": 0.0})
    images = [found for tag, found in Elements(page_of(results)).tags if tag == "img"]
    assert len(images) == 1 + 7
    assert all(i["src"].startswith("data:image/png;base64,") and i["alt"] for i in images)


def test_figures_return_axes_of_their_own_and_leave_pyplot_alone(results: Results) -> None:
    results.add("one", {"good": 0.0, "bad": 0.5})
    (experiment,) = experiments(results.store)
    rows = score_results([results.store])
    before = dict(plt.rcParams)
    drawn = [
        report.loss_curves(experiment),
        report.convergence(rows),
        report.predictions(experiment),
        report.overview(rows),
    ]
    assert all(isinstance(ax, Axes) for ax in drawn)
    assert plt.get_fignums() == []
    assert dict(plt.rcParams) == before
    mine = Figure().subplots()
    assert report.overview(rows, mine) is mine


def test_loss_curves_lay_stages_one_after_the_other(results: Results) -> None:
    results.add("one", {"good": 0.0})
    (experiment,) = experiments(results.store)
    ax = report.loss_curves(experiment)
    assert ax.get_yscale() == "log"
    assert ax.get_xlim() == (0, 200)
    assert {"source", "target"} <= {text.get_text() for text in ax.texts}
    ends = [np.asarray(line.get_xdata(), dtype=float)[-1] for line in ax.lines]
    assert ends.count(100) == ends.count(200) + 1 == len(WIDTHS) + 2


def test_figures_without_data_say_so(results: Results) -> None:
    results.add("one", {})
    (experiment,) = experiments(results.store)
    for ax in (
        report.loss_curves(experiment, observable="unheard/of"),
        report.convergence([]),
        report.predictions(experiment),
        report.overview([]),
    ):
        assert len(ax.texts) == 1


def test_labels_are_one_bounded_line_without_control_characters() -> None:
    assert label("a\n\tb \x00\u202e$x$") == r"a b " + "\ufffd\ufffd" + r"\$x\$"
    assert len(label("x" * 500)) == 60


def test_theories_are_told_apart_by_line_and_by_colour() -> None:
    styles = list(theory_styles("abcdef").values())
    assert len({s.color for s in styles}) == len({str(s.dashes) for s in styles}) == 6


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0"),
        (1e-6, "below 0.01"),
        (0.0088, "0.88"),
        (0.05, "5"),
        (0.1143, "11.4"),
        (1.084, "108"),
    ],
)
def test_percentages_have_the_digits_that_matter(share: float, text: str) -> None:
    assert sentences.percent(share) == f"{text}\u00a0%"


def test_importing_the_report_loads_no_plotting() -> None:
    code = (
        "import sys, harness.report;"
        "print({'matplotlib', 'seaborn', 'jax', 'jinja2'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
