"""Observables of one's own: what they see of networks and theories, and how their faults end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from problems import gaussian_data, make, problem

from harness import (
    Dataset,
    Problem,
    Protocol,
    Registry,
    Stage,
    Trajectory,
    TransferData,
    Units,
    networks,
    numerics,
    solving,
)
from harness.conformance import check_component
from harness.errors import DivergenceError, LimitbenchError, ObservableError
from harness.numerics.problem import FEWEST, HELD
from harness.observables import first_units, most_units, together, units_on
from harness.records import UnitObservable
from harness.registry.declare import unit_observable

CHANGE = "preactivation/change-rms"


def own(measure: Callable[..., Any], asks_start: bool = False) -> UnitObservable:
    return UnitObservable("own/one", measure, asks_start)


def change_rms(points: str = "test") -> UnitObservable:
    from problems import REGISTRY

    component = REGISTRY.get("observable", CHANGE)
    return unit_observable(component, component.parse({"points": points}))


def two_stages(*observables: UnitObservable, steps: int = 8, depth: int = 1) -> Problem:
    stage = Stage(data="target", richness=1.0, steps=steps, dt=0.05)
    found = problem(
        gaussian_data(), replace(stage, data="source"), stage, activation="tanh", depth=depth
    )
    return replace(found, observables=observables)


def trained(task: Problem, width: int = 32, seeds: int = 1) -> list[Trajectory]:
    found = networks.train(task, width, range(seeds), "float64")
    assert all(isinstance(each, Trajectory) for each in found), found
    return found  # type: ignore[return-value]


# ---------------------------------------------------------------- what they see


def test_they_see_units_labels_and_the_centred_predictor_of_a_network() -> None:
    shapes: list[Any] = []

    def look(end: Units, start: Units) -> float:
        shapes.append([[h.shape for h in one.preactivations] for one in (*end, *start)])
        np.testing.assert_allclose(np.tanh(end.test.preactivations[1]), end.test.features[1])
        assert not end.test.features[0].flags.writeable
        np.testing.assert_array_equal(start.train.output, 0)  # centred
        return float(np.mean((end.test.output - end.test.y) ** 2))

    task = two_stages(own(look, asks_start=True), depth=2)
    (found,) = trained(task)
    assert shapes == [[[(12, 32)] * 2] * 4] * 2
    for index, stage in enumerate(found.stages):
        value = stage["own/one"]
        assert value.steps.tolist() == [8] and value.values.shape == (1,)
        np.testing.assert_allclose(value.values[0], found[index, "loss/test"].values[-1])


def test_nothing_else_of_a_network_changes() -> None:
    (plain,), (found,) = trained(two_stages()), trained(two_stages(change_rms()))
    for index, stage in enumerate(found.stages):
        assert stage.keys() - plain.stages[index].keys() == {CHANGE}
        for name, observable in plain.stages[index].items():
            np.testing.assert_array_equal(observable.values, stage[name].values)


def test_a_number_a_vector_and_an_array_are_recorded() -> None:
    made = [
        replace(own(lambda end: end.test.output.mean()), name="own/number"),
        replace(own(lambda end: end.test.output[:3]), name="own/vector"),
        replace(own(lambda end: end.test.preactivations[0][:2, :3]), name="own/array"),
    ]
    (found,) = trained(two_stages(*made))
    assert found[0, "own/number"].values.shape == (1,)
    assert found[0, "own/vector"].values.shape == (1, 3)
    assert found[0, "own/array"].values.shape == (1, 6), "flat, so that it has a place in tables"


def test_a_stage_without_steps_changes_nothing() -> None:
    (found,) = trained(two_stages(change_rms(), steps=0))
    np.testing.assert_array_equal(found[0, CHANGE].values, 0)


def test_they_see_units_at_every_position_of_images() -> None:
    shapes: list[Any] = []

    def look(end: Units) -> float:
        shapes.append((end.test.preactivations[0].shape, end.test.features[0].shape))
        return 0.0

    flat = gaussian_data(dimension=16)
    sets: Any = {n: Dataset(d.x.reshape(-1, 4, 4, 1), d.y) for n, d in flat.sets().items()}
    stage = Stage(data="target", richness=1.0, steps=3, dt=0.05)
    conv = make("architecture", "conv", patch=2, readout="mean")
    asked = (own(look), change_rms())
    task = Problem(TransferData(**sets), conv, Protocol((stage,)), asked)
    (found,) = trained(task)
    assert shapes == [((12, 4, 32), (12, 32))]
    assert found[0, CHANGE].values.shape == (1, 1)
    assert found[0, CHANGE].values[0, 0] > 0


def test_a_linearised_network_keeps_its_units_and_starts_from_zero() -> None:
    def start(end: Units, start: Units) -> float:
        return float(np.abs(start.test.output).max())

    stage = Stage(data="target", richness=0.0, steps=5, dt=0.05)
    task = replace(problem(gaussian_data(), stage), observables=(own(start, True), change_rms()))
    (found,) = trained(task)
    assert found[0, "own/one"].values.tolist() == [0.0]
    assert found[0, CHANGE].values.tolist() == [[0.0]]


def test_a_stage_with_noise_has_the_average_over_its_window() -> None:
    stage = Stage(data="target", richness=1.0, steps=80, dt=0.05, decay=1.0, temperature=0.1)
    task = replace(problem(gaussian_data(), stage), observables=(change_rms(),))
    (found,) = trained(task)
    average = found[0, "stationary/preactivation-change-rms"]
    assert average.stderr is not None
    assert abs(average.values[0, 0] / found[0, CHANGE].values[0, 0] - 1) < 0.5


def test_a_theory_that_shows_units_records_them_with_errors() -> None:
    task = two_stages(change_rms(), own(lambda end: end.test.features[0].mean()))
    found = make("theory", "mean-field", samples=1024).predict(task)
    for index in range(2):
        value = found[index, CHANGE]
        assert value.values.shape == (1, 1)
        assert value.replicates is not None and value.stderr is not None
        assert 0 < value.stderr[0, 0] < 0.1 * value.values[0, 0]
        assert found[index, "own/one"].values.shape == (1,)


def test_a_theory_that_shows_kernels_records_none() -> None:
    found = make("theory", "lazy-ntk").predict(two_stages(change_rms()))
    assert all(CHANGE not in stage for stage in found.stages)


def test_a_solver_may_use_the_memory_of_its_units_again() -> None:
    def solve(task: Any, settings: Any, samples: int, observe: Any, known: Any) -> Any:
        for index, stage in enumerate(task.stages):
            h = np.zeros((len(stage.seen), 4))
            for step in stage.records.tolist():
                h[:] = 3.0 * (step > 0)
                view = numerics.UnitView(np.zeros(len(stage.seen)), [h], [h + 1.0])
                observe(index, step, lambda _, view=view: view)
        return numerics.Solved({}, None)

    found = solving.solve_problem(two_stages(change_rms()), solve, None)
    assert found[1, CHANGE].values.tolist() == [[3.0]]


def test_a_theory_keeps_as_many_units_as_memory_allows() -> None:
    sets, x, labels = two_stages_sets()
    h = np.arange(36.0 * 200).reshape(36, 200)
    units = units_on(sets, x, labels, np.zeros(36), [h], [h])
    assert most_units(units, 8) == HELD // (8 * 2 * 24)
    assert most_units(units, HELD) == FEWEST
    cut = first_units(units, FEWEST)
    np.testing.assert_array_equal(cut.test.features[0], h[12:24, :FEWEST])
    assert not cut.test.features[0].flags.writeable


def two_stages_sets() -> tuple[Any, Any, Any]:
    from harness.observables import stage_points

    task = two_stages()
    x, labels, sets = stage_points(task.data, task.protocol.stages[0])
    return sets, np.concatenate([x, x])[:36], labels


def test_the_observable_of_the_documentation_passes_every_check(tmp_path: Path) -> None:
    docs = (Path(__file__).parents[2] / "docs/writing-plugins.md").read_text()
    section = docs.partition("\n## Observable\n")[2]
    (tmp_path / "moved.py").write_text(section.partition("```python\n")[2].partition("```")[0])
    component = Registry.load([tmp_path]).get("observable", "feature/moved")
    checks = check_component(component, {}, [str(tmp_path)])
    assert [f"{c.name}: {c.failure}" for c in checks if c.failure] == []
    (found,) = trained(two_stages(unit_observable(component, component.parse({}))))
    assert 0 < found[1, "feature/moved"].values[0, 0] < 2


# ---------------------------------------------------------------- faults


def raises(end: Units) -> float:
    raise KeyError("no such\nthing")


def writes(end: Units) -> float:
    end.test.features[0][:] = 0
    return 0.0


def ends(end: Units) -> float:
    raise SystemExit(3)


FAULTS = {
    raises: "KeyError: 'no such\\nthing'; mend it, then run again",
    writes: "ValueError: assignment destination is read-only; mend it, then run again",
    ends: "SystemExit: 3; mend it, then run again",
    lambda end: "x": "returned str of type <U1; return a real number, or an array of them",
    lambda end: np.nan: (
        "returned values that are not finite, though units are; mend it, then run again"
    ),
    lambda end: np.zeros((0, 3)): ("returned an empty array; return a number, or an array of some"),
    lambda end: np.zeros(100_001): (
        "returned 100,001 numbers; at most 100,000: return averages over units"
    ),
}


@pytest.mark.parametrize(("measure", "message"), FAULTS.items(), ids=range(len(FAULTS)))
def test_a_faulty_observable_fails_its_cells_in_one_line(
    measure: Callable[..., Any], message: str
) -> None:
    task = two_stages(own(measure))
    failed = networks.train(task, 16, range(2))
    assert [type(each) for each in failed] == [ObservableError] * 2
    assert {str(each) for each in failed} == {f"observable 'own/one': {message}"}
    with pytest.raises(ObservableError, match="observable 'own/one': "):
        make("theory", "mean-field", samples=64).predict(task)


@pytest.mark.parametrize("asks_start", [False, True])
def test_a_value_by_unit_is_refused_as_widths_would_disagree(asks_start: bool) -> None:
    def each(end: Units, start: Units | None = None) -> Any:
        late = end.test.features[0].mean(axis=0)
        return late if start is None else late - start.test.features[0].mean(axis=0)

    (failed,) = networks.train(two_stages(own(each, asks_start)), 16, [0])
    assert str(failed) == (
        "observable 'own/one': returned shape (16,) for 16 units, and (8,) for 8; average over"
        " units, so that networks of all widths have one shape"
    )


def test_a_value_by_point_may_have_as_many_numbers_as_there_are_units() -> None:
    (found,) = trained(two_stages(own(lambda end: end.test.output)), width=12)
    assert found[0, "own/one"].values.shape == (1, 12)


def test_a_network_that_finished_before_is_kept() -> None:
    calls = []

    def second_fails(end: Units) -> float:
        calls.append(1)
        return 1.0 if len(calls) <= 2 else 1 / 0

    if networks.trainer.seeds_per_call() == 1:
        first, second = networks.train(two_stages(own(second_fails)), 16, range(2))
        assert isinstance(first, Trajectory)
        assert isinstance(second, LimitbenchError)


def test_a_network_that_diverges_is_a_divergence_and_nothing_is_measured() -> None:
    def fails(end: Units) -> float:
        raise AssertionError("it sees no such network")

    stage = Stage(data="target", richness=1.0, steps=50, dt=1e4)
    task = replace(problem(gaussian_data(), stage), observables=(own(fails),))
    (found,) = networks.train(task, 16, [0])
    assert isinstance(found, DivergenceError)


def test_a_theory_that_diverges_is_a_divergence_and_nothing_is_measured() -> None:
    def solve(task: Any, settings: Any, samples: int, observe: Any, known: Any) -> Any:
        for step in task.stages[0].records.tolist():
            seen = len(task.stages[0].seen)
            h = np.full((seen, 4), np.nan if step else 0.0)
            observe(0, step, lambda _, h=h: numerics.UnitView(h[:, 0], [h], [h]))
        return numerics.Solved({}, None)

    with pytest.raises(DivergenceError):
        solving.solve_problem(two_stages(change_rms()), solve, None)


def test_values_of_networks_that_diverged_are_nan_beside_others() -> None:
    found = together([None, {"a": np.ones(2)}])
    np.testing.assert_array_equal(found["a"], [[np.nan, np.nan], [1, 1]])
    assert together([None, None]) == {}


def test_another_shape_is_refused_by_name() -> None:
    message = "observable 'a': returned shapes \\(1,\\) and \\(2,\\) for alike units"
    with pytest.raises(ObservableError, match=message):
        together([{"a": np.ones(1)}, {"a": np.ones(2)}])


# ---------------------------------------------------------------- the coordinate check

WIDTHS, SEEDS = (64, 128, 256, 512, 1024), 8


def changes(parameterization: Any) -> dict[int, np.ndarray]:
    """Change of pre-activations of every network, by width, (seeds,)."""
    stage = Stage(data="target", richness=1.0, steps=20, dt=0.05, parameterization=parameterization)
    task = replace(coordinate_problem(), protocol=Protocol((stage,)))
    found = {}
    for width in WIDTHS:
        runs = networks.train(task, width, range(SEEDS))
        found[width] = np.array([run[0, CHANGE].values[0, 0] for run in runs])  # type: ignore[index]
    return found


def coordinate_problem() -> Problem:
    stage = Stage(data="target", richness=1.0, steps=20, dt=0.05)
    found = problem(gaussian_data(points=24), stage, activation="tanh")
    return replace(found, observables=(change_rms(),))


def slope(found: dict[int, np.ndarray]) -> tuple[float, float]:
    """Weighted slope of log change on log N, and its standard error."""
    x = np.log(list(found))
    means = np.array([np.log(v).mean() for v in found.values()])
    errors = np.array([np.log(v).std(ddof=1) / len(v) ** 0.5 for v in found.values()])
    design = np.stack([np.ones_like(x), x], axis=1)
    covariance = np.linalg.inv(design.T @ (design / errors[:, None] ** 2))
    line = covariance @ design.T @ (means / errors**2)
    return float(line[1]), float(covariance[1, 1] ** 0.5)


def test_the_change_is_flat_in_the_mean_field_parameterization_and_as_its_theory_says() -> None:
    found = changes("mean-field")
    exponent, error = slope(found)
    # networks are biased by a number of order 1 / N, which tilts the line by about 1 / 64
    assert abs(exponent) < 3 * error + 1 / WIDTHS[0]
    theory = make("theory", "mean-field", samples=2**13).predict(coordinate_problem())[0, CHANGE]
    assert theory.stderr is not None
    for width, values in found.items():
        error = np.hypot(values.std(ddof=1) / SEEDS**0.5, theory.stderr[0, 0])
        distance = abs(values.mean() - theory.values[0, 0])
        # three standard errors, and the bias of networks: about 1 / N of O(1) to O(10)
        assert distance < 3 * error + 5 / width, width


def test_the_change_falls_as_the_root_of_the_width_in_the_ntk_parameterization() -> None:
    exponent, error = slope(changes("ntk"))
    assert abs(exponent + 0.5) < 3 * error + 1 / WIDTHS[0]
