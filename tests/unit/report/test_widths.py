"""An observable over width: a line for each component, errors of seeds, theories across."""

from __future__ import annotations

import numpy as np
import pytest
from made_results import Outcome, Results
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer

from harness import Observable, Trajectory, report
from harness.report.figures.data import CHANGE
from harness.report.figures.style import reason_empty
from harness.store import ExperimentResults, experiments
from harness.suites import Experiment, Solver
from harness.suites.experiment import Spec


def add(
    results: Results,
    layers: int = 2,
    widths: tuple[int, ...] = (16, 64, 256),
    seeds: int = 3,
    name: str = CHANGE,
    sign: float = 1.0,
) -> ExperimentResults:
    """Write networks whose change falls as 1/sqrt(N), and a theory of a constant one."""
    theory = Spec("good", "1", {})
    observed = Spec(name, "1", {})
    task, architecture, regime = (Spec(kind, "1", {}) for kind in ("task", "mlp", "single"))
    experiment = Experiment(
        "one", task, 0, architecture, regime, (theory,), observables=(observed,)
    )
    outcomes: list[tuple[Solver, Outcome]] = []
    for width in widths:
        for seed in range(seeds):
            noise = 0.01 * np.random.default_rng([width, seed]).standard_normal(layers)
            values = sign * (np.arange(1, layers + 1) + noise) / np.sqrt(width)
            solver = Solver("network", width, seed, "float32")
            outcomes.append((solver, outcome(observed.name, values)))
    solver = Solver("good", theory=theory)
    outcomes.append((solver, outcome(observed.name, np.full(layers, 0.1), 0.01)))
    results.write(experiment, (0.1,), outcomes)
    (found,) = experiments(results.store)
    return found


def outcome(name: str, values: np.ndarray, error: float | None = None) -> Trajectory:
    stderr = None if error is None else np.full((1, len(values)), error)
    at = np.array([10])
    stage = {
        name: Observable(at, values[None], stderr),
        "output/test": Observable(at, np.ones((1, 3)), None if error is None else np.ones((1, 3))),
        "kernel/feature": Observable(at, np.ones((1, 1, 3, 3))),
    }
    return Trajectory((stage,))


def legends(ax: Axes) -> list[str]:
    from matplotlib.legend import Legend

    return [
        text.get_text()
        for legend in ax.get_children()
        if isinstance(legend, Legend)
        for text in legend.get_texts()
    ]


def test_every_layer_is_a_line_with_errors_and_the_theory_lies_across(results: Results) -> None:
    ax = report.over_width(add(results))
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert legends(ax) == ["networks, layer 1", "networks, layer 2", "good", "1/√N"]
    bars = ax.containers
    assert len(bars) == 2
    for k, bar in enumerate(bars):
        assert isinstance(bar, ErrorbarContainer)
        x, y = bar.lines[0].get_data()
        np.testing.assert_array_equal(np.asarray(x, float), [16, 64, 256])
        np.testing.assert_allclose(
            np.asarray(y, float), (k + 1) / np.sqrt([16, 64, 256]), rtol=0.05
        )
    flat = [line.get_ydata() for line in ax.lines if set(np.asarray(line.get_ydata())) == {0.1}]
    assert len(flat) == 2


def test_one_component_has_no_number_and_another_observable_no_slope(results: Results) -> None:
    ax = report.over_width(add(results, layers=1, name="own/mean"), observable="own/mean")
    assert legends(ax) == ["networks", "good"]
    assert ax.get_ylabel() == "own/mean"


def test_values_that_are_not_positive_have_a_linear_axis(results: Results) -> None:
    ax = report.over_width(add(results, sign=-1.0))
    assert ax.get_yscale() == "linear"
    assert "1/√N" not in legends(ax)


def test_one_seed_has_no_error(results: Results) -> None:
    assert len(report.over_width(add(results, seeds=1)).containers) == 2


@pytest.mark.parametrize(
    ("layers", "widths", "reason"),
    [
        (2, (16,), "networks of fewer than two widths recorded this"),
        (7, (16, 64), "more than 6 components"),
    ],
)
def test_it_says_so_where_there_is_nothing_to_draw(
    results: Results, layers: int, widths: tuple[int, ...], reason: str
) -> None:
    assert reason_empty(report.over_width(add(results, layers, widths))) == reason
