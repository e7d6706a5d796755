"""Fixed points of linear networks at a temperature, alone and coupled: the closed forms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
from fixed_points import BAYES, SOURCE, against_networks, norm, single, solved
from problems import gaussian_data, make, problem, relative

from harness import numerics

SOURCE_OF = {"richness": 1.2, "decay": 0.8, "temperature": 0.4}
TARGET_OF = {"richness": 1.0, "decay": 0.9, "temperature": 0.6}


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
        against_networks(task, solved(task), width=512, seeds=4)

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
        with pytest.raises(numerics.SolverError, match=r"T / lambda = 1e\+20"):
            numerics.solve_stationary_linear(
                np.eye(2), np.ones(2), depth=16, richness=1.0, decay=1.0, temperature=1e20
            )


class TestCoupledLinear:
    """Elastic transfer of linear networks: quenched replicas in closed form."""

    def solved(
        self, depth: int, elastic: float, coupled: bool = True, **other: float
    ) -> tuple[numerics.CoupledLinear, numerics.StationaryLinear, numerics.StationaryLinear]:
        """Return the coupled state, the source's, and that of the target alone."""
        x, source, target = self.data()
        gram = x @ x.T / x.shape[1]
        before, now = SOURCE_OF | other, TARGET_OF | other
        first = numerics.solve_stationary_linear(gram[::-1, ::-1], source, depth=depth, **before)
        reference = numerics.stationary_reference(first, source, **before)
        reference = reference._replace(pull=reference.pull[::-1])
        if not coupled:
            reference = numerics.initial_reference(len(x), depth)
        found = numerics.solve_coupled_linear(gram, target, reference, elastic=elastic, **now)
        alone = numerics.solve_stationary_linear(gram, target, depth=depth, **now)
        return found, first, alone

    def data(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return inputs, target points first and source points last, and both labels."""
        x = np.random.default_rng(0).standard_normal((11, 6))
        return x, np.sign(x[::-1][:4, 0]), np.sign(x[:5, 0] + x[:5, 1])

    @pytest.mark.parametrize("coupled", [True, False], ids=["source", "initial draw"])
    def test_one_layer_equals_the_sampled_solution(self, coupled: bool) -> None:
        x, source, target = self.data()
        exact, _, _ = self.solved(1, 1.3, coupled)
        factor = numerics.gram_factor(x, np.eye(11)[:, [0, 1, 2, 3, 4, 7, 8, 9, 10]])
        how: dict[str, Any] = {"activation": "linear", "directions": 6}
        initial = jax.random.normal(jax.random.key(3), (8, 2048, 6))
        units: Any = initial
        if coupled:
            units = numerics.solve_stationary_units(
                initial,
                factor[::-1],
                np.tile(source, (8, 1)),
                numerics.UnitRates(1.2, 0.8, 0.0, 0.4),
                observations=2,
                seed=0,
                **how,
            ).units
        found = numerics.solve_stationary_units(
            units,
            factor,
            np.tile(target, (8, 1)),
            numerics.UnitRates(1.0, 0.9, 1.3, 0.6),
            observations=8,
            seed=1,
            **how,
        )
        for values, expected in (
            (found.output, exact.output),
            (found.kernels[:, 0], exact.kernels[0]),
        ):
            stderr = norm(values.std(axis=0, ddof=1)) / np.sqrt(8)
            assert norm(values.mean(axis=0) - expected) < 3 * stderr
            assert stderr < 0.03 * norm(expected)

    @pytest.mark.parametrize("depth", [1, 3])
    def test_weak_coupling_is_the_target_alone(self, depth: int) -> None:
        found, _, alone = self.solved(depth, 1e-8)
        assert relative(found.output, alone.output) < 1e-6
        assert relative(found.kernels, alone.kernels) < 1e-6

    @pytest.mark.parametrize("depth", [1, 3])
    def test_strong_coupling_freezes_the_features(self, depth: int) -> None:
        found, first, _ = self.solved(depth, 1e8)
        kernels = first.kernels[:, ::-1, ::-1]
        _, _, y = self.data()
        regressed = numerics.ridge_regression(kernels[-1:], y[None], TARGET_OF["decay"])[0]
        assert relative(found.kernels, kernels) < 1e-6
        assert relative(found.output, regressed) < 1e-6

    @pytest.mark.parametrize("depth", [1, 3])
    def test_predictor_is_kernel_regression_with_its_last_kernel(self, depth: int) -> None:
        found, _, _ = self.solved(depth, 0.7)
        _, _, y = self.data()
        regressed = numerics.ridge_regression(found.kernels[-1:], y[None], TARGET_OF["decay"])[0]
        assert found.residual < 1e-10
        assert relative(found.output, regressed) < 1e-9
        assert np.linalg.eigvalsh(found.kernels).min() > -1e-9

    def test_solves_the_equations_of_full_blocks(self) -> None:
        """The same saddle with n replicas written out, as n -> 0, for two layers of kernels."""
        # at fixed v a plain iteration finds the saddle of stretches below 2 alone
        found, first, _ = self.solved(2, 0.7, richness=0.6)
        x, source, y = self.data()
        gram, points, train = x @ x.T / 6, len(x), len(y)
        m, noise, s0 = 0.7 / 1.6, 0.6 / 1.6, 0.4 / 0.8
        v, pull = np.zeros(points), np.zeros(points)
        v[:train] = (y - found.output[:train]) / 0.9
        pull[::-1][: len(source)] = (source - first.output[: len(source)]) / 0.8

        def blocks(own: Any, cross: Any, quenched: Any, shared: Any) -> np.ndarray:
            zero = np.zeros_like(own)
            return np.block([[own, cross, shared], [zero, quenched, cross.T], [zero, zero, own]])

        def parts(matrix: np.ndarray) -> tuple[np.ndarray, ...]:
            p = slice(0, points), slice(points, 2 * points), slice(2 * points, None)
            return matrix[p[0], p[0]], matrix[p[0], p[1]], matrix[p[1], p[1]], matrix[p[0], p[2]]

        def mixed(own: Any, cross: Any, quenched: Any, shared: Any) -> np.ndarray:
            moved = m**2 * s0 * own + noise * (own + shared)
            return blocks(moved, m * s0 * cross, s0 * quenched, m**2 * s0 * shared)

        zero = np.zeros_like(gram)
        top = blocks(
            0.36 / (0.6 / 0.9) * np.outer(v, v), zero, 0.36 / s0 * np.outer(pull, pull), zero
        )
        first_layer = mixed(zero, gram, gram, gram)
        lower = np.zeros_like(top)
        for _ in range(200):  # a plain fixed point
            kernels = np.linalg.solve(np.eye(3 * points) - first_layer @ lower, first_layer)
            covariance = mixed(*parts(kernels))
            g = np.linalg.solve((np.eye(3 * points) - covariance @ top).T, top.T).T
            lower = 0.5 * (lower + mixed(*parts(g)))
        own, _, quenched, shared = parts(covariance + covariance @ g @ covariance)
        assert relative(own + shared, found.kernels[1]) < 1e-8
        assert relative(quenched, first.kernels[1, ::-1, ::-1]) < 1e-8

    def test_is_the_stationary_state_of_networks(self) -> None:
        stages = (
            replace(BAYES, data="source", richness=1.2, steps=500),
            replace(BAYES, elastic=1.0, readout="zero", steps=500),
        )
        task = problem(gaussian_data(points=6, dimension=5), *stages, activation="linear", depth=3)
        found = solved(task)
        against_networks(task, found, width=256, seeds=2)
        assert found[1, "output/test"].stderr is None

    def test_labels_of_zero_are_fitted_by_zero(self) -> None:
        x, _, y = self.data()
        gram = x @ x.T / 6
        found = numerics.solve_coupled_linear(
            gram, 0.0 * y, numerics.initial_reference(len(x), 3), elastic=1.0, **TARGET_OF
        )
        assert not found.output.any()
        each = (1.0 / 1.9) ** 2 + 0.6 / 1.9  # m^2 + sigma^2
        assert relative(found.kernels[2], each**3 * gram) < 1e-12

    def test_a_chain_of_couplings_is_outside_the_domain_of_deep_networks(self) -> None:
        coupled = replace(BAYES, elastic=1.0)
        task = problem(
            gaussian_data(), replace(SOURCE, elastic=1.0), coupled, activation="linear", depth=2
        )
        found = make("theory", "adaptive-kernel").supports(task)
        assert found is not None
        assert "trained without coupling (stage 1)" in found
