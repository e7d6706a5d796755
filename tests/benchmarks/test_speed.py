"""Speed of training and of the two-layer theory: measured and printed, never asserted.

Run with `make bench`. Quote the ratios, which are taken within one run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from problems import make, problem

from harness import Dataset, Stage, TransferData
from harness.networks.ensemble import Ensemble

pytestmark = pytest.mark.benchmark


def seconds(run: Callable[[], Any], repeats: int = 3) -> float:
    """Return the shortest of several runs, after one that compiles."""
    jax.block_until_ready(run())
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(run())
        taken.append(time.perf_counter() - start)
    return min(taken)


def matrix_rate(dtype: Any, size: int = 2048) -> float:
    """Return the floating-point operations a second of a square matrix product."""
    a = jax.random.normal(jax.random.key(0), (size, size), dtype)
    product = jax.jit(lambda a: a @ a)
    return 2 * size**3 / seconds(lambda: product(a), repeats=5)


def single_task(points: int, dimension: int) -> TransferData:
    rng = np.random.default_rng(0)
    sets = [rng.standard_normal((n, dimension)) for n in (points, 50)]
    train, test = (Dataset(x, np.sign(x[:, 0])) for x in sets)
    return TransferData(target=train, target_test=test)


def test_mean_field_with_8192_samples() -> None:
    stage = Stage(data="target", richness=1.0, steps=1000, dt=0.005)
    task = problem(single_task(100, 50), stage)
    solver = make("theory", "mean-field", samples=8192)
    start = time.perf_counter()
    solver.predict(task)
    first = time.perf_counter() - start
    start = time.perf_counter()
    solver.predict(task)
    print(
        f"\nmean-field, 8192 samples, P=100, D=50, 1000 steps: {first:.1f} s with compilation,"
        f" {time.perf_counter() - start:.1f} s after"
    )


def test_training_rate_of_wide_networks() -> None:
    width, points, dimension, seeds, steps = 4096, 200, 784, 4, 20
    stage = Stage(data="target", richness=1.0, steps=1000, dt=0.0005)
    task = problem(single_task(points, dimension), stage)
    # one network after the other, as in a run on processors
    runs = [Ensemble(task, width, [s]).run(0, range(2, 2 + 4 * steps, steps)) for s in range(seeds)]
    for each in runs:
        next(each)  # compiles
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        for each in runs:
            next(each)  # observables of its last step included
        taken.append((time.perf_counter() - start) / steps)
    # forward and weight gradient of the first layer; its inputs need no gradient
    operations = seeds * (4 * points * dimension * width + 4 * points * width)
    rate, peak = operations / min(taken), matrix_rate(jnp.float32)
    plain = plain_step_seconds(width, points, dimension)
    print(
        f"\ntraining, width 4096, P=200, D=784, 4 seeds: {1e3 * min(taken):.0f} ms a step,"
        f" {rate / 1e9:.0f} of {peak / 1e9:.0f} GFLOP/s = {rate / peak:.0%} of the matrix rate;"
        f" un-jitted step loop, one network after the other: {1e3 * seeds * plain:.0f} ms a step,"
        f" {seeds * plain / min(taken):.1f} times as long"
    )


def plain_step_seconds(width: int, points: int, dimension: int) -> float:
    """Return the time of one step of one network without jit, as a training script has it."""
    data = single_task(points, dimension)
    x, y = (jnp.asarray(a, jnp.float32) for a in (data.target.x, data.target.y))
    module = make("architecture", "mlp").network(width)
    hidden = module.init(jax.random.key(0), x)["params"]
    weights = {"hidden": hidden, "readout": jax.random.normal(jax.random.key(1), (width,))}
    weights = jax.tree.map(lambda w: w.astype(jnp.float32), weights)
    optimizer = optax.sgd(0.0005 * width)
    state = optimizer.init(weights)

    def loss(weights: Any) -> Any:
        features = module.apply({"params": weights["hidden"]}, x).features[-1]
        return jnp.sum((y - features @ weights["readout"] / width) ** 2) / 2

    def step() -> Any:
        nonlocal weights, state
        updates, state = optimizer.update(jax.grad(loss)(weights), state, weights)
        weights = optax.apply_updates(weights, updates)
        return weights

    return seconds(step, repeats=5)
