"""Cost of the exact theories beside brute force: measured and printed, never asserted.

Run with `make bench`. Brute force is the ensemble of networks that knows the predictor on the test
points to a given relative error: with relative variance s^2 over seeds, s^2 / error^2 networks.
These theories have no error, so nominal ones are taken. The bias of a finite width, of order 1/N,
is not counted against the networks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from problems import REGISTRY, make, problem

from harness import Dataset, Problem, Stage, TransferData, networks

pytestmark = pytest.mark.benchmark

NOMINAL_ERRORS = (0.01, 0.001)
PUBLISHED = {("relu", 2): 0.044, ("relu", 4): 0.116, ("erf", 2): 0.040, ("erf", 4): 0.064}
"""Seconds of the public solver of lazy kernels at P = 1000, on one core."""


def seconds(run: Callable[[], Any], repeats: int = 3) -> float:
    """Return the shortest of several runs, after one that compiles."""
    run()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return min(taken)


def print_beside_brute_force(title: str, theory: str, task: Problem) -> None:
    solver = make("theory", theory)
    exact = solver.predict(task)
    cost = seconds(lambda: solver.predict(task))
    print(f"\n{title}: {theory} {1e3 * cost:.1f} ms")
    last, seeds = len(task.protocol.stages) - 1, 4
    prediction = exact[last, "output/test"].values[0]
    best = dict.fromkeys(NOMINAL_ERRORS, (np.inf, 0))
    for width in (256, 1024):
        runs = networks.train(task, width, range(seeds))
        each = seconds(lambda w=width: networks.train(task, w, range(seeds)), 1) / seeds
        outputs = np.stack([t[last, "output/test"].values[0] for t in runs])  # type: ignore[index]
        spread = outputs.std(axis=0, ddof=1)
        relative = np.linalg.norm(spread) / np.linalg.norm(prediction)
        distance = np.linalg.norm(outputs.mean(axis=0) - prediction) / np.linalg.norm(prediction)
        print(
            f"  width {width}: {each:.2f} s a network, spread {relative:.2%}; the mean of {seeds}"
            f" lies {distance:.2%} from the theory, {relative / seeds**0.5:.2%} expected"
        )
        for error, found in best.items():
            total = max(1.0, (relative / error) ** 2) * each
            best[error] = min(found, (total, width))
    for error, (total, width) in best.items():
        print(
            f"  brute force to {error:.1%}: {total:.1f} s at its best width {width},"
            f" {total / cost:.0f} times the theory"
        )


def test_fine_tuning_of_a_linear_network() -> None:
    dimension = 100
    component = REGISTRY.get("task", "linear-transfer")
    sizes = {"source_points": 50, "target_points": 30, "test_points": 200, "alignment": 0.8}
    data = component.make(component.parse({"dimension": dimension, **sizes}), 0)
    task = problem(
        data,
        Stage(data="source", richness=2.0, steps=300, dt=0.1 / dimension),
        Stage(
            data="target",
            richness=2.0,
            steps=200,
            dt=0.2 / dimension,
            readout="zero",
            trainable="readout",
        ),
        activation="linear",
    )
    print_beside_brute_force("fine-tuning, D=100, P=50+30, 300+200 steps", "linear-transfer", task)


@pytest.mark.parametrize("theory", ["lazy-ntk", "lazy-nngp"])
def test_lazy_networks_of_two_layers(theory: str) -> None:
    rng = np.random.default_rng(0)
    train, test = (
        Dataset(x, np.sign(x[:, 0])) for x in (rng.standard_normal((n, 30)) for n in (60, 100))
    )
    stage = Stage(
        data="target",
        richness=0.05,
        steps=200,
        dt=0.01,
        trainable="all" if theory == "lazy-ntk" else "readout",
    )
    task = problem(TransferData(target=train, target_test=test), stage, activation="erf", depth=2)
    print_beside_brute_force("lazy, erf, L=2, P=60, 200 steps", theory, task)


def test_lazy_kernels_of_1000_points() -> None:
    from harness import numerics

    x = np.random.default_rng(0).standard_normal((1000, 50))
    for name in ("relu", "erf", "tanh"):
        for depth in (2, 4):

            def run(name: str = name, depth: int = depth) -> Any:
                return jax.block_until_ready(
                    numerics.lazy_kernels(x, x, activation=name, depth=depth, every_layer=False)
                )

            published = PUBLISHED.get((name, depth))
            beside = f", published {published:.3f} s" if published else ""
            print(f"\nlazy kernels, {name}, L={depth}: {seconds(run, 7):.3f} s{beside}", end="")
    print()
