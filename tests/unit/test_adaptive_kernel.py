"""Fixed points of training with decay, against closed forms, particles and networks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from problems import gaussian_data, make, norm_error, problem, relative

from harness import (
    Dataset,
    Observable,
    Problem,
    Stage,
    Trajectory,
    TransferData,
    networks,
    numerics,
)

BAYES = Stage(
    data="target", richness=1.5, steps=1000, dt=0.02, decay=1.0, temperature=0.5, center=False
)
SOURCE = replace(BAYES, data="source", richness=1.2)


def single(data: TransferData | None = None) -> TransferData:
    both = data or gaussian_data()
    return TransferData(target=both.target, target_test=both.target_test)


def solved(task: Problem, **parameters: Any) -> Trajectory:
    theory = make("theory", "adaptive-kernel", **parameters)
    assert theory.supports(task) is None
    found: Trajectory = theory.predict(task)
    return found


def distance(one: Observable, other: Observable) -> float:
    """Return the distance of two observables in units of their combined standard error."""
    errors = [np.zeros(()) if o.stderr is None else o.stderr for o in (one, other)]
    combined = np.hypot(*(np.linalg.norm(e) for e in errors))
    return float(np.linalg.norm(one.values - other.values) / combined)


class TestTwoLayersAtATemperature:
    @pytest.mark.parametrize("activation", ["tanh", "relu"])
    def test_is_the_stationary_state_of_noisy_particles(self, activation: str) -> None:
        task = problem(single(), BAYES, activation=activation)
        fixed_point = solved(task)
        particles = make("theory", "mean-field", samples=8192).predict(task)
        for name in ("output-test", "loss-train", "loss-test", "kernel-alignment"):
            one, other = (t[0, f"stationary/{name}"] for t in (fixed_point, particles))
            # particles take steps: to first order in dt lambda their variances are larger by half
            bias = BAYES.step_size * BAYES.decay / 2 * np.linalg.norm(other.values)
            allowed = 3 * np.hypot(np.linalg.norm(one.stderr), np.linalg.norm(other.stderr)) + bias
            assert np.linalg.norm(one.values - other.values) < allowed, name

    def test_is_the_stationary_state_of_wide_networks(self) -> None:
        seeds, width = 4, 2048
        task = problem(single(), BAYES, activation="tanh")
        prediction = solved(task)[0, "output/test"]
        runs = [t for t in networks.train(task, width, range(seeds)) if isinstance(t, Trajectory)]
        outputs = np.stack([t[0, "stationary/output-test"].values[0] for t in runs])
        error = np.hypot(
            np.linalg.norm(outputs.std(axis=0, ddof=1)) / np.sqrt(seeds),
            np.linalg.norm(prediction.stderr),
        )
        size = np.linalg.norm(prediction.values)
        bias = size * (BAYES.step_size * BAYES.decay / 2 + 5 / width)
        assert np.linalg.norm(outputs.mean(axis=0) - prediction.values[0]) < 3 * error + bias

    def test_predictor_is_kernel_regression_with_its_own_kernel(self) -> None:
        found = solved(problem(single(), BAYES, activation="tanh"))
        data = gaussian_data().target
        kernel = found[0, "kernel/feature"].values[0, 0]
        points = len(data)
        ridged = kernel[:points, :points] + BAYES.decay * np.eye(points)
        expected = kernel[points:, :points] @ np.linalg.solve(ridged, data.y)
        assert relative(found[0, "output/test"].values[0], expected) < 0.02

    def test_residual_vanishes_within_its_error(self) -> None:
        notes = solved(problem(single(), BAYES, activation="tanh")).notes
        assert float(notes["stage0/residual"]) < 3 * float(notes["stage0/residual-stderr"])
        assert float(notes["stage0/residual-stderr"]) < 0.02

    def test_linear_units_match_the_closed_form(self) -> None:
        """The sampled solution, which knows nothing of linearity, against one equation."""
        x = np.random.default_rng(0).standard_normal((9, 6))
        y = np.tanh(x[:5, 0])
        rates = numerics.UnitRates(1.2, 0.8, 0.0, 0.4)
        exact = numerics.solve_stationary_linear(
            x @ x.T / 6, y, depth=1, richness=1.2, decay=0.8, temperature=0.4
        )
        factor = numerics.gram_factor(x, np.eye(9)[:, :5])
        sampled = numerics.solve_stationary_units(
            jnp.zeros((8, 2048, factor.shape[1])),
            factor,
            np.tile(y, (8, 1)),
            rates,
            activation="linear",
            directions=5,
            frozen=False,
            seed=0,
        )
        for found, expected in (
            (sampled.output, exact.output),
            (sampled.kernel, exact.kernels[0]),
        ):
            stderr = np.linalg.norm(found.std(axis=0, ddof=1)) / np.sqrt(8)
            assert np.linalg.norm(found.mean(axis=0) - expected) < 3 * stderr
            assert stderr < 0.03 * np.linalg.norm(expected)

    def test_small_richness_leaves_the_prior_kernel(self) -> None:
        stage = replace(BAYES, richness=1e-3, decay=0.5)
        found = solved(problem(single(), stage, activation="erf"))
        data = gaussian_data()
        x = np.concatenate([data.target.x, data.target_test.x])
        prior = np.asarray(
            numerics.lazy_kernels(x, x, activation="erf", depth=1).features[0]
        )  # at variance T / lambda = 1
        points = len(data.target)
        weights = np.linalg.solve(prior[:points, :points] + 0.5 * np.eye(points), data.target.y)
        gap = np.linalg.norm(found[0, "output/test"].values[0] - prior[points:, :points] @ weights)
        assert gap < 3 * np.linalg.norm(found[0, "output/test"].stderr)


class TestElasticTransfer:
    def test_is_the_stationary_state_of_coupled_particles(self) -> None:
        stages = (SOURCE, replace(BAYES, elastic=0.7, readout="zero"))
        task = problem(gaussian_data(), *stages, activation="tanh")
        fixed_point = solved(task)
        particles = make("theory", "mean-field", samples=8192).predict(task)
        one, other = (t[1, "stationary/output-test"] for t in (fixed_point, particles))
        bias = 0.02 * 1.7 / 2 * np.linalg.norm(other.values)
        allowed = 3 * np.hypot(np.linalg.norm(one.stderr), np.linalg.norm(other.stderr)) + bias
        assert np.linalg.norm(one.values - other.values) < allowed
        assert "probe/source-loss" in fixed_point.stages[1]

    def test_strong_coupling_freezes_the_features(self) -> None:
        data = gaussian_data()
        strong = replace(BAYES, elastic=3000.0, dt=0.0005, steps=20000)
        frozen = replace(BAYES, trainable="readout")
        one, other = (
            solved(problem(data, SOURCE, s, activation="tanh"), units=2048)[1, "output/test"]
            for s in (strong, frozen)
        )
        # the same units on both sides, moved by T / delta and gamma^2 / delta at most
        assert relative(one.values, other.values) < 0.02

    def test_weak_coupling_forgets_them(self) -> None:
        data = gaussian_data()
        weak = problem(data, SOURCE, replace(BAYES, elastic=1e-6), activation="tanh")
        alone = problem(data, BAYES, activation="tanh")
        assert distance(solved(weak)[1, "output/test"], solved(alone)[0, "output/test"]) < 3

    def test_coupling_lets_source_features_help(self) -> None:
        """On the source's own data, features that were learnt there lower the loss."""
        again = replace(SOURCE, readout="zero", elastic=3.0)
        found = solved(problem(gaussian_data(), SOURCE, again, activation="tanh"))
        first, second = (found[k, "loss/train"].values[0] for k in (0, 1))
        assert second < first

    def test_a_kept_readout_moves_the_origin(self) -> None:
        """Centred on what the source left, the labels still to be learnt are y plus that."""
        data = gaussian_data()
        target = replace(BAYES, center=True)
        kept = solved(problem(data, SOURCE, target, activation="tanh"))
        source = solved(problem(data, SOURCE, replace(BAYES, readout="zero"), activation="tanh"))
        uncentred = solved(problem(data, SOURCE, BAYES, activation="tanh"))
        assert distance(uncentred[1, "output/test"], source[1, "output/test"]) < 3
        assert distance(kept[1, "output/test"], uncentred[1, "output/test"]) > 5


class TestDeepLinear:
    def test_published_case(self) -> None:
        """L = 16, gamma = 4, beta = 10, D = 8 whitened inputs, |y| = 1 (arXiv:2502.07998)."""
        y = np.eye(8)[0]
        found = numerics.solve_stationary_linear(
            np.eye(8), y, depth=16, richness=4.0, decay=0.1, temperature=0.1
        )
        assert found.kernels[0, 0, 0] == pytest.approx(1.286, abs=5e-4)
        assert found.kernels[15, 0, 0] == pytest.approx(55.79, abs=5e-3)
        assert found.kernels[15, 1, 1] == pytest.approx(1.0)
        assert found.residual < 1e-9

    @pytest.mark.parametrize("depth", [1, 2, 5])
    def test_solves_the_saddle_point_equations(self, depth: int) -> None:
        """Phi_l = (P_l^{-1} + C_l)^{-1}, C_l = s^2 C_{l+1} (I + P_{l+1} C_{l+1})^{-1}."""
        rng = np.random.default_rng(1)
        x, y = rng.standard_normal((4, 7)), rng.standard_normal(4)
        gram, gamma, decay, temperature = x @ x.T / 7, 1.3, 0.7, 0.4
        variance = temperature / decay
        found = numerics.solve_stationary_linear(
            gram, y, depth=depth, richness=gamma, decay=decay, temperature=temperature
        )
        layers = [gram, *found.kernels]
        v = np.linalg.solve(layers[-1] + decay * np.eye(4), y)
        conjugate = -(gamma**2) / variance * np.outer(v, v)
        for below, kernel in zip(layers[-2::-1], layers[:0:-1], strict=True):
            prior = variance * below
            expected = np.linalg.inv(np.linalg.inv(prior) + conjugate)
            assert relative(kernel, expected) < 1e-8
            conjugate = variance * conjugate @ np.linalg.inv(np.eye(4) + prior @ conjugate)
        assert found.output == pytest.approx(layers[-1] @ v, rel=1e-9)

    def test_is_the_stationary_state_of_wide_networks(self) -> None:
        stage = replace(BAYES, richness=1.0, dt=0.01, steps=2000)
        task = problem(single(), stage, activation="linear", depth=2)
        prediction = solved(task)[0, "output/test"].values[0]
        seeds, width = 4, 512
        runs = [t for t in networks.train(task, width, range(seeds)) if isinstance(t, Trajectory)]
        outputs = np.stack([t[0, "stationary/output-test"].values[0] for t in runs])
        error = np.linalg.norm(outputs.std(axis=0, ddof=1)) / np.sqrt(seeds)
        # steps and finite width shift the kernel by dt lambda / 2 and of order P / N a layer
        bias = (0.01 / 2 + 12 / width) * np.linalg.norm(prediction)
        assert np.linalg.norm(outputs.mean(axis=0) - prediction) < 3 * error + bias

    def test_frozen_features_of_the_source_are_regressed_on(self) -> None:
        data = gaussian_data()
        target = replace(BAYES, trainable="readout", readout="zero")
        found = solved(problem(data, SOURCE, target, activation="linear", depth=3))
        kernel = found[1, "kernel/feature"].values[0, -1]
        points = len(data.target)
        ridged = kernel[:points, :points] + target.decay * np.eye(points)
        expected = kernel[points:, :points] @ np.linalg.solve(ridged, data.target.y)
        assert found[1, "output/test"].values[0] == pytest.approx(expected, rel=1e-9)

    def test_duplicate_points_and_singular_kernels(self) -> None:
        x = np.ones((3, 2))
        found = numerics.solve_stationary_linear(
            x @ x.T, np.ones(3), depth=2, richness=1.0, decay=1.0, temperature=1.0
        )
        assert np.isfinite(found.output).all()
        assert np.ptp(found.output) < 1e-12
        nothing = numerics.solve_stationary_linear(
            np.zeros((2, 2)), np.ones(2), depth=2, richness=1.0, decay=1.0, temperature=1.0
        )
        assert not nothing.output.any()

    def test_overflow_of_the_prior_is_an_error(self) -> None:
        with pytest.raises(ValueError, match=r"T / lambda = 1e\+20"):
            numerics.solve_stationary_linear(
                np.eye(2), np.ones(2), depth=16, richness=1.0, decay=1.0, temperature=1e20
            )


class TestDecayWithoutNoise:
    @pytest.mark.parametrize("richness", [0.5, 2.0])
    def test_is_where_linear_particles_end(self, richness: float) -> None:
        stage = Stage(data="target", richness=richness, steps=6000, dt=0.02, decay=0.5)
        task = problem(single(), stage, activation="linear")
        fixed_point = solved(task)[0, "output/test"].values
        particles = make("theory", "mean-field", samples=1024).predict(task)
        end = particles[0, "output/test"]
        assert np.linalg.norm(end.values - fixed_point) < 3 * np.linalg.norm(
            end.stderr
        ) + 1e-3 * np.linalg.norm(fixed_point)

    def test_too_much_decay_collapses_the_network(self) -> None:
        found = numerics.solve_decayed_linear(np.eye(3), np.ones(3), richness=0.1, decay=1.0)
        assert not found.output.any()

    def test_is_the_cold_limit(self) -> None:
        x = np.random.default_rng(2).standard_normal((6, 4))
        y = x[:4, 0]
        cold = numerics.solve_stationary_linear(
            x @ x.T / 4, y, depth=1, richness=1.5, decay=0.3, temperature=1e-9
        )
        frozen = numerics.solve_decayed_linear(x @ x.T / 4, y, richness=1.5, decay=0.3)
        assert relative(cold.output, frozen.output) < 1e-6
        assert relative(cold.kernels, frozen.kernels) < 1e-6


class TestInput:
    def test_a_point_twice_is_a_point_of_half_the_weight(self) -> None:
        """With ridge lambda, the same point twice and once at twice the scale of phi agree."""
        x = np.random.default_rng(0).standard_normal((3, 4))
        test = Dataset(x, np.ones(3))
        outputs = []
        for repeats in (1, 2):
            train = Dataset(np.tile(x[:1], (repeats, 1)), np.ones(repeats))
            task = problem(TransferData(target=train, target_test=test), BAYES, activation="tanh")
            outputs.append(solved(task)[0, "output/test"])
        for output in outputs:
            assert np.isfinite(output.values).all()
        assert outputs[1].values[0, 0] > outputs[0].values[0, 0]  # a smaller ridge for each

    def test_a_single_point_with_label_zero_is_fitted_by_zero(self) -> None:
        found = numerics.solve_stationary_units(
            jnp.zeros((2, 64, 1)),
            np.ones((1, 1)),
            np.zeros((2, 1)),
            numerics.UnitRates(1.0, 1.0, 0.0, 1.0),
            activation="tanh",
            directions=1,
            frozen=False,
            seed=0,
        )
        assert not found.output.any()
        assert found.residual == 0.0

    @pytest.mark.parametrize(
        ("stage", "depth", "activation", "reason"),
        [
            (replace(BAYES, decay=0.0), 1, "tanh", "decay is 0"),
            (replace(BAYES, temperature=0.0), 1, "tanh", "temperature is 0"),
            (replace(BAYES, steps=0), 1, "tanh", "steps x dt x decay is 0"),
            (replace(BAYES, dt=2.5), 1, "tanh", "dt = 2.5 is too large"),
            (BAYES, 2, "tanh", "deep networks if they are linear, not tanh"),
            (replace(BAYES, elastic=1.0), 2, "linear", "coupling for one hidden layer"),
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

    def test_more_units_are_taken_until_the_target_error_is_met(self) -> None:
        task = problem(single(), BAYES, activation="tanh")
        loose, tight = (solved(task, target_error=e) for e in (0.1, 0.001))
        assert tight.notes["samples"] > loose.notes["samples"]
        assert norm_error(tight, 0) < 0.001
