"""Averages over stationary windows: errors that know of autocorrelation, on both sides alike."""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from problems import gaussian_data, make, problem

from harness import Stage, Trajectory, TransferData, networks
from harness.numerics.sampling.window import (
    BLOCK_OBSERVATIONS,
    BLOCKS,
    BlockMeans,
    autocorrelation_time,
    halves_ratio,
    window_mean,
    window_steps,
)

LANGEVIN = Stage(
    data="target", richness=1.5, steps=600, dt=0.05, decay=1.0, temperature=0.5, center=False
)


def single_task() -> TransferData:
    both = gaussian_data()
    return TransferData(target=both.target, target_test=both.target_test)


def autoregressive(rho: float, shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Return stationary series of unit variance whose correlation falls by rho a step."""
    rng = np.random.default_rng(seed)
    draws = rng.standard_normal(shape)
    x = np.empty(shape)
    x[:, 0] = draws[:, 0]
    for t in range(1, shape[1]):
        x[:, t] = rho * x[:, t - 1] + np.sqrt(1 - rho**2) * draws[:, t]
    return x


@pytest.mark.parametrize("steps", [0, 63, 64, 65, 1000, 4096, 123457])
def test_window_lies_evenly_in_the_last_half(steps: int) -> None:
    at = window_steps(steps)
    assert len(at) % BLOCKS == 0
    assert len(at) <= BLOCKS * BLOCK_OBSERVATIONS or steps - steps // 2 < 2 * len(at)
    assert (len(at) > 0) == (steps >= 2 * BLOCKS - 1)
    if len(at):
        assert at[-1] == steps
        assert at[0] > steps // 2
        assert len(set(np.diff(at))) <= 1


@pytest.mark.parametrize("rho", [0.0, 0.9, 0.95])
def test_standard_error_is_that_of_repetition(rho: float) -> None:
    """Over many series, the error stated has the root mean square of the errors made."""
    series = autoregressive(rho, (400, 1024, 4))
    blocks = series.reshape(400, BLOCKS, -1, 4).mean(axis=2)
    found = [window_mean(b) for b in blocks]
    made = np.mean([mean**2 for mean, _ in found])
    stated = np.mean([stderr**2 for _, stderr in found])
    # 1600 squares of Gaussians scatter by 3.5 %; the rest is the bias of a truncated sum
    assert stated == pytest.approx(made, rel=0.2)
    assert np.mean([halves_ratio(b) for b in blocks]) == pytest.approx(1.0, abs=0.3)


def test_a_drift_shows_in_the_halves() -> None:
    blocks = autoregressive(0.0, (1, BLOCKS, 8))[0] + np.linspace(0, 12, BLOCKS)[:, None]
    assert halves_ratio(blocks) > 2


def test_independent_blocks_have_no_correlation_time() -> None:
    assert autocorrelation_time(autoregressive(0.0, (1, BLOCKS, 2000))[0]) < 1.3
    assert autocorrelation_time(np.ones((BLOCKS, 3))) == 1.0


def test_blocks_are_the_means_of_their_observations() -> None:
    window = BlockMeans(200)
    for step in range(201):
        if window.due(step):
            window.add(step, {"value": jnp.full(2, float(step))})
    means = window.means["value"]
    assert means.shape == (BLOCKS, 2)
    assert means.mean() == pytest.approx(np.mean(window.at))
    assert np.allclose(np.diff(means[:, 0]), len(window.at) / BLOCKS)


def test_seeds_scatter_as_the_autocorrelation_says() -> None:
    """Without centring nothing of the start is left, and one network knows its own error."""
    seeds = 12
    found = networks.train(
        problem(single_task(), LANGEVIN, activation="tanh"), 256, range(seeds), "float32"
    )
    runs = [t[0, "stationary/output-test"] for t in found if isinstance(t, Trajectory)]
    spread = np.mean(np.stack([r.values[0] for r in runs]).var(axis=0, ddof=1))
    stated = np.mean([np.mean(np.asarray(r.stderr) ** 2) for r in runs])
    # variances of 12 seeds over a few independent directions: about 20 %
    assert stated == pytest.approx(spread, rel=0.6)


def test_networks_and_particles_agree_on_stationary_averages() -> None:
    seeds = 6
    task = problem(single_task(), replace(LANGEVIN, steps=1000), activation="tanh")
    theory = make("theory", "mean-field", samples=8192).predict(task)
    runs = [t for t in networks.train(task, 2048, range(seeds)) if isinstance(t, Trajectory)]
    assert len(runs) == seeds
    for name in ("output-test", "loss-train", "loss-test", "kernel-alignment", "kernel-feature"):
        prediction = theory[0, f"stationary/{name}"]
        values = np.stack([t[0, f"stationary/{name}"].values[0] for t in runs])
        error = np.hypot(
            np.linalg.norm(values.std(axis=0, ddof=1)) / np.sqrt(seeds),
            np.linalg.norm(prediction.stderr),
        )
        gap = np.linalg.norm(values.mean(axis=0) - prediction.values[0])
        # a fluctuation of the predictor of order 1 / N biases losses and kernels
        assert gap < 3 * error + 10 * np.linalg.norm(values.mean(axis=0)) / 2048, name
    assert theory.notes["stage0/relaxation-times"] == pytest.approx(25)
    assert theory.notes["stage0/halves"] < 3


def test_stages_without_noise_or_too_short_have_no_window() -> None:
    for stage in (replace(LANGEVIN, temperature=0.0), replace(LANGEVIN, steps=20)):
        task = problem(single_task(), stage)
        (network,) = networks.train(task, 16, [0])
        theory = make("theory", "mean-field", samples=64).predict(task)
        for found in (network, theory):
            assert isinstance(found, Trajectory)
            assert not any(name.startswith("stationary/") for name in found.stages[0])
