"""`dmft` on stages of chosen layers and of richness 0."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from problems import assert_near_networks, gaussian_data, make, norm_error, problem, relative

from harness import Dataset, Problem, Protocol, Stage, TransferData

SOURCE = Stage(data="source", richness=1.5, steps=20, dt=0.05)
TARGET = Stage(data="target", richness=1.0, steps=20, dt=0.05)
THEORY: dict[str, Any] = {"samples": 1024, "replicates": 8}
DATA = gaussian_data(points=6)


@pytest.mark.parametrize(
    "options",
    [
        {"trainable": [2, 3, "readout"], "reset": [3, "readout"]},
        {"trainable": [1, 3]},
        {"reset": [1, 2]},
        {"richness": 0.0},
    ],
    ids=str,
)
def test_chosen_layers_of_deep_networks_agree_with_wide_ones(options: dict[str, Any]) -> None:
    task = problem(DATA, SOURCE, replace(TARGET, **options), activation="tanh", depth=3)
    found = make("theory", "dmft", **THEORY).predict(task)
    assert_near_networks({"dmft": found}, task, 512)


@pytest.mark.parametrize("outputs", [2, 3])
@pytest.mark.parametrize(
    "options", [{}, {"readout": "reset"}, {"trainable": [1, "readout"]}], ids=str
)
def test_several_outputs_are_as_exact_as_one_where_a_stage_is_linearised(
    outputs: int, options: dict[str, Any]
) -> None:
    """Its error must not grow as the inverse of the small richness that stands for 0."""
    rng = np.random.default_rng(outputs)
    sets: Any = {
        name: Dataset(found.x, rng.standard_normal((len(found), outputs)))
        for name, found in DATA.sets().items()
    }
    later = replace(TARGET, richness=0.0, dt=0.02, **options)
    task = problem(TransferData(**sets), SOURCE, later, activation="tanh", depth=2)
    found = make("theory", "dmft", **THEORY).predict(task)
    assert norm_error(found, 1) < 0.05
    assert_near_networks({"dmft": found}, task, 1024)


def test_chosen_layers_of_residual_networks_agree_with_wide_ones() -> None:
    later = replace(TARGET, trainable=[2, "readout"], reset=[3])
    architecture = make("architecture", "resmlp", depth=3)
    task = Problem(DATA, architecture, Protocol((SOURCE, later)))
    found = make("theory", "dmft", **THEORY).predict(task)
    assert_near_networks({"dmft": found}, task, 512)


@pytest.mark.parametrize(
    "options",
    [{"trainable": [1], "readout": "keep"}, {"reset": [1]}, {"richness": 0.0}],
    ids=str,
)
def test_one_layer_is_that_of_the_two_layer_theory(options: dict[str, Any]) -> None:
    task = problem(DATA, SOURCE, replace(TARGET, **options), activation="tanh")
    deep = make("theory", "dmft", **THEORY).predict(task)
    exact = make("theory", "mean-field", samples=2**14).predict(task)
    error = np.hypot(norm_error(deep, 1), norm_error(exact, 1))
    distance = relative(deep[1, "output/test"].values, exact[1, "output/test"].values)
    assert distance < 3 * error + 0.002, "a richness of 0.001 stands for 0"


def test_linear_networks_freeze_without_sampling_and_redraw_with_it() -> None:
    frozen = problem(DATA, SOURCE, replace(TARGET, trainable=[2]), activation="linear", depth=2)
    fresh = problem(DATA, SOURCE, replace(TARGET, reset=[2]), activation="linear", depth=2)
    theory = make("theory", "dmft", **THEORY)
    exact, sampled = theory.predict(frozen), theory.predict(fresh)
    assert exact.notes["samples"] == 0 and sampled.notes["samples"] > 0
    assert_near_networks({"dmft": exact}, frozen, 512)
    assert_near_networks({"dmft": sampled}, fresh, 512)


def test_decay_with_chosen_layers_is_refused_in_a_line() -> None:
    chosen = problem(DATA, replace(TARGET, trainable=[1], decay=0.1), depth=2)
    assert make("theory", "dmft").supports(chosen) == (
        "describes decay where all hidden weights are trained, and none drawn afresh"
    )
