"""Solvers meet problems: observables of what they show, and samples until the error is small."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import numpy as np
import pytest
from problems import gaussian_data, problem

from harness import (
    DivergenceError,
    LimitbenchError,
    Problem,
    Stage,
    Trajectory,
    numerics,
    observables,
    recorded_steps,
    solving,
)
from harness.numerics import KernelView, Observe, ProblemArrays, Solved, UnitView

View = TypeVar("View", UnitView, KernelView)


def two_stages(decay: float = 0.0, temperature: float = 0.0) -> Problem:
    return problem(
        gaussian_data(),
        Stage(data="source", richness=1.0, steps=3, dt=0.1),
        Stage(
            data="target",
            richness=2.0,
            steps=5,
            dt=0.1,
            trainable="readout",
            decay=decay,
            temperature=temperature,
        ),
    )


def shown(view: Callable[[ProblemArrays, int, int], UnitView], replicates: int) -> Trajectory:
    """Return what is made of views of (problem, stage, replicate), the same at every step."""

    def solve(
        found: ProblemArrays, settings: None, samples: int, observe: Observe, known: None
    ) -> Solved[None]:
        for index, stage in enumerate(found.stages):
            for step in stage.records.tolist():
                observe(index, step, partial(view, found, index), replicates)
        return Solved({"samples": samples}, None)

    return solving.solve_problem(two_stages(), solve, None, 7)


def block(kernel: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
    return kernel[rows, columns]


def same(view: View, replicate: int) -> View:
    return view


def test_arrays_of_a_problem_are_its_sets_in_order() -> None:
    asked = two_stages(decay=0.5, temperature=0.25)
    arrays = solving.problem_arrays(asked)
    sets = asked.data.sets()
    np.testing.assert_array_equal(arrays.x, np.concatenate([d.x for d in sets.values()]))
    np.testing.assert_allclose(arrays.gram, arrays.x @ arrays.x.T / 8)
    first, second = arrays.stages
    assert (first.rates.richness, second.rates.decay, second.rates.temperature) == (1.0, 0.5, 0.25)
    assert (first.frozen, second.frozen) == (False, True)
    np.testing.assert_array_equal(second.records, recorded_steps(5))
    for stage, arrived in zip(asked.protocol.stages, arrays.stages, strict=True):
        x, labels, sets_of = observables.stage_points(asked.data, stage)
        np.testing.assert_array_equal(arrays.x[arrived.seen], x)
        np.testing.assert_array_equal(arrived.y, labels.train)
        assert len(arrived.train) + len(arrived.query) == sets_of.test[1]
    assert arrays.trained.sum() == len(sets["source"]) + len(sets["target"])


def test_units_of_replicates_give_values_and_standard_errors() -> None:
    def view(found: ProblemArrays, index: int, replicate: int) -> UnitView:
        drawn = np.random.default_rng([index, replicate]).standard_normal((8, 40))
        h = found.x[found.stages[index].seen] @ drawn
        return UnitView(h.mean(axis=1) / 10, [h], [np.tanh(h)])

    found = shown(view, 4)
    arrays = solving.problem_arrays(two_stages())
    views = [view(arrays, 1, r) for r in range(4)]
    _, y, sets = observables.stage_points(two_stages().data, two_stages().protocol.stages[1])
    outputs = np.stack([v.output[slice(*sets.test)] for v in views])
    predictor = found[1, "output/test"]
    np.testing.assert_allclose(predictor.values[0], outputs.mean(axis=0))
    assert predictor.stderr is not None
    np.testing.assert_allclose(predictor.stderr[0], outputs.std(axis=0, ddof=1) / 2)
    each = [observables.unit_curves(sets, y, v.output, v.features[0]) for v in views]
    for name in ("loss/train", "kernel/alignment", "probe/source-loss"):
        np.testing.assert_allclose(found[1, name].values, np.mean([c[name] for c in each]))
    assert found.notes["samples"] == 7


def test_kernels_at_all_steps_are_as_good_as_units_at_each() -> None:
    x = np.random.default_rng(0).standard_normal((8, 40))

    def units(found: ProblemArrays, index: int, replicate: int) -> UnitView:
        h = found.x[found.stages[index].seen] @ x
        return UnitView(h[:, 0] / 10, [h], [np.tanh(h)])

    def solve(
        found: ProblemArrays, settings: None, samples: int, observe: Observe, known: None
    ) -> Solved[None]:
        for index, stage in enumerate(found.stages):
            own = units(found, index, 0)
            kernel = own.features[0] @ own.features[0].T / 40
            output = np.repeat(own.output[None], len(stage.records), axis=0)
            view = KernelView(output, partial(block, kernel), kernel[None], own.preactivations)
            observe(index, stage.records, partial(same, view))
        return Solved({}, None)

    one, two = shown(units, 1), solving.solve_problem(two_stages(), solve, None)
    for first, second in zip(one.stages, two.stages, strict=True):
        assert first.keys() == second.keys()
        for name, expected in first.items():
            np.testing.assert_array_equal(second[name].steps, expected.steps)
            np.testing.assert_allclose(second[name].values, expected.values, atol=1e-12)
            assert second[name].stderr is None


def test_a_view_without_kernels_at_the_end_of_a_stage_is_a_mistake_with_words() -> None:
    def solve(
        found: ProblemArrays, settings: None, samples: int, observe: Observe, known: None
    ) -> Solved[None]:
        stage = found.stages[0]
        gram = found.gram[np.ix_(stage.seen, stage.seen)]
        observe(0, stage.steps, partial(same, KernelView(gram[0], partial(block, gram))))
        return Solved({}, None)

    with pytest.raises(ValueError, match="at the end of a stage needs kernels"):
        solving.solve_problem(two_stages(), solve, None)


def test_stationary_averages_need_a_solver_that_follows_noise() -> None:
    noisy = problem(
        gaussian_data(), Stage(data="target", richness=1.0, steps=200, dt=0.1, temperature=0.1)
    )
    x = np.random.default_rng(0).standard_normal((8, 30))

    def solver(window: bool) -> numerics.Solver[None, None]:
        def solve(
            found: ProblemArrays, settings: None, samples: int, observe: Observe, known: None
        ) -> Solved[None]:
            (stage,) = found.stages
            h = found.x[stage.seen] @ x
            steps = {*stage.records.tolist(), *(stage.window.tolist() if window else ())}
            for step in sorted(steps):
                observe(0, step, lambda r: UnitView(h[:, r] / 10, [h], [h]), 2)
            return Solved({}, None)

        return solve

    with_window = solving.solve_problem(noisy, solver(True), None)
    assert with_window[0, "stationary/output-test"].stderr is not None
    assert with_window.notes["stage0/halves"] == pytest.approx(0.0)
    without = solving.solve_problem(noisy, solver(False), None)
    assert not any(name.startswith("stationary/") for name in without.stages[0])
    assert not without.notes


@pytest.mark.parametrize("size", [np.nan, np.inf, 1e3])
def test_an_exploding_loss_is_a_divergence(size: float) -> None:
    def solve(
        found: ProblemArrays, settings: None, samples: int, observe: Observe, known: None
    ) -> Solved[None]:
        for index, stage in enumerate(found.stages):
            h = found.x[stage.seen]
            for step in stage.records.tolist():
                output = np.full(len(h), step * (size if index else 1.0) if step else 0.0)
                observe(index, step, partial(same, UnitView(output, [h], [h])))
        return Solved({}, None)

    with pytest.raises(DivergenceError, match=r"dt = 0.1, richness = 2\); use a smaller dt"):
        solving.solve_problem(two_stages(), solve, None)


def test_a_solver_without_solution_is_told_in_one_line() -> None:
    def solve(
        found: ProblemArrays, settings: None, samples: int, observe: Observe, known: None
    ) -> Solved[None]:
        raise numerics.SolverError("no fixed point", "use more units")

    with pytest.raises(LimitbenchError, match=r"^no fixed point; use more units$"):
        solving.solve_problem(two_stages(), solve, None)


class TestUntilAccurate:
    """A solver whose standard error is 1 / sqrt(samples) of its predictor."""

    def asked(self, target: float, first: int, most: int, least: int = 1) -> list[int]:
        asked: list[int] = []

        def solve(
            found: ProblemArrays, settings: None, samples: int, observe: Observe, known: int | None
        ) -> Solved[int]:
            assert known == (asked[-1] if asked else None)
            asked.append(samples)
            taken = max(samples, least)
            for index, stage in enumerate(found.stages):
                h = found.x[stage.seen]

                def view(replicate: int, h: np.ndarray = h) -> UnitView:
                    # two replicates at +- d from their mean have a standard error of d
                    off = (-1) ** replicate * taken**-0.5
                    return UnitView(np.full(len(h), 1.0 + off), [h], [h])

                observe(index, stage.steps, view, 2)
            return Solved({"samples": taken}, samples)

        solving.until_accurate(two_stages(), solve, None, target=target, first=first, most=most)
        return asked

    def test_takes_a_little_more_than_the_error_asks_for(self) -> None:
        assert self.asked(0.1, 25, 1000) == [25, 120]

    def test_stops_where_the_error_is_small_enough(self) -> None:
        assert self.asked(0.2001, 25, 1000) == [25]

    def test_grows_sixteenfold_at_most_and_gives_way_to_the_bound(self) -> None:
        assert self.asked(0.01, 1, 200) == [1, 16, 200]

    def test_counts_the_samples_that_were_taken(self) -> None:
        assert self.asked(0.1, 10, 1000, least=50) == [10, 120]
