"""`mean-field` on stages of chosen layers and of richness 0."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from problems import assert_near_networks, gaussian_data, make, norm_error, problem, relative

from harness import Stage

SOURCE = Stage(data="source", richness=1.5, steps=20, dt=0.05)
TARGET = Stage(data="target", richness=1.0, steps=20, dt=0.05)
THEORY: dict[str, Any] = {"samples": 2**13}


@pytest.mark.parametrize(
    "options",
    [
        {"trainable": [1]},
        {"trainable": [1], "decay": 0.3},
        {"reset": [1]},
        {"reset": [1], "trainable": "readout"},
        {"reset": "all"},
        {"richness": 0.0},
        {"richness": 0.0, "trainable": [1]},
        {"richness": 0.0, "loss": "logistic", "reset": "readout"},
    ],
    ids=str,
)
def test_chosen_layers_agree_with_wide_networks(options: dict[str, Any]) -> None:
    data = gaussian_data(points=8)
    task = problem(data, SOURCE, replace(TARGET, **options), activation="tanh")
    found = make("theory", "mean-field", **THEORY).predict(task)
    assert_near_networks({"mean-field": found}, task, 512)


def test_a_first_stage_of_richness_zero_is_the_lazy_limit() -> None:
    task = problem(gaussian_data(), replace(TARGET, richness=0.0), activation="erf")
    found, lazy = (
        make("theory", name, **options).predict(task)
        for name, options in (("mean-field", THEORY), ("lazy-ntk", {}))
    )
    # the control variate removes the error of the initial kernel, which is all there is
    assert relative(found[0, "output/test"].values, lazy[0, "output/test"].values) < 1e-4
    for name in ("loss/test", "kernel/alignment"):
        assert found[0, name].values == pytest.approx(lazy[0, name].values, rel=0.02)


def test_more_stages_than_one_start_from_the_same_units_after_richness_zero() -> None:
    data, theory = gaussian_data(), make("theory", "mean-field", **THEORY)
    between = replace(SOURCE, richness=0.0)
    after = theory.predict(problem(data, between, TARGET, activation="tanh"))
    alone = theory.predict(problem(data, replace(between, steps=0), TARGET, activation="tanh"))
    assert np.array_equal(after[1, "output/test"].values, alone[1, "output/test"].values)


def test_a_fixed_readout_follows_a_frozen_signal_too() -> None:
    """A small target error takes many samples, most of which are not trained."""
    task = problem(gaussian_data(), replace(TARGET, trainable=[1], steps=60), activation="tanh")
    exact = make("theory", "mean-field", samples=2**17).predict(task)
    found = make("theory", "mean-field", target_error=0.0015).predict(task)
    assert found.notes["samples"] > 2**13
    error = np.hypot(norm_error(found, 0), norm_error(exact, 0))
    distance = relative(found[0, "output/test"].values, exact[0, "output/test"].values)
    assert distance < 3 * error
