"""Seconds of a theory's first solution and of its next one, by theory: printed, never asserted.

Run with `make bench`. Compiled programs are not taken from a cache; those that theories share
are compiled by the first that needs them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pytest
from brute_force import seconds
from problems import gaussian_data, make, problem

from harness import Problem, Stage, numerics

pytestmark = pytest.mark.benchmark

COMPILED = "/jax/core/compile/backend_compile_duration"

ARCHIVED = {
    ("relu", 2): 0.044,
    ("relu", 4): 0.116,
    ("erf", 2): 0.040,
    ("erf", 4): 0.064,
}
"""Seconds of the archived library for kernels of 1000 points, on one core."""


@pytest.fixture
def without_cache() -> Iterator[None]:
    kept = jax.config.jax_enable_compilation_cache  # type: ignore[attr-defined]
    jax.clear_caches()
    jax.config.update("jax_enable_compilation_cache", False)
    yield
    jax.config.update("jax_enable_compilation_cache", kept)


def transfer(activation: str, depth: int, steps: int = 100, **numbers: Any) -> Problem:
    source, target = (
        Stage(data=data, richness=1.0, steps=steps, dt=0.02, **numbers)
        for data in ("source", "target")
    )
    data = gaussian_data(points=40, dimension=20)
    return problem(data, source, target, activation=activation, depth=depth)


@pytest.mark.parametrize(
    ("name", "task", "parameters"),
    [
        ("mean-field", transfer("relu", 1), {}),
        ("mean-field", transfer("erf", 1), {}),
        ("linear-transfer", transfer("linear", 1), {}),
        ("lazy-ntk", transfer("relu", 2), {}),
        ("lazy-nngp", transfer("tanh", 2), {}),
        ("dmft", transfer("tanh", 2), {"target_error": 0.05}),
        ("dmft", transfer("linear", 2), {}),
        ("adaptive-kernel", transfer("linear", 1, 20_000, decay=0.1, temperature=0.01), {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.usefixtures("without_cache")
def test_cold_and_warm(name: str, task: Problem, parameters: dict[str, Any]) -> None:
    programs = [0]

    def hear(event: str, duration_secs: float, **_: str | int) -> None:
        programs[0] += event == COMPILED

    jax.monitoring.register_event_duration_secs_listener(hear)
    solver, spent = make("theory", name, **parameters), []
    for _ in range(2):
        started, cpu = time.perf_counter(), time.process_time()
        solver.predict(task)
        spent.append((time.perf_counter() - started, time.process_time() - cpu))
    architecture = task.architecture
    (cold, cold_cpu), (warm, warm_cpu) = spent
    print(
        f"\n{name}, {architecture.activation}, L={architecture.depth}: {programs[0]} programs,"
        f" cold {cold:.2f} s ({cold_cpu:.2f} s of processors), warm {warm:.2f} s ({warm_cpu:.2f} s)"
    )


@pytest.mark.parametrize("activation", ["relu", "erf", "gelu", "tanh", "he3", "linear"])
def test_lazy_kernels_of_1000_points(activation: str) -> None:
    x = np.random.default_rng(0).standard_normal((1000, 50))
    for depth in (2, 4):

        def run(depth: int = depth) -> Any:
            return numerics.lazy_kernels(
                x, x, activation=activation, depth=depth, every_layer=False
            )

        archived = ARCHIVED.get((activation, depth))
        beside = f", archived library {archived:.3f} s" if archived else ""
        print(f"\nlazy kernels, {activation}, L={depth}: {seconds(run, 7):.3f} s{beside}", end="")
    print()
