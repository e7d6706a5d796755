"""`adaptive-kernel` says what it does not solve, and returns no answer that it does not know."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fixed_points import BAYES, COLD, sampled, single, solved
from problems import gaussian_data, make, norm_error, problem, relative

from harness import Dataset, LimitbenchError, Stage, numerics


class TestErrors:
    """A problem without a solution is the user's to mend; a mistake in a solver is not."""

    def test_no_solution_is_one_line_with_advice(self) -> None:
        hot = replace(BAYES, temperature=1e20)
        task = problem(single(), hot, activation="linear", depth=16)
        with pytest.raises(LimitbenchError, match=r"^stage 0: .*lower temp") as e:
            solved(task)
        assert "\n" not in str(e.value)

    @pytest.mark.parametrize("mistake", [ValueError, FloatingPointError, np.linalg.LinAlgError])
    def test_a_mistake_keeps_its_type_and_traceback(
        self, mistake: type[Exception], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: Any, **__: Any) -> Any:
            raise mistake("operands could not be broadcast together")

        monkeypatch.setattr("harness.numerics.posterior.ends.solve_stationary_linear", broken)
        with pytest.raises(mistake, match="broadcast"):
            solved(problem(single(), BAYES, activation="linear", depth=2))


class TestInput:
    def test_points_that_are_there_twice_count_as_half_the_ridge(self) -> None:
        data = gaussian_data()
        twice = Dataset(np.tile(data.target.x[:6], (2, 1)), np.tile(data.target.y[:6], 2))
        found = sampled(BAYES, data=replace(data, target=twice))
        kernel = found[0, "kernel/feature"].values[0, 0]
        ridged = kernel[:6, :6] + BAYES.decay / 2 * np.eye(6)
        expected = kernel[12:, :6] @ np.linalg.solve(ridged, data.target.y[:6])
        assert relative(found[0, "output/test"].values[0], expected) < 0.02

    def test_labels_of_zero_are_fitted_by_zero(self) -> None:
        data = gaussian_data()
        nothing = Dataset(data.target.x, np.zeros(len(data.target)))
        found = sampled(BAYES, data=replace(data, target=nothing))
        assert not found[0, "output/test"].values.any()
        assert found.notes["stage0/residual"] == 0.0
        cold = numerics.solve_decayed_units(
            np.eye(2), np.zeros(2), richness=1.0, decay=1.0, activation="relu", directions=2
        )
        assert not cold.output.any()

    @pytest.mark.parametrize(
        ("stage", "depth", "activation", "reason"),
        [
            (replace(BAYES, decay=0.0), 1, "tanh", "decay is 0"),
            (replace(BAYES, temperature=0.0), 1, "tanh", "two layers, linear or ReLU"),
            (replace(BAYES, temperature=0.0), 2, "relu", "two layers, linear or ReLU"),
            (replace(BAYES, temperature=0.0), 1, "relu", "at least 100 are needed"),
            (replace(BAYES, steps=0), 1, "tanh", "steps x dt x decay is 0"),
            (replace(BAYES, dt=2.5), 1, "tanh", "dt = 2.5 is too large"),
            (BAYES, 1, "he2", "grow no faster than linearly, not he2"),
            (replace(BAYES, elastic=1.0), 2, "tanh", "of one hidden layer or of linear networks"),
        ],
    )
    def test_what_is_outside_the_domain_has_a_reason(
        self, stage: Stage, depth: int, activation: str, reason: str
    ) -> None:
        task = problem(single(), stage, depth=depth, activation=activation)
        found = make("theory", "adaptive-kernel").supports(task)
        assert found is not None
        assert reason in found
        assert "\n" not in found

    def test_without_noise_a_second_stage_has_too_few_directions_left(self) -> None:
        source = replace(COLD, data="source")
        task = problem(gaussian_data(), source, COLD, activation="relu")
        found = make("theory", "adaptive-kernel").supports(task)
        assert found is not None
        assert "from the initial draw alone" in found

    def test_a_fixed_point_that_is_not_known_is_not_returned(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A residual that vanishes only within a large error says nothing."""
        tried = []

        def vague(factor: Any, y: Any, *_: Any, kept: int, **__: Any) -> numerics.SampledState:
            tried.append(kept)
            points, replicates = len(factor), len(y)
            return numerics.SampledState(
                np.zeros((replicates, points)),
                np.zeros((replicates, 1, points, points)),
                (np.zeros((replicates, points, 1)),),
                None,
                residual=0.1,
                residual_stderr=0.1,
                rounds=1,
                acceptance=1.0,
            )

        monkeypatch.setattr("harness.numerics.posterior.ends.solve_stationary_mixture", vague)
        with pytest.raises(LimitbenchError, match=r"0.1 \+- 0.1 of the labels.* more units"):
            solved(problem(single(), BAYES, activation="tanh"))
        assert tried == [512, 1024, 2048]

    def test_more_samples_are_taken_until_the_target_error_is_met(self) -> None:
        task = problem(gaussian_data(), BAYES, activation="tanh")
        loose, tight = (solved(task, target_error=e) for e in (0.1, 0.001))
        assert float(tight.notes["samples"]) > float(loose.notes["samples"])
        assert norm_error(tight, 0) < 0.001
