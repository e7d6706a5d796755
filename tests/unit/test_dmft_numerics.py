"""Deep mean-field theory against particles, exact covariances, and finite networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import shared_files
from jaxtyping import Array
from numpy.typing import ArrayLike

from harness.numerics.dmft import history
from harness.numerics.dmft.causal_pass import RankError, StageSolution, solve
from harness.numerics.dmft.inputs import point_factor
from harness.numerics.dmft.linear import solve_deep_linear
from harness.numerics.dmft.noise import SampledNoise
from harness.numerics.problem import StageArrays, StageRates

BEYOND_CHANCE = 2.5
"""Largest norm of a difference, in units of its expected norm, that chance explains."""

NONE = np.zeros(0, dtype=int)

Reference = tuple[dict[str, np.ndarray], np.ndarray, list[StageArrays]]
"""Curves of trained networks, the Gram matrix of their points, and their stages."""


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def tanh_slope(h: Array) -> Array:
    return 1 - jnp.tanh(h) ** 2


def identity(h: Array) -> Array:
    return h


def problem(
    points: int = 8, dimension: int = 6, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points, their Gram matrix and labels."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((points, dimension))
    return x, x @ x.T / dimension, np.sign(rng.standard_normal(points))


def replicates(
    gram: np.ndarray,
    stages: Sequence[StageArrays],
    depth: int,
    count: int = 4,
    samples: int = 2048,
    phi: Callable[[Array], Array] = jnp.tanh,
    slope: Callable[[Array], Array] = tanh_slope,
    **options: Any,
) -> list[list[StageSolution]]:
    seeds = [(7, r) for r in range(count)]
    return solve(
        gram, stages, depth=depth, phi=phi, slope=slope, samples=samples, seeds=seeds, **options
    )


def stage_of(
    train: np.ndarray,
    y: np.ndarray,
    query: np.ndarray,
    richness: float,
    dt: float,
    records: np.ndarray,
    readout: Any = "keep",
    **options: Any,
) -> StageArrays:
    numbers = {k: options.pop(k) for k in ("decay", "elastic") if k in options}
    options["trained"] = ["readout"] if options.pop("trainable", "all") == "readout" else None
    rates = StageRates(richness, dt, **numbers)
    return StageArrays(train, y, query, rates, records, readout, **options)


def surprise(a: ArrayLike, b: ArrayLike) -> float:
    """Norm of the difference of two means, over its expected norm; b may be exact."""
    draws, other = np.asarray(a), np.asarray(b)
    variance = np.var(draws, axis=0, ddof=1) / len(draws)
    if other.ndim == draws.ndim:
        variance = variance + np.var(other, axis=0, ddof=1) / len(other)
        other = other.mean(axis=0)
    return float(np.linalg.norm(draws.mean(axis=0) - other) / np.sqrt(variance.sum()))


def network(
    x: np.ndarray, stages: Sequence[StageArrays], depth: int, width: int, seed: int
) -> list[np.ndarray]:
    """Train an ordinary tanh network; returns per stage the centred outputs on train and query."""
    rng = np.random.default_rng(seed)
    x = x.astype(np.float32)

    def draw(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    weights = [draw(width, x.shape[1]), *(draw(width, width) for _ in range(depth - 1))]
    norms = [np.sqrt(np.float32(x.shape[1])), *([np.sqrt(np.float32(width))] * (depth - 1))]
    w = draw(width)
    found = []
    for index, s in enumerate(stages):
        if s.readout == "zero":
            w = np.zeros_like(w)
        elif s.readout == "reset" and index:
            w = draw(width)
        start = [v.copy() for v in weights]
        points = np.concatenate([s.train, s.query])
        rows, zero, train = [], None, len(s.train)
        for step in range(int(s.records[-1]) + 1):
            h, act = [], [x[points].T]
            for v, norm in zip(weights, norms, strict=True):
                h.append(v @ act[-1] / norm)
                act.append(np.tanh(h[-1]))
            f = w @ act[-1] / (s.rates.richness * width)
            zero = (f if s.center else 0 * f) if zero is None else zero
            if step in s.records:
                rows.append(f - zero)
            if step == s.records[-1]:
                break
            pull = np.float32(s.rates.dt * s.rates.richness) * (s.y - (f - zero)[:train]).astype(
                np.float32
            )
            g = w[:, None] * (1 - act[-1][:, :train] ** 2)
            w = w + act[-1][:, :train] @ pull - np.float32(s.rates.dt * s.rates.decay) * w
            if s.frozen:
                continue
            for i in reversed(range(depth)):
                below = weights[i].T @ g / norms[i] if i else None
                shrink = np.float32(1 - s.rates.dt * (s.rates.decay + s.rates.elastic))
                weights[i] *= shrink
                if s.rates.elastic:
                    weights[i] += np.float32(s.rates.dt * s.rates.elastic) * start[i]
                weights[i] += (g * pull) @ act[i][:, :train].T / norms[i]
                if below is not None:
                    g = below * (1 - act[i][:, :train] ** 2)
        found.append(np.array(rows))
    return found


def test_one_hidden_layer_is_the_two_layer_particle_system() -> None:
    _, gram, y = problem()
    train, query, steps, dt, gamma = np.arange(4), np.arange(4, 8), 20, 0.1, 1.5
    stage = stage_of(train, y[train], query, gamma, dt, np.arange(steps + 1))
    factor = np.linalg.cholesky(gram + 1e-12 * np.eye(8))

    def particles(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        half = rng.standard_normal((9, 8192))
        chi, z = factor @ np.hstack([half[:8], half[:8]]), np.hstack([half[8], -half[8]])
        c, rows = np.zeros((4, chi.shape[1])), []
        for _ in range(steps + 1):
            h = chi + gram[:, train] @ c
            f = np.mean(z * np.tanh(h), axis=1) / gamma
            rows.append(f)
            error = (y[train] - f[train])[:, None]
            moved = z + dt * gamma * np.sum(np.tanh(h[train]) * error, axis=0)
            c, z = c + dt * gamma * z * (1 - np.tanh(h[train]) ** 2) * error, moved
        return np.array(rows)

    found = [s[0] for s in replicates(gram, [stage], 1)]
    direct = np.array([particles(s) for s in range(6)])
    assert surprise([s.train for s in found], direct[:, :, :4]) < BEYOND_CHANCE
    assert surprise([s.query for s in found], direct[:, :, 4:]) < BEYOND_CHANCE


def test_deep_linear_theory_of_one_layer_is_the_closed_moment_equation() -> None:
    x, gram, y = problem()
    train, query, steps, dt, gamma = np.arange(4), np.arange(4, 8), 30, 0.1, 1.5
    stage = stage_of(train, y[train], query, gamma, dt, np.arange(steps + 1))
    (found,) = solve_deep_linear(gram, [stage], depth=1)
    dimension = x.shape[1]
    moments, rows = np.eye(dimension + 1), []
    for _ in range(steps + 1):
        f = x @ moments[0, 1:] / (gamma * np.sqrt(dimension))
        rows.append(f)
        v = x[train].T @ (y[train] - f[train]) / np.sqrt(dimension)
        step = np.eye(dimension + 1)
        step[0, 1:] = step[1:, 0] = dt * gamma * v
        kernel, moments = x @ moments[1:, 1:] @ x.T / dimension, step @ moments @ step
    np.testing.assert_allclose(found.train, np.array(rows)[:, :4], rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.query, np.array(rows)[:, 4:], rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.kernels[0], kernel, rtol=0, atol=1e-9)


def test_sampled_theory_of_a_linear_network_meets_the_exact_one() -> None:
    _, gram, y = problem()
    records = np.arange(0, 16, 5)
    stages = [
        stage_of(np.arange(3), y[:3], np.arange(5, 8), 1.0, 0.05, records),
        stage_of(np.arange(3, 5), y[3:5], np.arange(5, 8), 0.7, 0.05, records, "reset", decay=0.2),
    ]
    exact = solve_deep_linear(gram, stages, depth=3)
    sampled = replicates(gram, stages, 3, 8, phi=identity, slope=jnp.ones_like)
    for k in range(2):
        for name in ("train", "query", "kernels"):
            draws = [getattr(s[k], name)[-1] for s in sampled]
            assert surprise(draws, getattr(exact[k], name)[-1]) < BEYOND_CHANCE, (k, name)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ({"decay": 0.3}, {"decay": 0.2, "elastic": 0.5}),
        ({}, {"readout": "reset"}),
        ({}, {"readout": "zero", "trainable": "readout", "decay": 0.3}),
        ({}, {"center": False}),
    ],
    ids=["decay-elastic", "reset", "frozen-zero", "not-centred"],
)
def test_protocols_follow_a_finite_network(source: dict[str, Any], target: dict[str, Any]) -> None:
    x, gram, y = problem(points=9, dimension=5)
    records, query = np.array([0, 4, 8]), np.arange(5, 9)
    stages = [
        stage_of(np.arange(3), y[:3], query, 1.0, 0.15, records, **source),
        stage_of(np.arange(3, 5), y[3:5], query, 1.3, 0.15, records, **target),
    ]
    networks = [network(x, stages, 2, 2048, seed) for seed in range(6)]
    theory = replicates(gram, stages, 2, count=6)
    for k in range(2):
        both = [np.concatenate([s[k].train, s[k].query], axis=1) for s in theory]
        assert surprise(both, [n[k] for n in networks]) < BEYOND_CHANCE


@pytest.fixture(scope="module")
def reference() -> Reference:
    data = dict(np.load(shared_files.reference("C_tanh_deep_joint.npz")))
    x = np.concatenate([data["X1"], data["X2"], data["Xt"]])
    first, second = len(data["X1"]), len(data["X1"]) + len(data["X2"])
    query, steps = np.arange(second, len(x)), np.arange(31)
    stages = [
        stage_of(np.arange(first), data["y1"], query, 1.0, 0.1, steps),
        stage_of(np.arange(first, second), data["y2"], query, 0.8, 0.1, steps),
    ]
    return data, x @ x.T / x.shape[1], stages


def test_two_stages_of_a_deep_tanh_network_meet_the_reference(reference: Reference) -> None:
    data, gram, stages = reference
    found = replicates(gram, stages, 2, samples=4096)
    for k, stage in enumerate(stages):
        losses = np.array([np.mean((s[k].train - stage.y) ** 2, axis=1) for s in found])
        networks = data[f"train{k}"].mean(axis=0)
        assert np.max(np.abs(losses.mean(axis=0) - networks)) < 0.01 * networks[0]
        last = np.array([s[k].query[-1] for s in found])
        seeds = data[f"train{k}"].shape[0]
        variance = np.var(last, axis=0, ddof=1) / len(last) + data[f"ftest{k}_sd"] ** 2 / seeds
        gap = np.linalg.norm(last.mean(axis=0) - data[f"ftest{k}"][-1])
        assert gap < BEYOND_CHANCE * np.sqrt(variance.sum())


def test_without_responses_the_theory_is_visibly_wrong(
    reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, gram, stages = reference
    right = replicates(gram, stages[:1], 2, count=1)[0][0]
    extend = history._extend

    def without(*arguments: Any) -> Any:
        *state, response = extend(*arguments)
        return *state, 0.0 * response

    monkeypatch.setattr(history, "_extend", without)

    def recompiled(
        h: Array,
    ) -> Array:  # a new function object: nothing compiled before is used again
        return jnp.tanh(h)

    wrong = replicates(gram, stages[:1], 2, count=1, phi=recompiled)[0][0]
    assert np.linalg.norm(wrong.train - right.train) > 0.1 * np.linalg.norm(right.train)


def test_duplicate_points_add_no_direction_and_agree() -> None:
    _, gram, y = problem()
    twice = gram[np.ix_([0, 1, 1, 2], [0, 1, 1, 2])]
    stage = stage_of(np.arange(3), y[[0, 1, 1]], np.array([1, 3]), 1.0, 0.1, np.array([0, 10]))
    (found,) = replicates(twice, [stage], 3, count=1)[0]
    np.testing.assert_allclose(found.train[:, 1], found.train[:, 2], atol=1e-10)
    np.testing.assert_allclose(found.train[:, 1], found.query[:, 0], atol=1e-3)
    assert np.isfinite(found.kernels).all()
    assert found.rank.max() <= 2 * 11


def test_one_point_and_no_steps() -> None:
    _, gram, y = problem()
    stages = [
        stage_of(np.array([0]), y[:1], np.array([1]), 1.0, 0.1, np.array([0])),
        stage_of(np.array([0]), y[:1], NONE, 1.0, 0.1, np.array([0, 40])),
    ]
    first, second = replicates(gram, stages, 2, count=1)[0]
    np.testing.assert_array_equal(first.train, [[0.0]])
    np.testing.assert_array_equal(first.query, [[0.0]])
    assert second.query.shape == (2, 0)
    errors = np.abs(second.train[:, 0] - y[0])
    assert errors[-1] < errors[0]
    assert second.last_kernels is not None
    np.testing.assert_allclose(second.last_kernels[-1], second.kernels[-1])


def test_labels_of_zero_move_nothing() -> None:
    _, gram, _ = problem()
    stage = stage_of(np.arange(3), np.zeros(3), np.array([4]), 1.0, 0.1, np.array([0, 5]))
    (found,) = replicates(gram, [stage], 2, count=1)[0]
    np.testing.assert_allclose(found.train, 0.0, atol=1e-12)
    np.testing.assert_allclose(found.query, 0.0, atol=1e-12)


def test_growing_the_history_changes_nothing() -> None:
    _, gram, y = problem()
    stage = stage_of(np.arange(4), y[:4], np.arange(4, 8), 1.5, 0.1, np.array([0, 12]))
    small, large = (
        replicates(gram, [stage], 2, count=1, samples=1024, capacity=c)[0][0] for c in (8, 64)
    )
    np.testing.assert_allclose(small.query, large.query, atol=1e-8)


def test_too_few_samples_for_the_history_say_so() -> None:
    _, gram, y = problem()
    stage = stage_of(np.arange(8), y, NONE, 2.0, 0.1, np.array([0, 30]))
    # 64 samples resolve 16 directions; eight points bring more as their features move
    with pytest.raises(RankError, match="take more samples, or a tolerance above"):
        replicates(gram, [stage], 2, count=1, samples=64)


def test_factor_reproduces_the_gram_matrix_of_training_points() -> None:
    _, gram, _ = problem()
    factor, spanned = point_factor(gram, [np.arange(3), np.arange(2, 5)])
    assert factor.shape == (8, 5)
    assert spanned == [3, 5]
    np.testing.assert_allclose(factor[:3, 3:], 0.0, atol=1e-6)
    np.testing.assert_allclose((factor @ factor.T)[:5], gram[:5], atol=1e-12)


@pytest.mark.parametrize("outputs", [(), (3,)])
def test_initial_noise_is_exactly_white(outputs: tuple[int, ...]) -> None:
    noise = SampledNoise(256, (0,))
    start = noise.start(5, 1, 4, 4, outputs)
    w = start.w.reshape(-1, 256)
    np.testing.assert_allclose(w @ w.T / 256, np.eye(len(w)), atol=1e-10)
    np.testing.assert_allclose(start.omega @ start.omega.T / 256, np.eye(5), atol=1e-12)
    np.testing.assert_allclose(start.omega @ w.T, 0.0, atol=1e-10)


def test_fresh_noise_has_the_variance_that_responses_leave() -> None:
    rng = np.random.default_rng(0)
    rows = np.linalg.qr(rng.standard_normal((64, 8)))[0].T * 8
    side = history.Side(jnp.asarray(rows), jnp.zeros((8, 64)))
    fresh = history.sampled(jax.random.key(0), (3, 64), jnp.dtype("float64"))
    noise = fresh(jnp.int32(0), side)
    np.testing.assert_allclose(noise @ noise.T / 64, np.eye(3) * (1 - 8 / 64), atol=1e-12)
    np.testing.assert_allclose(noise @ rows.T, 0.0, atol=1e-10)


def test_few_samples_have_no_bias_beside_their_spread() -> None:
    _, gram, y = problem(points=10)
    stage = stage_of(np.arange(3), y[:3], np.arange(6, 10), 2.0, 0.1, np.array([0, 15]))
    few, many = (
        replicates(gram, [stage], 3, count, samples, tolerance=1e-3)
        for count, samples in ((64, 256), (8, 2048))
    )
    small, large = (np.array([f[0].query[-1] for f in found]) for found in (few, many))
    assert surprise(small, large) < BEYOND_CHANCE
