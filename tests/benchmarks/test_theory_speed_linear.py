"""Cost of the exact theories beside brute force: measured and printed, never asserted.

Run with `make bench`. Brute force is the ensemble of networks that knows the predictor on the test
points to a given relative error: with relative variance s^2 over seeds, s^2 / error^2 networks, of
a width whose bias is below the error. These theories have no error, so nominal ones are taken.
"""

from __future__ import annotations

import numpy as np
import pytest
from brute_force import ensembles, print_ratio, seconds
from problems import REGISTRY, make, problem

from harness import Dataset, Problem, Stage, TransferData

pytestmark = pytest.mark.benchmark

NOMINAL_ERRORS = (0.01, 0.001)


def print_beside_brute_force(title: str, theory: str, task: Problem) -> None:
    solver = make("theory", theory)
    exact = solver.predict(task)
    cost = seconds(lambda: solver.predict(task))
    print(f"\n{title}: {theory} {1e3 * cost:.1f} ms")
    last = len(task.protocol.stages) - 1
    found = ensembles(task, exact, last, "output/test", (256, 1024))
    for error in NOMINAL_ERRORS:
        print_ratio(found, error, cost)


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
