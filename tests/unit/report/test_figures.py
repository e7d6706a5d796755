"""Figures draw what was computed, on axes of their own, and say so where there is nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pytest
from made_results import WIDTHS, Results
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from report_pages import Elements, page_of

from harness import report
from harness.errors import SuiteError
from harness.report import Sweep
from harness.report.figures import svg
from harness.report.figures.style import label, new_axes, theory_styles
from harness.report.sections.summary import overview_picture
from harness.scoring import score_results
from harness.scoring.trend import Fit
from harness.store import experiments


def test_large_figure_is_embedded_as_an_image() -> None:
    ax = new_axes()
    ax.plot([0, 1], [0, 1])
    small, large = (svg.picture(ax, "key", "A <line>", "", most) for most in (10**6, 0))
    assert "<svg" in small.markup and "<img" not in small.markup
    ((tag, image),) = Elements(large.markup).tags
    assert tag == "img"
    assert image["src"].startswith("data:image/png;base64,")
    assert image["alt"] == "A <line>"


def test_points_have_their_values_as_titles(results: Results) -> None:
    results.add("a & b", {"good": 0.0, "bad": 0.5})
    rows = [r for r in score_results([results.store]) if r.observable == "output/test"]
    points = {
        "good, width 16: ": report.convergence(rows),
        "a & b: bad, gap at infinite width: ": report.overview(rows),
        "a & b: good, gap at infinite width: ": report.gap_distribution(rows),
    }
    for beginning, ax in points.items():
        for drawn in (svg.picture(ax, "key", "title", "").markup, svg.as_file(ax, "svg").decode()):
            root = ElementTree.fromstring(drawn)
            titles = [each.text or "" for each in root.iter() if each.tag.endswith("title")]
            assert len([text for text in titles if text.startswith(beginning)]) == 1
            assert "values" not in drawn  # ids of artists hold the texts no more


def test_figures_return_axes_of_their_own_and_leave_pyplot_alone(results: Results) -> None:
    results.add("one", {"good": 0.0, "bad": 0.5})
    (experiment,) = experiments(results.store)
    rows = score_results([results.store])
    before, shown = dict(plt.rcParams), plt.get_fignums()
    drawn = [
        report.loss_curves(experiment),
        report.convergence(rows),
        report.predictions(experiment),
        report.overview(rows),
    ]
    assert all(isinstance(ax, Axes) for ax in drawn)
    assert plt.get_fignums() == shown
    assert dict(plt.rcParams) == before
    mine = Figure().subplots()
    assert report.overview(rows, mine) is mine


def sweep_of(results: Results) -> list[Sweep]:
    for depth in (1, 2):
        for value in (4.0, 0.25, 1.0):
            name = f"grid[regime.depth={depth},regime.richness={value}]"
            regime = {"depth": depth, "richness": value}
            results.add(name, {"good": 0.0, "bad": value}, regime=regime)
    for classes in ([0, 1], [2, 3]):
        name = f"line[regime.classes={classes}]".replace(" ", "")
        results.add(name, {"good": 0.0}, regime={"classes": classes})
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
    assert ax.get_ylabel() == "source loss"
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
    both = page_of(results, only=["one", "three*"])
    assert re.findall(r"<h2 id=\"experiment-[^>]+>(.*?)</h2>", both) == ["one", "three[x=1]"]
    assert "only <bdi>one, three*</bdi>" in both
    with pytest.raises(SuiteError, match=r"'x\*' matches no experiment .* one, two, three"):
        page_of(results, only=["one", "x*"])


def test_many_experiments_are_shown_as_a_distribution(results: Results) -> None:
    for name in ("one", "two"):
        results.add(name, {"good": 0.0, "bad": 0.5})
    rows = score_results([results.store])
    few, many = (overview_picture(rows, ["good", "bad"], "", most).caption for most in (2, 1))
    assert few.startswith("For every experiment and theory")
    assert many.startswith("A point for every experiment")
    ax = report.gap_distribution(rows)
    drawn = {str(line.get_marker()): len(np.asarray(line.get_xdata())) for line in ax.lines}
    assert (drawn["o"], drawn["X"], drawn["D"]) == (2, 2, 0)


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
