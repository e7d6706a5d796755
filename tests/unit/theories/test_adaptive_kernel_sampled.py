"""Fixed points at a temperature that are sampled, against particles, networks and closed forms."""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from fixed_points import BAYES, SOURCE, against_networks, norm, sampled, single, solved
from problems import gaussian_data, make, problem, relative

from harness import LimitbenchError, Observable, Trajectory, numerics


def distance(one: Observable, other: Observable) -> float:
    """Return the distance of two observables in units of their combined standard error."""
    errors = [0.0 if o.stderr is None else norm(o.stderr) for o in (one, other)]
    return norm(one.values - other.values) / float(np.hypot(errors[0], errors[1]))


@pytest.fixture(scope="module")
def bayes() -> Trajectory:
    return sampled(BAYES)


@pytest.fixture(scope="module")
def deep() -> Trajectory:
    task = problem(single(), BAYES, activation="tanh", depth=2)
    return solved(task, units=2048)


class TestTwoLayersAtATemperature:
    @pytest.mark.parametrize("activation", ["tanh", "relu"])
    def test_is_the_stationary_state_of_noisy_particles(
        self, activation: str, bayes: Trajectory
    ) -> None:
        task = problem(gaussian_data(), BAYES, activation=activation)
        fixed_point = bayes if activation == "tanh" else solved(task)
        particles = make("theory", "mean-field", samples=8192).predict(task)
        for name in ("output-test", "loss-train", "loss-test", "kernel-alignment"):
            one, other = (t[0, f"stationary/{name}"] for t in (fixed_point, particles))
            # particles take steps: to first order in dt lambda their variances are larger by half
            bias = BAYES.step_size * BAYES.decay / 2 * norm(other.values)
            allowed = 3 * np.hypot(norm(one.stderr), norm(other.stderr)) + bias
            assert norm(one.values - other.values) < allowed, name

    def test_is_the_stationary_state_of_wide_networks(self, bayes: Trajectory) -> None:
        against_networks(problem(single(), BAYES, activation="tanh"), bayes, 2048, seeds=4)

    def test_predictor_is_kernel_regression_with_its_own_kernel(self, bayes: Trajectory) -> None:
        data = gaussian_data().target
        kernel = bayes[0, "kernel/feature"].values[0, 0]
        points = len(data)
        ridged = kernel[:points, :points] + BAYES.decay * np.eye(points)
        expected = kernel[points:, :points] @ np.linalg.solve(ridged, data.y)
        assert relative(bayes[0, "output/test"].values[0], expected) < 0.02

    def test_residual_vanishes_within_its_error(self, bayes: Trajectory) -> None:
        assert float(bayes.notes["stage0/residual"]) < 3 * float(
            bayes.notes["stage0/residual-stderr"]
        )
        assert float(bayes.notes["stage0/residual-stderr"]) < 0.02

    def test_linear_units_match_the_closed_form(self) -> None:
        """The sampled solution, which knows nothing of linearity, against one equation."""
        x = np.random.default_rng(0).standard_normal((9, 6))
        y = np.tanh(x[:5, 0])
        rates = numerics.UnitRates(1.2, 0.8, 0.0, 0.4)
        exact = numerics.solve_stationary_linear(
            x @ x.T / 6, y, depth=1, richness=1.2, decay=0.8, temperature=0.4
        )
        factor = numerics.gram_factor(x, np.eye(9)[:, :5])
        found = numerics.solve_stationary_units(
            jnp.zeros((8, 1024, factor.shape[1])),
            factor,
            np.tile(y, (8, 1)),
            rates,
            activation="linear",
            directions=5,
            observations=64,
            seed=0,
        )
        for values, expected in (
            (found.output, exact.output),
            (found.kernels[:, 0], exact.kernels[0]),
        ):
            stderr = norm(values.std(axis=0, ddof=1)) / np.sqrt(8)
            assert norm(values.mean(axis=0) - expected) < 3 * stderr
            assert stderr < 0.03 * norm(expected)

    def test_moved_and_weighted_units_have_the_same_law(self, bayes: Trajectory) -> None:
        """The solver of many directions on a problem that both can solve."""
        data = gaussian_data()
        x = np.concatenate([data.target.x, data.target_test.x])
        factor = numerics.gram_factor(x)
        moved = numerics.solve_stationary_units(
            jnp.zeros((8, 512, 8), jnp.float32),
            factor,
            np.tile(data.target.y, (8, 1)),
            numerics.UnitRates(1.5, 1.0, 0.0, 0.5),
            activation="tanh",
            directions=8,
            observations=32,
            seed=1,
        )
        test, kernel = moved.output[:, 12:], moved.kernels[:, 0]
        for values, weighted in (
            (test, bayes[0, "output/test"]),
            (kernel, bayes[0, "kernel/feature"]),
        ):
            stderr = np.hypot(norm(values.std(axis=0, ddof=1)) / np.sqrt(8), norm(weighted.stderr))
            assert norm(values.mean(axis=0) - weighted.values.squeeze()) < 3 * stderr

    def test_uneven_weights_leave_it_to_moves(self) -> None:
        x = np.random.default_rng(0).standard_normal((9, 4))
        with pytest.raises(numerics.ConvergenceError, match="draws count, and 30% have to"):
            numerics.solve_stationary_mixture(
                numerics.gram_factor(x),
                np.sign(x[None, :5, 0]).repeat(2, axis=0),
                numerics.UnitRates(4.0, 1.0, 0.0, 0.05),
                activation="tanh",
                directions=2,
                samples=512,
                kept=8,
                seed=0,
            )

    def test_small_richness_leaves_the_prior_kernel(self) -> None:
        found = sampled(replace(BAYES, richness=1e-3, temperature=1.0))  # T / lambda = 1
        data = gaussian_data()
        x = np.concatenate([data.target.x, data.target_test.x])
        prior = np.asarray(numerics.lazy_kernels(x, x, activation="tanh", depth=1).features[0])
        points = len(data.target)
        weights = np.linalg.solve(prior[:points, :points] + np.eye(points), data.target.y)
        output = found[0, "output/test"]
        assert norm(output.values[0] - prior[points:, :points] @ weights) < 3 * norm(output.stderr)


class TestElasticTransfer:
    def test_is_the_stationary_state_of_coupled_particles(self) -> None:
        stages = (SOURCE, replace(BAYES, elastic=0.7, readout="zero"))
        fixed_point = sampled(*stages)
        task = problem(gaussian_data(), *stages, activation="tanh")
        particles = make("theory", "mean-field", samples=8192).predict(task)
        one, other = (t[1, "stationary/output-test"] for t in (fixed_point, particles))
        bias = 0.02 * 1.7 / 2 * norm(other.values)
        allowed = 3 * np.hypot(norm(one.stderr), norm(other.stderr)) + bias
        assert norm(one.values - other.values) < allowed
        assert "probe/source-loss" in fixed_point.stages[1]

    def test_strong_coupling_freezes_the_features(self) -> None:
        strong = replace(BAYES, elastic=3000.0, dt=0.0005, steps=20000)
        frozen = replace(BAYES, trainable="readout")
        found = sampled(SOURCE, strong)
        assert float(found.notes["stage1/residual"]) < 0.005
        one, other = found[1, "output/test"], sampled(SOURCE, frozen)[1, "output/test"]
        # units are moved by T / delta and gamma^2 / delta at most
        moved = 2e-3 * norm(other.values)
        assert (
            norm(one.values - other.values)
            < 3 * np.hypot(norm(one.stderr), norm(other.stderr)) + moved
        )

    def test_weak_coupling_forgets_them(self, bayes: Trajectory) -> None:
        weak = sampled(SOURCE, replace(BAYES, elastic=1e-6))
        assert distance(weak[1, "output/test"], bayes[0, "output/test"]) < 3

    def test_coupling_lets_source_features_help(self) -> None:
        """On the source's own data, features that were learnt there lower the loss."""
        rich = replace(SOURCE, richness=3.0)
        found = sampled(rich, replace(rich, readout="zero", elastic=3.0))
        first, second = (found[k, "loss/train"].values[0] for k in (0, 1))
        assert second < first

    def test_a_kept_readout_moves_the_origin(self, bayes: Trajectory) -> None:
        """Centred on what the source left, the labels still to be learnt are y plus that."""
        kept = sampled(SOURCE, replace(BAYES, center=True))
        zero, uncentred = (sampled(SOURCE, s) for s in (replace(BAYES, readout="zero"), BAYES))
        assert distance(uncentred[1, "output/test"], zero[1, "output/test"]) < 3
        assert distance(kept[1, "output/test"], uncentred[1, "output/test"]) > 5


class TestFrozenFeatures:
    @pytest.mark.parametrize("depth", [1, 3])
    def test_of_the_initial_draw_are_regressed_on_exactly(self, depth: int) -> None:
        frozen = replace(BAYES, trainable="readout", temperature=0.0)
        data = gaussian_data()
        found = solved(problem(data, frozen, activation="relu", depth=depth))
        x = np.concatenate([data.target.x, data.target_test.x])
        prior = np.asarray(numerics.lazy_kernels(x, x, activation="relu", depth=depth).features[-1])
        points = len(data.target)
        weights = np.linalg.solve(prior[:points, :points] + np.eye(points), data.target.y)
        expected = prior[points:, :points] @ weights
        assert found[0, "output/test"].values[0] == pytest.approx(expected, rel=1e-9)
        assert found[0, "output/test"].stderr is None


class TestDeepLayers:
    """The saddle point of nonlinear kernels, by sampling."""

    def test_linear_layers_match_the_closed_form(self) -> None:
        """Stretches of 1.5 a layer, which the sampled solution has to find by itself."""
        x = np.random.default_rng(0).standard_normal((9, 6))
        y = np.tanh(2 * x[:5, 0])
        exact = numerics.solve_stationary_linear(
            x @ x.T / 6, y, depth=3, richness=1.0, decay=0.8, temperature=0.8
        )
        found = numerics.solve_stationary_layers(
            x @ x.T / 6,
            np.tile(y, (8, 1)),
            numerics.UnitRates(1.0, 0.8, 0.0, 0.8),
            depth=3,
            activation="linear",
            units=2048,
            observations=16,
            seed=0,
        )
        assert exact.stretch > 1.4
        pairs = [(found.output, exact.output)]
        pairs += [(found.kernels[:, layer], exact.kernels[layer]) for layer in range(3)]
        for values, expected in pairs:
            stderr = norm(values.std(axis=0, ddof=1)) / np.sqrt(8)
            assert norm(values.mean(axis=0) - expected) < 3 * stderr
            assert stderr < 0.03 * norm(expected)

    def test_a_single_layer_is_the_two_layer_solution(self, bayes: Trajectory) -> None:
        data = gaussian_data()
        x = np.concatenate([data.target.x, data.target_test.x])
        found = numerics.solve_stationary_layers(
            x @ x.T / x.shape[1],
            np.tile(data.target.y, (8, 1)),
            numerics.UnitRates(1.5, 1.0, 0.0, 0.5),
            depth=1,
            activation="tanh",
            units=512,
            observations=32,
            seed=0,
        )
        test = found.output[:, len(data.target) :]
        expected = bayes[0, "output/test"]
        error = np.hypot(norm(test.std(axis=0, ddof=1)) / np.sqrt(8), norm(expected.stderr))
        assert norm(test.mean(axis=0) - expected.values[0]) < 3 * error

    def test_is_the_stationary_state_of_networks(self, deep: Trajectory) -> None:
        task = problem(single(), BAYES, activation="tanh", depth=2)
        against_networks(task, deep, width=512, seeds=3)

    def test_residual_vanishes_within_its_error(self, deep: Trajectory) -> None:
        assert float(deep.notes["stage0/residual"]) < 3 * float(
            deep.notes["stage0/residual-stderr"]
        )
        assert float(deep.notes["stage0/residual-stderr"]) < 0.02

    def test_predictor_is_kernel_regression_with_its_last_kernel(self, deep: Trajectory) -> None:
        data = gaussian_data().target
        kernels = deep[0, "kernel/feature"].values[0]
        assert len(kernels) == 2
        points = len(data)
        ridged = kernels[1, :points, :points] + BAYES.decay * np.eye(points)
        expected = kernels[1, points:, :points] @ np.linalg.solve(ridged, data.y)
        assert relative(deep[0, "output/test"].values[0], expected) < 0.02

    def test_a_search_that_does_not_settle_says_what_to_change(self) -> None:
        rich = replace(BAYES, richness=100.0)
        task = problem(single(), rich, activation="tanh", depth=2)
        with pytest.raises(LimitbenchError, match=r"use more units .* lower richness"):
            solved(task, units=64)
