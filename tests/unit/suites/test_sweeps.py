"""A sweep is the product of its values, each of them once, and its points have names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_suite import MISSING, SUITE, Table, changed

from harness.suites import Suite, same_problems

# ---------------------------------------------------------------- values that are listed twice


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        (
            {"regime.target_richness": [1, 1.0]},
            ["experiment.0.sweep.regime.target_richness = [1, 1.0]: 1 and 1.0 are the same"],
        ),
        (
            {"regime.target_richness": [0.5, 1.0, 1.0, 1]},
            ["experiment.0.sweep.regime.target_richness = [0.5, 1.0, 1.0, 1]: 1.0 is listed twice"],
        ),
        (
            {"regime.target_richness": [2.0, 2], "task.data_seed": [3, 4, 3]},
            [
                "experiment.0.sweep.regime.target_richness = [2.0, 2]: 2.0 and 2 are the same",
                "experiment.0.sweep.task.data_seed = [3, 4, 3]: 3 is listed twice",
            ],
        ),
    ],
)
def test_values_that_are_read_alike_are_refused(
    refusals: Callable[[Any], list[str]], sweep: Table, said: list[str]
) -> None:
    found = refusals(changed(("experiment/0/sweep", sweep)))
    assert found == [f"{line}; list it once" for line in said]


def test_values_that_differ_are_no_repeats(read: Callable[[Any], Suite]) -> None:
    sweep = {"regime.dt": ["auto", 0.1, 0.2], "regime.decay": [0.0, 1e-12]}
    assert len(read(changed(("experiment/0/sweep", sweep))).experiments) == 6


def test_two_names_of_one_problem_are_found(read: Callable[[Any], Suite]) -> None:
    first = SUITE["experiment"][0]
    regime = first["regime"]
    again = first | {"name": "again", "theories": first["theories"][::-1]}
    spelt = again | {"name": "spelt out", "regime": regime | {"dt": "auto", "source_richness": 1}}
    crossing = again | {"name": "s", "sweep": {"regime.target_richness": [0.5, 1.0]}}
    fewer = again | {"name": "fewer", "theories": ["mean-field"]}
    narrow = again | {"name": "narrow", "widths": [16]}
    table = SUITE | {"experiment": [first, again, spelt, crossing, fewer, narrow]}
    assert same_problems(read(table)) == [
        ["first", "again", "spelt out", "s[regime.target_richness=0.5]"]
    ]


# ---------------------------------------------------------------- sweeps


def test_a_sweep_is_the_cartesian_product_in_the_order_written(
    read: Callable[[Any], Suite],
) -> None:
    sweep = {"regime.target_richness": [0.25, 1.0], "architecture.depth": [1, 2]}
    found = read(changed(("experiment/0/sweep", sweep))).experiments
    assert [e.name for e in found] == [
        "first[regime.target_richness=0.25,architecture.depth=1]",
        "first[regime.target_richness=0.25,architecture.depth=2]",
        "first[regime.target_richness=1.0,architecture.depth=1]",
        "first[regime.target_richness=1.0,architecture.depth=2]",
    ]
    assert [
        (e.regime.parameters["target_richness"], e.architecture.parameters["depth"]) for e in found
    ] == [(0.25, 1), (0.25, 2), (1.0, 1), (1.0, 2)]


@pytest.mark.parametrize(
    ("sweep", "name"),
    [
        ({"regime.target_richness": [0.25]}, "first[regime.target_richness=0.25]"),
        ({"regime.readout": ["zero"]}, "first[regime.readout=zero]"),
        ({"task.data_seed": [3]}, "first[task.data_seed=3]"),
        ({"task.noise_alignment": [1e-7]}, "first[task.noise_alignment=1e-07]"),
        ({}, "first"),
    ],
)
def test_a_point_is_named_by_what_is_swept(
    read: Callable[[Any], Suite], sweep: Table, name: str
) -> None:
    table = changed(("experiment/0/sweep", sweep), ("experiment/0/task/label_noise", 0.1))
    assert [e.name for e in read(table).experiments] == [name]


def test_a_list_is_swept_as_one_value(read: Callable[[Any], Suite]) -> None:
    images = {"name": "image-pairs", "source_points": 4, "target_points": 4, "test_points": 4}
    table = changed(
        ("experiment/0/task", images), ("experiment/0/sweep", {"task.source_classes": [[2, 3]]})
    )
    (found,) = read(table).experiments
    assert found.name == "first[task.source_classes=[2,3]]"
    assert found.task.parameters["source_classes"] == [2, 3]


def test_a_sweep_may_give_a_required_parameter(read: Callable[[Any], Suite]) -> None:
    table = changed(
        ("experiment/0/regime/target_richness", MISSING),
        ("experiment/0/sweep", {"regime.target_richness": [2.0]}),
    )
    assert read(table).experiments[0].regime.parameters["target_richness"] == 2.0


@given(
    richness=st.lists(st.sampled_from([0.1, 0.5, 2.0, 8.0]), unique=True, min_size=1),
    depths=st.lists(st.integers(1, 5), unique=True, min_size=1, max_size=4),
)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=20,
)
def test_a_sweep_has_as_many_points_as_the_product_and_all_names_differ(
    read: Callable[[Any], Suite], richness: list[float], depths: list[int]
) -> None:
    sweep = {"regime.source_richness": richness, "architecture.depth": depths}
    names = [e.name for e in read(changed(("experiment/0/sweep", sweep))).experiments]
    assert len(set(names)) == len(names) == len(richness) * len(depths)
