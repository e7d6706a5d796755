"""`kernel-rescaling` and `gaussian-adaptation`, against the exact law and brute force."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fixed_points import BAYES, SOURCE, sampled, single, solved
from problems import gaussian_data, make, problem, relative
from scipy.optimize import approx_fprime, minimize

from harness import Problem, Stage, Trajectory
from harness.errors import LimitbenchError
from harness.numerics import dual_activation, lazy_kernels, on_arrays, ridge_regression
from harness.numerics.kernels.curvatures import kernels_and_curvatures
from harness.numerics.posterior import gaussian_adaptation as adaptation
from harness.numerics.posterior.gaussian_adaptation import solve_gaussian_adaptation
from harness.numerics.posterior.kernel_rescaling import solve_kernel_rescaling

RATES = {"richness": 1.5, "decay": 1.0, "temperature": 0.5}
RIVALS = ("kernel-rescaling", "gaussian-adaptation")


def predicted(name: str, task: Problem) -> Trajectory:
    theory = make("theory", name)
    assert theory.supports(task) is None
    found: Trajectory = theory.predict(task)
    return found


def last(found: Trajectory, observable: str = "output/test") -> Any:
    return found[-1, observable].values[0]


def bayes(activation: str, *stages: Stage) -> Problem:
    data = gaussian_data() if len(stages) > 1 else single()
    return problem(data, *(stages or (BAYES,)), activation=activation)


@pytest.mark.parametrize("activation", ["relu", "tanh", "erf", "gelu", "linear", "he2", "he3"])
def test_curvatures_are_derivatives_of_kernels_by_variances(activation: str) -> None:
    """d<phi phi>/da_i = <phi''(u_i) phi(u_j)> / 2, and d<phi^2>/da = <phi'^2 + phi phi''>."""
    root = np.random.default_rng(0).standard_normal((3, 4)) / 2
    covariance = root @ root.T
    _, slopes, curvatures = kernels_and_curvatures(activation, covariance)
    dual, variances = dual_activation(activation), np.diagonal(covariance).copy()

    def kernel(variances: Any, i: int, j: int) -> Any:
        return dual(covariance, variances, variances)[0][i, j]

    for i, j in ((0, 1), (2, 0)):
        by = approx_fprime(variances, kernel, 1e-7, i, j)[i]
        assert curvatures[i, j] / 2 == pytest.approx(by, abs=2e-6)
    by = approx_fprime(variances, lambda a: dual.diagonal(a)[1], 1e-7)[1]
    assert slopes[1, 1] + curvatures[1, 1] == pytest.approx(by, abs=2e-6)


def test_linear_networks_have_the_exact_predictor_by_either_theory() -> None:
    """The kernel tells rescaling from the exact law, the output does not."""
    task = bayes("linear")
    exact = solved(task)
    for name in RIVALS:
        assert relative(last(predicted(name, task)), last(exact)) < 1e-6
    kernels = {name: last(predicted(name, task), "kernel/feature") for name in RIVALS}
    assert relative(kernels["gaussian-adaptation"], last(exact, "kernel/feature")) < 1e-6
    assert relative(kernels["kernel-rescaling"], last(exact, "kernel/feature")) > 0.5


def test_the_rich_tanh_network_tells_the_theories_apart() -> None:
    """Distances of predictors from the exact law: 73, 19 and 5 %."""
    task = bayes("tanh")
    exact = last(sampled(BAYES, data=single()))
    lazy = make("theory", "lazy-nngp").predict(bayes("tanh", replace(BAYES, readout="reset")))
    distances = [
        relative(last(found), exact) for found in (lazy, *(predicted(n, task) for n in RIVALS))
    ]
    assert distances[0] > 2 * distances[1] > 4 * distances[2] > 0.05
    assert distances[2] < 0.1


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("name", RIVALS)
def test_small_richness_is_the_lazy_limit(name: str, activation: str) -> None:
    # T = lambda: the prior has unit variance, as the initial draw has
    stage = replace(BAYES, richness=1e-3, temperature=1.0)
    lazy = make("theory", "lazy-nngp").predict(bayes(activation, stage))
    found = predicted(name, bayes(activation, stage))
    assert relative(last(found), last(lazy)) < 1e-5
    assert relative(last(found, "kernel/feature"), last(lazy, "kernel/feature")) < 1e-5


def test_the_scale_is_the_least_of_its_action() -> None:
    gram, y = np.array([[1.3]]), np.array([1.7])
    found = solve_kernel_rescaling(gram, y, activation="tanh", **RATES)
    nodes, weights = np.polynomial.hermite_e.hermegauss(100)
    phi = np.tanh(nodes * np.sqrt(0.5 * 1.3))
    prior = weights @ phi**2 / weights.sum()
    q = np.linspace(1.0, 20.0, 190_001)
    action = q / 2 - np.log(q) / 2 + 1.5**2 / (2 * 0.5) * y**2 / (1 + q * prior)
    assert found.scale == pytest.approx(q[np.argmin(action)], abs=2e-4)
    kernel = found.scale * prior
    assert found.output == pytest.approx(y * kernel / (1.0 + kernel), rel=1e-9)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_the_gaussian_is_the_best_of_all(activation: str) -> None:
    """Two points: the bound over three numbers, with averages by quadrature."""
    gram, y = np.array([[1.3, 0.4], [0.4, 0.8]]), np.array([1.0, -1.4])
    factor = np.linalg.cholesky(gram)
    phi, _ = on_arrays(activation)
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    pairs = np.stack(np.meshgrid(nodes, nodes), axis=-1).reshape(-1, 2)
    shares = np.outer(weights, weights).ravel() / weights.sum() ** 2

    def kernel(entries: Any) -> Any:
        root = np.array([[entries[0], 0.0], entries[1:]])
        features = phi(np.sqrt(0.5) * pairs @ (factor @ root).T)
        return (features * shares[:, None]).T @ features

    def bound(entries: Any) -> float:
        fit = 1.5**2 / (2 * 0.5) * y @ np.linalg.solve(np.eye(2) + kernel(entries), y)
        divergence = 0.5 * (entries @ entries - 2) - np.log(abs(entries[0] * entries[2]))
        return float(fit + divergence)

    best = minimize(
        bound, [1.0, 0.0, 1.0], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-12}
    )
    found = solve_gaussian_adaptation(factor, y, activation=activation, directions=2, **RATES)
    # quadrature over a kink is less exact
    tolerance = {"tanh": 1e-5, "relu": 5e-3}[activation]
    assert relative(found.kernel, kernel(best.x)) < tolerance
    assert found.residual < 1e-6


@pytest.mark.parametrize("activation", ["tanh", "erf", "relu"])
def test_the_best_gaussian_is_found_where_adaptation_is_strong(activation: str) -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((20, 30))
    factor, y = x / np.sqrt(30), np.sign(x[:, 0])
    found = solve_gaussian_adaptation(
        np.linalg.cholesky(factor @ factor.T),
        y,
        activation=activation,
        directions=20,
        richness=6.0,
        decay=0.5,
        temperature=0.1,
    )
    assert found.residual < 1e-5
    assert relative(found.output, y) < 0.2


@pytest.mark.parametrize("name", RIVALS)
def test_a_stage_that_trains_all_weights_forgets_the_one_before(name: str) -> None:
    target = replace(BAYES, readout="reset")
    alone, after = (
        predicted(name, bayes("tanh", target)),
        predicted(name, bayes("tanh", SOURCE, target)),
    )
    assert relative(last(after), last(alone)) < 1e-7


@pytest.mark.parametrize("name", RIVALS)
def test_frozen_features_are_those_of_the_source(name: str) -> None:
    frozen = replace(BAYES, readout="zero", trainable="readout", temperature=0.0)
    task = bayes("tanh", SOURCE, frozen)
    found = predicted(name, task)
    source, target = (
        predicted(name, bayes("tanh", SOURCE, s))[1, "kernel/feature"] for s in (frozen, BAYES)
    )
    assert relative(source.values, target.values) > 0.05
    kernel, y = source.values[0, -1], task.data.target.y
    assert relative(last(found), ridge_regression(kernel[None], y[None], 1.0)[0, len(y) :]) < 1e-9


def test_the_prior_variance_is_that_of_the_temperature() -> None:
    task = bayes("tanh", replace(BAYES, richness=1e-3))
    x = np.concatenate([task.data.target.x, task.data.target_test.x]) * np.sqrt(0.5)
    prior = lazy_kernels(x, x, activation="tanh", depth=1).features[0]
    for name in RIVALS:
        assert relative(last(predicted(name, task), "kernel/feature")[0], prior) < 1e-5


@pytest.mark.parametrize("name", RIVALS)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"decay": 0.0},
            "describes training with decay; decay is 0, and the end depends on the start",
        ),
        ({"temperature": 0.0}, "describes Langevin training; temperature is 0"),
        ({"elastic": 1.0}, "describes weights that forget their start, without elastic coupling"),
        (
            {"steps": 100},
            "describes the end of long training: steps x dt x decay is 2, and at least 5",
        ),
    ],
)
def test_other_stages_are_refused(name: str, change: dict[str, Any], reason: str) -> None:
    task = bayes("tanh", replace(BAYES, **change))
    assert make("theory", name).supports(task).startswith(reason)


def test_other_networks_are_refused() -> None:
    deep = problem(single(), BAYES, depth=2, activation="tanh")
    quadratic = bayes("he2")
    for name in RIVALS:
        assert make("theory", name).supports(deep) == "describes one hidden layer, not 2"
    assert make("theory", RIVALS[0]).supports(quadratic) is None
    assert make("theory", RIVALS[1]).supports(quadratic) == (
        "describes activations that grow no faster than linearly, not he2"
    )


def test_a_law_that_is_not_found_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adaptation, "MOST_STEPS", 2)
    with pytest.raises(LimitbenchError) as error:
        predicted("gaussian-adaptation", bayes("tanh"))
    assert str(error.value).startswith(
        "stage 0: the best Gaussian law was not found: a residual of"
    )
    assert str(error.value).endswith("use a higher temperature (0.5) or a lower richness (1.5)")
