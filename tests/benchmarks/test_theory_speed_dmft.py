"""Cost and accuracy of the dynamical mean-field theory: measured and printed, never asserted.

Run with `make bench`. Published numbers are of public solvers on one core of a machine of this
kind: a whole-trajectory fixed point with 1000 samples and 20 rounds, whose final loss has a spread
of 3.4 % between keys; deep linear networks with 10 rounds.
"""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from brute_force import ensembles, print_ratio, seconds
from problems import gaussian_data, make, norm_error, problem

from harness import Problem, Stage, numerics
from harness.numerics.dmft import causal_pass, fields, history, queries
from harness.numerics.dmft.noise import SampledNoise

pytestmark = pytest.mark.benchmark

TANH = numerics.activation("tanh")
PROGRAM = fields.Program(TANH, numerics.derivative(TANH), 1e-4)
PUBLISHED_SPREAD = 0.034


def case(points: int, steps: int, richness: float = 1.0, queries: int = 25) -> tuple[Any, Any]:
    """Return a Gram matrix and one stage of `points` points in 20 dimensions."""
    x = np.random.default_rng(0).standard_normal((points + queries, 20))
    stage = numerics.StageArrays(
        train=np.arange(points),
        y=np.sign(x[:points, 0]),
        query=np.arange(points, points + queries),
        rates=numerics.StageRates(richness, 0.25 / points),
        records=np.array([0, steps // 4, steps]),
    )
    return x @ x.T / x.shape[1], stage


def relative_spread(runs: list[np.ndarray]) -> float:
    stacked = np.stack(runs)
    return float(np.linalg.norm(stacked.std(axis=0, ddof=1)) / np.linalg.norm(stacked.mean(axis=0)))


class PlainNoise(SampledNoise):
    """Independent draws in place of Sobol points."""

    def _sobol(self, rows: int) -> np.ndarray:
        return self._rng.standard_normal((rows, self.samples))


class MirroredNoise(SampledNoise):
    """Antithetic pairs: readouts and gradient noise negated, feature noise shared."""

    def _sobol(self, rows: int) -> np.ndarray:
        samples, self.samples = self.samples, self.samples // 2
        draws = super()._sobol(rows)
        self.samples = samples
        odd = rows // 2 if rows > 1 else rows
        return np.concatenate([draws, np.concatenate([-draws[:odd], draws[odd:]])], axis=1)


@pytest.mark.parametrize(("depth", "richness"), [(2, 1.0), (3, 2.0), (2, 0.1)])
def test_variance_reduction(depth: int, richness: float, monkeypatch: pytest.MonkeyPatch) -> None:
    gram, stage = case(5, 40, richness)

    def solve(noise: type[SampledNoise]) -> list[Any]:
        noises = [noise(1024, (1, seed)) for seed in range(24)]
        return [
            f[0]
            for f in causal_pass.pass_through(gram, [stage], depth, PROGRAM, noises, 128, "float64")
        ]

    print(f"\ntanh, L={depth}, gamma={richness:g}, P=5, 40 steps, S=1024: spread over 24 seeds")

    def report(name: str, found: list[Any]) -> None:
        losses = [np.mean((stage.y - f.train[-1]) ** 2, keepdims=True) for f in found]
        print(
            f"  {name:<42} predictor {relative_spread([f.query[-1] for f in found]):.2%},"
            f" final loss {relative_spread(losses):.2%}"
        )

    for noise in (PlainNoise, MirroredNoise, SampledNoise):
        report(noise.__name__, solve(noise))
    monkeypatch.setattr(queries, "shared", lambda phi, _: jnp.zeros(len(phi), phi.dtype))
    jax.clear_caches()
    report("SampledNoise, no help of untrained layers", solve(SampledNoise))
    jax.clear_caches()


@pytest.mark.parametrize(
    ("points", "steps", "published"), [(5, 30, 610), (5, 60, 3100), (10, 60, 18500)]
)
def test_beside_public_solvers_of_deep_networks(points: int, steps: int, published: int) -> None:
    gram, stage = case(points, steps)
    for samples in (256, 512, 1024, 2048, 4096):

        def solve(seeds: int, samples: int = samples) -> Any:
            noises = [SampledNoise(samples, (2, seed)) for seed in range(seeds)]
            return causal_pass.pass_through(gram, [stage], 2, PROGRAM, noises, 128, "float64")

        try:
            outputs = [f[0].train[-1] for f in solve(12)]
        except numerics.RankError:
            continue
        spread = relative_spread([np.mean((stage.y - f) ** 2, keepdims=True) for f in outputs])
        if spread < PUBLISHED_SPREAD:
            break
    solve(1)
    start = time.process_time()
    solve(1)
    cost = time.process_time() - start
    print(
        f"\ntanh, L=2, P={points}, T={steps}: final loss to {spread:.1%} in {cost:.2f} CPU s"
        f" (S={samples}); published {published} CPU s to 3.4 %: {published / cost:.0f} times"
    )


@pytest.mark.parametrize(("depth", "published"), [(2, 21), (5, 43)])
def test_beside_public_solvers_of_deep_linear_networks(depth: int, published: int) -> None:
    gram, stage = case(20, 100)
    start = time.perf_counter()
    numerics.solve_deep_linear(gram, [stage], depth=depth)
    first = time.perf_counter() - start
    again = seconds(lambda: numerics.solve_deep_linear(gram, [stage], depth=depth), 2)
    print(
        f"\nlinear, L={depth}, P=20, T=100: exact in {again:.2f} s ({first:.1f} s at first);"
        f" published {published} s: {published / again:.0f} times"
    )


def transfer(depth: int, richness: float, steps: int, stages: int, activation: str) -> Problem:
    source = Stage(data="source", richness=richness, steps=steps, dt=0.1)
    target = Stage(data="target", richness=0.8 * richness, steps=steps, dt=0.1)
    data = gaussian_data(points=5, dimension=15)
    return problem(data, *(source, target)[:stages], activation=activation, depth=depth)


@pytest.mark.parametrize(
    ("depth", "richness", "steps", "stages", "activation"),
    [(2, 1.0, 30, 2, "tanh"), (3, 2.0, 60, 1, "tanh"), (2, 1.0, 30, 2, "relu")],
)
def test_beside_brute_force(
    depth: int, richness: float, steps: int, stages: int, activation: str
) -> None:
    task = transfer(depth, richness, steps, stages, activation)
    print(f"\n{activation}, L={depth}, gamma={richness:g}, P=5, {stages} stages of {steps} steps")
    known = []
    for target in (0.003, 0.01):
        solver = make("theory", "dmft", target_error=target)
        found = solver.predict(task)
        known.append((found, seconds(partial(solver.predict, task), 2)))
    widths = (128, 256, 512, 1024)
    measured = ensembles(task, known[0][0], stages - 1, "output/test", widths)
    for found, cost in known:
        error = norm_error(found, stages - 1)
        print(
            f"  dmft {cost:.2f} s, standard error {error:.2%}, {found.notes['samples']} samples in"
            f" {found.notes['replicates']} replicates"
        )
        print_ratio(measured, error, cost)


def test_rate_of_matrix_products() -> None:
    points, samples = 64, 4096
    gram, stage = case(points, 40, queries=0)
    noise = SampledNoise(samples, (3, 0))
    solution = causal_pass.pass_through(gram, [stage], 2, PROGRAM, [noise], 512, "float64")[0][0]
    rows = jnp.asarray(np.random.default_rng(0).standard_normal((1024, samples)))
    block = rows[:points]
    product = jax.jit(lambda a, b: (history.average(a, b), history.average(a, b).T @ a))
    taken = seconds(lambda: jax.block_until_ready(product(rows, block)), 5)
    square = jnp.asarray(np.random.default_rng(0).standard_normal((2048, 2048)))
    multiply = jax.jit(lambda a: a @ a)
    peak = 2 * 2048**3 / seconds(lambda: jax.block_until_ready(multiply(square)), 5)
    rate = 4 * rows.size * points / taken
    print(
        f"\nproducts of the history (rank {solution.rank.tolist()}) with P=64, S=4096, float64:"
        f" {rate / 1e9:.0f} of {peak / 1e9:.0f} GFLOP/s = {rate / peak:.0%}"
    )


def test_cost_law() -> None:
    """Cost against samples, steps, points and depth, each alone, as an exponent."""
    base = {"samples": 2048, "steps": 40, "points": 10, "depth": 2}
    wider = {"samples": 8192, "steps": 160, "points": 40, "depth": 5}

    def cost(samples: int, steps: int, points: int, depth: int) -> tuple[float, Any]:
        gram, stage = case(points, steps, queries=0)

        def run() -> list[Any]:
            noise = SampledNoise(samples, (4, 0))  # a fresh one for every run
            return causal_pass.pass_through(gram, [stage], depth, PROGRAM, [noise], 256, "float64")

        return seconds(run, 2), run()[0][0].rank.max()

    start, rank = cost(**base)
    print(f"\n{base}: {start:.2f} s, {rank} directions")
    for name, value in wider.items():
        taken, rank = cost(**{**base, name: value})
        exponent = np.log(taken / start) / np.log(value / base[name])
        print(
            f"  {name} {base[name]} -> {value}: {taken:.2f} s, {rank} directions,"
            f" exponent {exponent:.2f}"
        )


def test_cost_of_outputs() -> None:
    """The history holds combined gradients: ten outputs cost about as much as one."""

    def cost(outputs: int) -> float:
        gram, stage = case(12, 60)
        classes = np.random.default_rng(1).integers(0, 10, 12)
        if outputs > 1:
            stage = stage._replace(y=np.eye(outputs)[classes])
        return seconds(
            lambda: causal_pass.solve(
                gram,
                [stage],
                depth=2,
                phi=TANH,
                slope=PROGRAM.slope,
                samples=2048,
                seeds=[(r,) for r in range(4)],
                tolerance=1e-4,
                dtype="float32",
            ),
            3,
        )

    one, ten = cost(1), cost(10)
    print(
        f"\ntanh, L=2, P=12, 60 steps: {one:.2f} s, with ten outputs {ten / one:.2f} times as long"
    )


LONG = """
import resource, time, numpy as np
from harness import numerics
from harness.numerics.dmft import causal_pass
phi = numerics.activation("tanh")
x = np.random.default_rng(0).standard_normal((70, 50))
stage = numerics.StageArrays(np.arange(50), np.sign(x[:50, 0]), np.arange(50, 70),
                             numerics.StageRates(1.0, 0.01), np.array([0, 100]))
start = time.perf_counter()
found = causal_pass.solve(x @ x.T / 50, [stage], depth=2, phi=phi, slope=numerics.derivative(phi),
                            samples=10_000, seeds=[(0,)], tolerance=1e-4)[0][0]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(f"T P = 5000 columns, 10,000 samples: {time.perf_counter() - start:.0f} s,"
      f" {peak:.1f} GiB at most, {found.rank.tolist()} directions")
"""


def test_memory_of_a_long_history() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LONG],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    print("\n" + done.stdout, end="")
