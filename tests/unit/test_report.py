"""The report: one offline page that answers first, keeps names as text, and hides no failure."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import matplotlib.pyplot as plt
import numpy as np
import pytest
from click.testing import CliRunner
from made_results import HOSTILE, WIDTHS, Results, score_row
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness import Component, report
from harness.cli.report_ import command
from harness.errors import StoreError
from harness.execution.jobs import cell_facts
from harness.records.cell import CellFacts
from harness.registry import Registry
from harness.report import Sweep, facts, measures, sentences, svg, write_report
from harness.report import page as page_module
from harness.report.style import label, theory_styles
from harness.scoring import score_results
from harness.scoring.trend import Fit
from harness.store import CellRecord, ExperimentResults, Store, experiments
from harness.suites import Resolved, cells_of, load_suite

SWEPT = """
[suite]
name = "swept \\"twice\\""
widths = [16, 32]
seeds = [3, 5]
dtype = "float64"

[[experiment]]
name = "digits"
theories = [{ name = "mean-field", samples = 512 }, "lazy-ntk"]

[experiment.task]
name = "image-pairs"
dataset = "digits"
source_classes = [0, 1]
target_classes = [0, 9]
source_points = 10
target_points = 8
test_points = 10

[experiment.architecture]
name = "mlp"
depth = 1
activation = "relu"

[experiment.regime]
name = "jointly-rich"
source_richness = 1.0
source_steps = 10
target_steps = 10

[experiment.sweep]
"regime.target_richness" = [0.25, 1.0]
"task.data_seed" = [0, 7]
"""


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
    text = " ".join(Elements(page_of(results)).text.split())
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
    assert "&lt;script&gt;alert(1)&lt;/script…" in overview  # both ends of a long name
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


def test_processes_that_share_the_figures_give_the_same_page(results: Results) -> None:
    for position in range(3):
        results.add(f"alpha {position}", {"exact": 0.001, "off": 0.3})
    code = (
        "import hashlib, sys\n"
        "from pathlib import Path\n"
        "from harness.report.page import render\n"
        "from harness.store import Store\n"
        "page = render(Store(Path(sys.argv[1])), figures=2, processes=int(sys.argv[2]))\n"
        "print(page.count('<svg'), hashlib.sha256(page.encode()).hexdigest())\n"
    )
    one, two = (
        subprocess.run(
            [sys.executable, "-c", code, str(results.store.root), count],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for count in ("1", "2")
    )
    assert one == two
    assert int(one.split()[0]) > 2


def test_file_that_cannot_be_written_is_a_one_line_error(results: Results, tmp_path: Path) -> None:
    (tmp_path / "taken.html").mkdir()
    with pytest.raises(StoreError, match=r"taken\.html: cannot be written .* elsewhere") as e:
        write_report(results.store, tmp_path / "taken.html")
    assert "\n" not in str(e.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results", "taken.html"]


def test_plugins_add_sections_as_text(results: Results) -> None:
    class Registered:
        def components(self, kind: str) -> list[Component]:
            return []

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


def test_suite_file_of_an_experiment_names_its_cells_again(tmp_path: Path) -> None:
    registry = Registry.load()
    path = tmp_path / "swept.toml"
    path.write_text(SWEPT, encoding="utf-8")
    suite = load_suite(path, registry)
    store, done = Store(tmp_path / "results"), {"status": "done"}
    for experiment in suite.experiments:
        cells = cells_of(experiment, suite, Resolved("data", (0.1, 0.2)))
        records = [
            CellRecord(c.key, tmp_path, CellFacts.model_validate(cell_facts(c, "", 0.0) | done))
            for c in cells
        ]
        shown = ExperimentResults(experiment.name, suite.name, records)
        path.write_text(facts.as_toml(shown), encoding="utf-8")
        again = load_suite(path, registry)
        assert again.experiments == (experiment,)
        keys = [c.key for c in cells_of(experiment, again, Resolved("data", (0.1, 0.2)))]
        assert keys == [c.key for c in cells]
    assert not store.root.exists()


def test_missing_cells_are_named_where_their_solver_is_known(results: Results) -> None:
    results.add("whole", {"good": 0.0})
    results.add("partial", {"good": 0.0}, removed=(64,), missing=2)
    text = " ".join(Elements(page_of(results)).text.split())
    assert "networks of width 64, seeds 0 to 3 missing not computed" in text
    assert "2 other cells missing not computed" in text
    assert "6 cells are missing" in text


def sweep_of(results: Results) -> list[Sweep]:
    for depth in (1, 2):
        for value in (4.0, 0.25, 1.0):
            name = f"grid[regime.depth={depth},regime.richness={value}]"
            regime = {"depth": depth, "richness": value}
            results.add(name, {"good": 0.0, "bad": value}, regime=regime)
    for value in ([0, 1], [2, 3]):
        name = f"line[regime.classes={value}]".replace(" ", "")
        results.add(name, {"good": 0.0}, regime={"classes": value})
    results.add("own[brackets]", {"good": 0.0})
    results.add("own[task.unknown=3]", {"good": 0.0})
    results.add("lone[regime.depth=1]", {"good": 0.0}, regime={"depth": 1})
    return report.find_sweeps(experiments(results.store))


def test_sweeps_are_found_with_the_values_that_were_run(results: Results) -> None:
    grid, line = sweep_of(results)
    assert (grid.name, grid.parameters) == ("grid", ("regime.depth", "regime.richness"))
    assert grid.values == ((1, 2), (0.25, 1.0, 4.0))
    assert grid.points["grid[regime.depth=2,regime.richness=4.0]"] == (2, 4.0)
    assert (line.parameters, line.values) == (("regime.classes",), (([0, 1], [2, 3]),))


def test_a_sweep_is_a_curve_or_a_heat_map_with_verdicts(results: Results) -> None:
    grid, line = sweep_of(results)
    rows = score_results([results.store])
    map_of_bad = report.sweep_map(rows, grid, "bad")
    cells = [text.get_text() for text in map_of_bad.texts]
    assert len(cells) == 6
    assert all(text.startswith("✗ ") and text.endswith("%") for text in cells)
    assert [t.get_text() for t in map_of_bad.get_xticklabels()] == ["0.25", "1.0", "4.0"]
    curve = report.sweep_curve(rows, line)
    assert [t.get_text() for t in curve.get_xticklabels()] == ["0, 1", "2, 3"]
    assert {"o"} == {str(x.get_marker()) for x in curve.lines} - {"None"}
    page = page_of(results)
    assert page.count("Limit gap of bad over regime.depth and regime.richness: grid</title>") == 1
    assert page.count("Limit gap over regime.classes: line</title>") == 1


def test_overview_names_points_of_a_sweep_by_what_differs(results: Results) -> None:
    sweep_of(results)
    heads = [text.get_text() for text in report.overview(score_results([results.store])).texts]
    assert "grid[depth=1,richness=0.25]" in heads


def test_convergence_shows_fit_ensembles_and_limit(results: Results) -> None:
    results.add("one", {"good": 0.0})
    (row,) = (r for r in score_results([results.store]) if r.observable == "output/test")
    known = replace(
        row,
        fit=Fit(floor=0.01, noise=0.64, bias=0.0),
        ensemble_discrepancy=dict.fromkeys(WIDTHS, 0.1),
        limit_gap=0.1,
        limit_gap_ci=(0.08, 0.12),
    )
    ax = report.convergence([known])
    points = [np.asarray(line.get_xydata(), dtype=float) for line in ax.lines]
    (fit,) = (p for p in points if len(p) == 40)
    np.testing.assert_allclose(fit[:, 1], np.sqrt(0.01 + 0.64 / fit[:, 0]))
    assert any(len(p) == 3 and np.allclose(p[:, 1], 0.1) for p in points)
    ends = [p[:, 1].tolist() for p in points if (p[:, 0] > max(WIDTHS) * 1.1).all()]
    assert [0.08, 0.12] in ends
    assert [0.1] in ends


def test_feature_figures_compare_networks_with_a_theory(results: Results) -> None:
    results.add("one", {"good": 0.0, "bad": 0.5})
    (experiment,) = experiments(results.store)
    theory, networks, difference = report.feature_kernels(experiment, "bad")
    shown = [np.asarray(ax.images[0].get_array()) for ax in (theory, networks, difference)]
    np.testing.assert_allclose(shown[2], shown[1] - shown[0])
    np.testing.assert_allclose(shown[0], 1.5 * shown[1])
    assert "33.3" in difference.texts[0].get_text()
    ax = report.preactivation_density(experiment)
    assert ax.get_yscale() == "log"
    gaussian = ax.lines[1]
    x, y = (np.asarray(v, dtype=float) for v in (gaussian.get_xdata(), gaussian.get_ydata()))
    variance = 2.0  # of the Laplace density that was written, but for its tails beyond 6
    np.testing.assert_allclose(y.max(), 1 / np.sqrt(2 * np.pi * variance), rtol=0.05)
    np.testing.assert_allclose(np.sum(y) * (x[1] - x[0]), 1.0, rtol=1e-3)


def test_forgetting_is_drawn_for_the_target_alone(results: Results) -> None:
    results.add("one", {"good": 0.0})
    (experiment,) = experiments(results.store)
    ax = report.loss_curves(experiment, observable="probe/source-loss", stages=[1])
    assert ax.get_xlim() == (0, 100)
    assert [text.get_text() for text in ax.texts] == ["target"]
    results.add("two", {"good": 0.0}, stages=1)
    assert page_of(results).count("Source loss during target training: ") == 1


def test_figures_are_drawn_for_as_many_experiments_as_asked(results: Results) -> None:
    for name in ("one", "two", "three[x=1]"):
        results.add(name, {"good": 0.0})
    page = page_of(results, figures=1)
    assert page.count("<svg") == 1 + 7
    assert "The first 1 of 3 experiments have figures." in page
    assert "1\u00a0of\u00a01 experiment" in page_of(results, only="*[x=1]")
    only = page_of(results, only="t*")
    assert re.findall(r"<h2 id=\"experiment-[^>]+>(.*?)</h2>", only) == ["two", "three[x=1]"]
    assert "in 2\u00a0of\u00a02 experiments" in only
    with pytest.raises(StoreError, match=r"'x\*' matches no experiment .* one, two, three"):
        page_of(results, only="x*")


def test_command_chooses_experiments_and_figures(results: Results, tmp_path: Path) -> None:
    for name in ("one", "two"):
        results.add(name, {"good": 0.0})
    folder, target = str(results.store.root), tmp_path / "only.html"
    run = CliRunner().invoke
    done = run(command, [folder, "--only", "o*", "--figures", "0", "-o", str(target)])
    assert (done.exit_code, done.stdout) == (0, f"{target}\n")
    page = target.read_text(encoding="utf-8")
    assert page.count("<svg") == 1
    assert "two</h2>" not in page
    refused = run(command, [folder, "--only", "o*"])
    assert refused.exit_code == 2
    assert "--only needs -o FILE" in refused.stderr
    assert not (results.store.root / "report.html").exists()


def test_many_experiments_are_shown_as_a_distribution(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "OVERVIEW", 1)
    for name in ("one", "two"):
        results.add(name, {"good": 0.0, "bad": 0.5})
    assert "A point for every experiment" in page_of(results, figures=0)
    ax = report.gap_distribution(score_results([results.store]))
    drawn = {str(line.get_marker()): len(np.asarray(line.get_xdata())) for line in ax.lines}
    assert (drawn["o"], drawn["X"], drawn["D"]) == (2, 2, 0)


ROW = score_row(
    {64: 0.2, 256: 0.1}, exponent=0.5, exponent_ci=(0.4, 0.6), width_at_5_percent=1024.0
)


def test_words_say_what_would_decide_and_what_was_left_out() -> None:
    before = " ".join(sentences.verdict_sentences(ROW))
    assert "More seeds or wider networks would decide." in before
    assert "a width of about 1,024." in before
    more = replace(
        ROW,
        advice="about 30 seeds would decide",
        dropped_widths=[16, 32],
        width_at_5_percent_kind="extrapolated",
    )
    after = " ".join(sentences.verdict_sentences(more))
    assert "About 30 seeds would decide." in after
    assert "widths 16 and 32" in after
    assert "a width of about 1,024 (extrapolated)." in after


def test_cost_of_a_theory_stands_beside_that_of_networks_as_near(results: Results) -> None:
    results.add("one", {"good": 0.0})
    rows = score_results([results.store])
    found = experiments(results.store)
    (tally,) = sentences.tallies(rows, found)
    assert (tally.mean_rank, tally.seconds) == (1.0, 1.5)
    known = [replace(row, network_seconds_same_error=600.0) for row in rows]
    (tally,) = sentences.tallies(known, found)
    assert tally.network_seconds == 600.0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.123, "0.12 s"), (89, "89 s"), (120, "2 min"), (9000, "2.5 h")]
)
def test_times_have_the_unit_that_suits(seconds: float, text: str) -> None:
    assert sentences.duration(seconds) == text.replace(" ", "\u00a0")


def test_dark_colours_keep_their_hue_and_trade_their_lightness() -> None:
    red, green, blue = (int(svg.on_dark("#1a1a1a")[k : k + 2], 16) for k in (1, 3, 5))
    assert red == green == blue > 200
    assert int(svg.on_dark("#ffffff")[1:3], 16) < 40
    assert svg.on_dark("#00795a")[1:3] < svg.on_dark("#00795a")[3:5]


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
    assert label("name[a=1,b=2]", 9) == "name…b=2]"


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


def test_draws_of_the_data_share_a_section_and_hide_no_failure(results: Results) -> None:
    for draw in range(4):
        name = f"x[regime.decay=0.5,task.data_seed={draw}]"
        widths = WIDTHS if draw == 2 else ()
        gap: float | str = "out of memory" if draw == 3 else 0.0
        results.add(name, {"good": gap}, widths=widths, data_seed=draw, regime={"decay": 0.5})
    page = page_of(results)
    text = " ".join(Elements(page).text.split())
    headings = re.findall(r"<h2 id=\"experiment-[^>]+>(.*?)</h2>", page)
    assert headings == ["x[regime.decay=0.5,task.data_seed=2]"], "the one with networks"
    assert "One of 4 draws of the data" in text
    assert "good; data seed 3 failed out of memory (phase: solve)" in text
    assert "in 4 experiments" in text
    assert "good describes wide networks in 1 of 2 experiments" in text, "no verdict on draw 3"


def test_theories_alone_have_a_page_without_complaint(results: Results) -> None:
    for draw in range(2):
        results.add(f"x[task.data_seed={draw}]", {"good": 0.0}, widths=(), data_seed=draw)
    page = page_of(results)
    text = " ".join(Elements(page).text.split())
    assert "Theories alone: there are no networks to compare them with." in text
    assert "No score" not in text and "no verdict on" not in text
    part = page.split('<h2 id="averages">')[1].split("</section>")[0]
    assert part.count("<tr>") == 1 + 1
    assert '<td class="number">2</td><td class="number">0.05481</td>' in part


def test_transfer_is_a_table_with_errors_that_is_cut_off(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    results.add(HOSTILE, {"good": 0.0})
    results.add("alone", {"good": 0.0}, stages=1)
    page = page_of(results, figures=0)
    part = page.split('<h2 id="transfer">')[1].split("</section>")[0]
    assert part.count("<tr>") == 1 + 1 + 1, "the widest networks, and a theory"
    assert "networks, width 256" in part and "Forgetting" in part
    assert "no control, so no gain" in part
    assert "Parameters" not in part and "Draws" not in part, "columns that would be empty"
    assert "<bdi>&lt;script&gt;" in part
    assert "Averages over draws" not in page, "there are none"
    monkeypatch.setattr(measures, "LONGEST", 1)
    assert "The first 1 of 2 rows." in page_of(results, figures=0)
    assert "harness.load(DIR).transfer" in page_of(results, figures=0)
    assert '<h2 id="transfer">' not in page_of(results, only="alone", figures=0)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.25342, 0.0021, "0.2534 ± 0.0021"),
        (-0.5, 0.12, "\u22120.50 ± 0.12"),
        (1234.4, 56.0, "1234 ± 56"),
        (0.25, 0.0, "0.25"),
        (0.1, 1e-17, "0.1"),
        (0.25, float("nan"), "0.25"),
        (float("nan"), 0.1, "–"),
    ],
)
def test_numbers_have_two_digits_of_their_error(value: float, error: float, text: str) -> None:
    assert measures.measured(value, error)[0] == text.replace(" ", "\u00a0")
