"""A figure or section that cannot be made costs itself alone, and says so in its place."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_results import SEEDS, WIDTHS, Results, network, trajectory

from harness import report
from harness.claims import drawing
from harness.observables import DENSITY_EDGES
from harness.records import Observable, Trajectory
from harness.registry import Registry
from harness.report import parts
from harness.report.figures import data
from harness.report.figures.style import new_axes
from harness.report.page import write_report
from harness.store import experiments
from harness.suites.cells import Solver
from harness.suites.experiment import Experiment, Spec

REGISTRY = Registry.load()


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "results")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """An experiment with every figure, a sweep over one parameter and one over two."""
    made = Results(tmp_path_factory.mktemp("whole") / "results")
    made.add("one", {"mean-field": 0.0})
    for x in (1.0, 2.0):
        made.add(f"a[regime.decay={x}]", {"mean-field": 0.0}, regime={"decay": x}, stages=1)
        for y in (1.0, 2.0):
            name = f"b[regime.decay={x},regime.richness={y}]"
            made.add(name, {"mean-field": 0.0}, regime={"decay": x, "richness": y}, stages=1)
    return made


def add_with(results: Results, name: str, values: Any) -> None:
    """Add an experiment whose every cell recorded these values of an observable."""
    theory = Spec("mean-field", "1", {})
    experiment = Experiment(
        "odd",
        Spec("made-up-task", "1", {}),
        0,
        Spec("mlp", "1", {"depth": 1}),
        Spec("fine-tune", "1", {}),
        (theory,),
    )

    def with_values(made: Trajectory) -> Trajectory:
        stage = dict(made.stages[-1])
        at = stage[name].steps
        shape = None if stage[name].stderr is None else np.zeros(values.shape)
        stage[name] = Observable(at, values, shape)
        return Trajectory((*made.stages[:-1], stage), made.notes)

    outcomes: list[Any] = [
        (Solver("network", width, seed, "float32"), with_values(network(width, seed, 2)))
        for width in WIDTHS
        for seed in SEEDS
    ]
    outcomes.append((Solver("mean-field", theory=theory), with_values(trajectory(1, 0, None, 2))))
    results.write(experiment, (0.1, 0.1), outcomes)


def page_of(results: Results, figures: int = 1) -> str:
    written = write_report(results.store, None, REGISTRY, figures=figures)
    return written.read_text(encoding="utf-8")


def faults(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.message for r in caplog.records if r.name == "harness.report"]


def outermost() -> Any:
    density = np.zeros(len(DENSITY_EDGES) - 1)
    density[[0, -1]] = 5.0
    return density[None, None]


# every selection that may be empty, what stands in its place, and how many figures there are
EMPTY = [
    ("preactivation/density", outermost(), "Pre-activation density: all lie beyond ±5.9", 7),
    (
        "preactivation/density",
        np.zeros((1, 1, len(DENSITY_EDGES) - 1)),
        "Pre-activation density: all lie beyond",
        7,
    ),
    ("kernel/feature", np.zeros((1, 1, 24, 24)), "", 8),
    ("kernel/feature", np.ones((1, 1, 24, 24)), "", 8),
    ("kernel/feature", np.ones((1, 1, 3, 3)), "", 7),  # of other points: no figure of kernels
    ("output/test", np.zeros((1, 12)), "", 4),  # no distance, so no figure that has one
]


@pytest.mark.parametrize(("name", "values", "sentence", "figures"), EMPTY)
def test_what_cannot_be_drawn_is_a_sentence_and_no_fault(
    results: Results,
    name: str,
    values: Any,
    sentence: str,
    figures: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    add_with(results, name, values)
    page = page_of(results)
    assert faults(caplog) == []
    assert "not shown" not in page
    assert page.count("<svg") == figures
    if sentence:
        assert f'<p class="note">{sentence}' in page


def test_a_density_of_theories_outside_the_bins_leaves_that_of_networks(results: Results) -> None:
    results.add("one", {"mean-field": 0.0})
    (experiment,) = experiments(results.store)
    found = data.densities(experiment)
    beyond = found[0], found[1], {"mean-field": outermost()[0, 0]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "densities", lambda _: beyond)
        ax = report.preactivation_density(experiment)
    assert len(ax.lines) == 2, "networks and their Gaussian"


FIGURES = {
    "harness.report.figures.convergence.convergence": "Convergence in width: one",
    "harness.report.figures.training.loss_curves": "Test loss over training: one",
    "harness.report.figures.predictions.predictions": "Networks against theories: one",
    "harness.report.figures.features.feature_kernels": "Feature kernels, networks and mean-field:"
    " one",
    "harness.report.figures.features.preactivation_density": "Pre-activation density: one",
    "harness.report.figures.overview.overview": "Overview: all experiments",
    "harness.report.figures.sweeps.sweep_curve": "Limit gap over regime.decay: a",
    "harness.report.figures.sweeps.sweep_map": "Limit gap of mean-field over regime.decay and"
    " regime.richness: b",
    "harness.report.figures.svg.picture": "Convergence in width: one",
    "harness.report.figures.data.kernel_pair": "Feature kernels, networks and mean-field: one",
}
DRAWING = tuple(FIGURES)[:-2]
SECTIONS = {
    "harness.report.page.section": "section: one",
    "harness.report.sections.experiments.provenance_tables": "section: one",
    "harness.report.sections.experiments._pictures": "section: one",
    "harness.report.figures.sweeps.find_sweeps": "sweeps",
    "harness.report.sections.claims.claim_sections": "claims",
    "harness.report.sections.tables.averages_table": "averages over draws",
    "harness.report.sections.tables.transfer_table": "transfer",
    "harness.report.sections.summary.tallies": "summary",
    "harness.report.page.row_anchor": "leaderboard",
}


def break_all(patch: pytest.MonkeyPatch, *names: str) -> None:
    def raises(*_: Any, **__: Any) -> Any:
        raise RuntimeError("out of\nluck <b>")

    for name in names:
        patch.setattr(name, raises)


def assert_absent(page: str, found: list[str], *names: str) -> None:
    """Assert that a sentence stands in the place of each part, and its fault was logged."""
    shown = page.replace("&#60;", "&lt;").replace("&#62;", "&gt;")
    for name in names:
        assert f"report: {name}: RuntimeError: out of luck <b>" in found
        sentence = "not shown, as it could not be made (RuntimeError: out of luck &lt;b&gt;)"
        assert f"{name}: {sentence}" in shown
    assert all("\n" not in line for line in found)
    assert page.rstrip().endswith("</html>") and 'id="experiment-' in page


@pytest.mark.parametrize(
    "functions",
    [
        DRAWING,
        ("harness.report.figures.data.kernel_pair",),
        ("harness.report.figures.svg.picture",),
    ],
)
def test_faults_of_figures_cost_themselves_alone(
    whole: Results,
    functions: tuple[str, ...],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    break_all(monkeypatch, *functions)
    page = page_of(whole, figures=1 if len(functions) == 1 else 2)
    named = {FIGURES[function] for function in functions}
    assert_absent(page, faults(caplog), *named)


@pytest.mark.parametrize("function", SECTIONS)
def test_a_fault_of_a_section_costs_itself_alone(
    whole: Results, function: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_all(monkeypatch, function)
    page = page_of(whole, figures=1 if function.endswith("_pictures") else 0)
    assert_absent(page, faults(caplog), SECTIONS[function])


def test_a_figure_of_a_claim_that_raises_costs_itself_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def draw() -> Any:
        raise ValueError

    (shown,) = parts.figure("key", "Evidence on the claim", "c", "", draw)
    assert shown.markup == (
        '<p class="alert">Evidence on the claim: c: not shown, as it could not be made'
        " (ValueError).</p>"
    )
    assert faults(caplog) == ["report: Evidence on the claim: c: ValueError"]


def test_warnings_of_a_figure_reach_no_terminal(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    def draw() -> Any:
        warnings.warn("a\nwarning", UserWarning, stacklevel=1)
        return new_axes()

    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")
        (made,) = parts.figure("key", "Figure", "c", "", draw)
    assert shown == [] and "<svg" in made.markup
    assert [(r.levelname, r.message) for r in caplog.records] == [
        ("INFO", "report: Figure: c: a warning")
    ]


def test_an_interrupted_report_is_interrupted() -> None:
    def stop() -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        parts.markup("part", stop)


def test_equal_values_of_a_sweep_and_axes_without_lines_warn_of_nothing(results: Results) -> None:
    from harness.report.figures.sweeps import Sweep, sweep_curve

    for name in ("s[a=1]", "s[a=1.0]"):
        results.add(name, {"mean-field": 0.0}, stages=1)
    sweep = Sweep("s", ("a",), ((1, 1.0),), {"s[a=1]": (1,), "s[a=1.0]": (1.0,)})
    from harness.scoring import score_results

    sweep_curve(score_results([results.store]), sweep)
    drawing.label_axes(new_axes(), "x", "y")
