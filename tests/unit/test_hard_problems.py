"""Problems at the edge: every theory answers them rightly, or says what is wrong; never NaN."""

from __future__ import annotations

import numpy as np
import pytest
from problems import gaussian_data, make, problem

from harness import Dataset, DivergenceError, Stage, Trajectory, TransferData

DATA = gaussian_data(points=6, dimension=5)
THEORIES = [
    ("dmft", "tanh", 2),
    ("dmft", "linear", 3),
    ("mean-field", "relu", 1),
    ("lazy-ntk", "relu", 2),
    ("linear-transfer", "linear", 1),
]


def solve(case: tuple[str, str, int], target: Dataset, dt: float, steps: int) -> Trajectory:
    name, activation, depth = case
    data = TransferData(target=target, target_test=DATA.target_test)
    stage = Stage(data="target", richness=1.0, steps=steps, dt=dt)
    found: Trajectory = make("theory", name).predict(
        problem(data, stage, activation=activation, depth=depth)
    )
    return found


@pytest.mark.parametrize("case", THEORIES, ids=str)
def test_labels_of_zero_are_learnt_at_once(case: tuple[str, str, int]) -> None:
    found = solve(case, Dataset(DATA.target.x, 0 * DATA.target.y), dt=0.05, steps=20)
    assert np.abs(found[0, "output/test"].values).max() < 1e-6
    assert np.all(found[0, "kernel/alignment"].values == 0)


@pytest.mark.parametrize("case", THEORIES, ids=str)
def test_a_step_beyond_stability_is_an_error_that_names_it(case: tuple[str, str, int]) -> None:
    with pytest.raises(DivergenceError, match=r"dt = 50.*; use a (smaller )?dt"):
        solve(case, DATA.target, dt=50.0, steps=100)
