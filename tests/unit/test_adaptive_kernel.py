"""Fixed points of training with decay, against closed forms, particles and networks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import gaussian_data, make, norm_error, problem, relative

from harness import (
    Dataset,
    LimitbenchError,
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
COLD = Stage(data="target", richness=2.0, steps=24000, dt=0.02, decay=0.5)
SOURCE_OF = {"richness": 1.2, "decay": 0.8, "temperature": 0.4}
TARGET_OF = {"richness": 1.0, "decay": 0.9, "temperature": 0.6}
UNITS = 512  # the same everywhere, with the same points, so that solvers are compiled once


def single(data: TransferData | None = None) -> TransferData:
    both = data or gaussian_data()
    return TransferData(target=both.target, target_test=both.target_test)


def solved(task: Problem, **parameters: Any) -> Trajectory:
    theory = make("theory", "adaptive-kernel", **parameters)
    assert theory.supports(task) is None
    found: Trajectory = theory.predict(task)
    return found


def sampled(*stages: Stage, data: TransferData | None = None, **parameters: Any) -> Trajectory:
    task = problem(data or gaussian_data(), *stages, activation="tanh")
    return solved(task, units=UNITS, **parameters)


def norm(values: Any) -> float:
    return float(np.linalg.norm(values))


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


def against_networks(task: Problem, prediction: Trajectory, width: int, seeds: int) -> None:
    """Assert that networks agree with a prediction, up to the biases of steps and width."""
    runs = [t for t in networks.train(task, width, range(seeds)) if isinstance(t, Trajectory)]
    last = len(task.protocol.stages) - 1
    expected = prediction[last, "output/test"]
    outputs = np.stack([t[last, "stationary/output-test"].values[0] for t in runs])
    stderr = norm(outputs.std(axis=0, ddof=1)) / np.sqrt(seeds)
    error = np.hypot(stderr, 0.0 if expected.stderr is None else norm(expected.stderr))
    stage = task.protocol.stages[last]
    # steps shift variances by dt lambda / 2, finite width the kernel by order P / N a layer
    stiffness = stage.decay + stage.elastic
    bias = stage.step_size * stiffness / 2 + len(task.data.target) / width
    gap = norm(outputs.mean(axis=0) - expected.values[0])
    assert gap < 3 * error + bias * norm(expected.values)


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

    def test_uneven_weights_leave_it_to_moves(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("harness.numerics.tilted_mixture.LEAST_SHARE", 1.0)
        x = np.random.default_rng(0).standard_normal((9, 4))
        with pytest.raises(numerics.ConvergenceError, match="draws count, and 100% have to"):
            numerics.solve_stationary_mixture(
                numerics.gram_factor(x),
                np.sign(x[None, :5, 0]).repeat(2, axis=0),
                numerics.UnitRates(1.5, 1.0, 0.0, 0.5),
                activation="tanh",
                directions=4,
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

    def test_a_search_that_does_not_settle_says_what_to_change(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("harness.numerics.tilted_layers.MOST_ROUNDS", 2)
        task = problem(single(), BAYES, activation="tanh", depth=2)
        with pytest.raises(LimitbenchError, match=r"use more units .* lower richness"):
            solved(task, units=2048)


class TestErrors:
    """A problem without a solution is the user's to mend; a mistake in a solver is not."""

    def test_no_solution_is_one_line_with_advice(self) -> None:
        hot = replace(BAYES, temperature=1e20)
        task = problem(single(), hot, activation="linear", depth=16)
        with pytest.raises(LimitbenchError, match=r"^adaptive-kernel: stage 0: .*lower temp") as e:
            solved(task)
        assert "\n" not in str(e.value)

    @pytest.mark.parametrize("mistake", [ValueError, FloatingPointError, np.linalg.LinAlgError])
    def test_a_mistake_keeps_its_type_and_traceback(
        self, mistake: type[Exception], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: Any, **__: Any) -> Any:
            raise mistake("operands could not be broadcast together")

        monkeypatch.setattr(numerics, "solve_stationary_linear", broken)
        with pytest.raises(mistake, match="broadcast"):
            solved(problem(single(), BAYES, activation="linear", depth=2))


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

        monkeypatch.setattr(numerics, "solve_stationary_mixture", vague)
        with pytest.raises(LimitbenchError, match=r"0.1 \+- 0.1 of the labels.* more units"):
            solved(problem(single(), BAYES, activation="tanh"))
        assert tried == [512, 1024, 2048]

    def test_more_samples_are_taken_until_the_target_error_is_met(self) -> None:
        task = problem(gaussian_data(), BAYES, activation="tanh")
        loose, tight = (solved(task, target_error=e) for e in (0.1, 0.001))
        assert float(tight.notes["samples"]) > float(loose.notes["samples"])
        assert norm_error(tight, 0) < 0.001
