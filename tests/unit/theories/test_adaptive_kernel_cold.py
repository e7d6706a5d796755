"""Fixed points of decay without noise, against particles and closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fixed_points import COLD, norm, single, solved
from problems import gaussian_data, make, problem, relative

from harness import Stage, numerics


class TestDecayWithoutNoise:
    @pytest.mark.parametrize("richness", [0.5, 2.0])
    def test_is_where_linear_particles_end(self, richness: float) -> None:
        stage = Stage(data="target", richness=richness, steps=5000, dt=0.02, decay=0.5)
        task = problem(single(), stage, activation="linear")
        fixed_point = solved(task)[0, "output/test"].values
        particles = make("theory", "mean-field", samples=1024).predict(task)
        end = particles[0, "output/test"]
        assert norm(end.values - fixed_point) < 3 * norm(end.stderr) + 1e-3 * norm(fixed_point)

    def test_is_where_relu_particles_end(self) -> None:
        """They get there slowly: 1 % of the predictor is missing after 240 times 1 / decay."""
        task = problem(single(), COLD, activation="relu")
        fixed_point = solved(task)[0, "output/test"].values
        particles = make("theory", "mean-field", samples=2048, replicates=4).predict(task)
        end = particles[0, "output/test"]
        assert norm(end.values - fixed_point) < 3 * norm(end.stderr) + 0.01 * norm(fixed_point)

    @pytest.mark.parametrize("activation", ["relu", "linear"])
    def test_is_kernel_regression_with_the_final_tangent_kernel(self, activation: str) -> None:
        """f = K (K + 2 lambda)^{-1} y, with units on kinks counted by the slope that balances."""
        data = gaussian_data().target
        factor = numerics.gram_factor(np.concatenate([data.x, -data.x[:3]]))
        found = numerics.solve_decayed_units(
            factor, data.y, richness=2.0, decay=0.5, activation=activation, directions=8
        )
        kernel, points = found.tangent_kernel, len(data)
        weights = np.linalg.solve(kernel[:points, :points] + np.eye(points), data.y)
        # errors of the solution are of the order of the root of its gap
        assert found.gap < 1e-9
        assert relative(kernel[:, :points] @ weights, found.output) < np.sqrt(found.gap)

    def test_errors_are_the_labels_projected_on_what_no_unit_resists(self) -> None:
        """|Delta.phi(E e)| <= lambda / gamma for every e, and equal for units that are there."""
        data = gaussian_data().target
        factor = numerics.gram_factor(data.x)
        found = numerics.solve_decayed_units(
            factor, data.y, richness=2.0, decay=0.5, activation="relu", directions=8
        )
        delta, bound = data.y - found.output, 0.5 / 2.0
        own = delta @ np.maximum(factor @ found.directions.T, 0.0)
        assert own == pytest.approx(bound * np.sign(found.masses), rel=1e-6)
        e = np.random.default_rng(0).standard_normal((20000, 8))
        e /= np.linalg.norm(e, axis=1, keepdims=True)
        assert np.abs(delta @ np.maximum(factor @ e.T, 0.0)).max() < bound * (1 + 1e-6)

    def test_linear_units_match_the_closed_form(self) -> None:
        x = np.random.default_rng(2).standard_normal((6, 4))
        exact = numerics.solve_decayed_linear(x @ x.T / 4, x[:4, 0], richness=1.5, decay=0.3)
        found = numerics.solve_decayed_units(
            numerics.gram_factor(x, np.eye(6)[:, :4]),
            x[:4, 0],
            richness=1.5,
            decay=0.3,
            activation="linear",
            directions=4,
        )
        assert relative(found.output, exact.output) < 1e-4
        assert relative(found.kernel, exact.kernels[0]) < 1e-4

    def test_source_features_without_noise_are_regressed_on(self) -> None:
        data = gaussian_data()
        source = replace(COLD, data="source")
        target = replace(COLD, trainable="readout", readout="zero", steps=1000)
        found = solved(problem(data, source, target, activation="relu"))
        kernel, points = found[1, "kernel/feature"].values[0, 0], len(data.target)
        ridged = kernel[:points, :points] + target.decay * np.eye(points)
        expected = kernel[points:, :points] @ np.linalg.solve(ridged, data.target.y)
        assert found[1, "output/test"].values[0] == pytest.approx(expected, rel=1e-9)

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
