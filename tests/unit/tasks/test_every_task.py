"""What all tasks promise: four sets in the sizes asked for, fixed by the seed alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from drawn_tasks import SETS, TASKS, component, draw, in_a_new_process, refused, rows
from hypothesis import given, settings
from hypothesis import strategies as st


def begins(longer: np.ndarray, shorter: np.ndarray) -> bool:
    return np.array_equal(longer[: len(shorter)], shorter)


@pytest.mark.parametrize("name", TASKS)
def test_four_sets_of_flat_points_come_in_the_sizes_asked_for(name: str) -> None:
    sets = draw(name).sets()
    sizes = TASKS[name]
    assert {n: len(d) for n, d in sets.items()} == {
        "source": sizes["source_points"],
        "source_test": sizes["test_points"],
        "target": sizes["target_points"],
        "target_test": sizes["test_points"],
    }
    dimension = sizes.get("dimension", 5 if name == "table" else 64)
    assert all(d.x.shape == (len(d), dimension) for d in sets.values())


@pytest.mark.parametrize("name", TASKS)
def test_the_same_seed_gives_the_same_data(name: str) -> None:
    first, second = (draw(name, seed=5).sets() for _ in range(2))
    for set_name in SETS:
        np.testing.assert_array_equal(first[set_name].x, second[set_name].x)
        np.testing.assert_array_equal(first[set_name].y, second[set_name].y)


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("set_name", SETS)
def test_different_seeds_give_different_inputs(name: str, set_name: str) -> None:
    one, other = (draw(name, seed=seed).sets()[set_name].x for seed in (0, 1))
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("name", TASKS)
def test_no_point_is_in_two_sets(name: str) -> None:
    data = draw(name)
    every = [row for set_name in SETS for row in rows(data, set_name)]
    assert len(every) == len(set(every)) == sum(len(d) for d in data.sets().values())


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("field", ["source_points", "target_points", "test_points"])
@pytest.mark.parametrize("value", [0, -3, 2.5, "7", True, None])
def test_sizes_are_positive_integers(name: str, field: str, value: Any) -> None:
    assert f"task.{field} = " in refused(name, **{field: value})


@pytest.mark.parametrize("name", TASKS)
def test_every_parameter_is_documented(name: str) -> None:
    fields = component(name).params.model_fields
    assert all(field.description for field in fields.values())


@pytest.mark.parametrize("name", TASKS)
def test_a_misspelt_parameter_names_the_nearest(name: str) -> None:
    assert "did you mean 'test_points'" in refused(name, tests_points=3)


@pytest.mark.parametrize("name", TASKS)
def test_loading_the_tasks_costs_no_heavy_import(name: str) -> None:
    heavy = ["jax", "pandas", "pyarrow", "scipy", "sklearn", "tensorflow_datasets"]
    code = (
        "import sys; from harness import Registry;"
        f"Registry.load().get('task', {name!r});"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    assert in_a_new_process(code)[0].strip() == "[]"


@pytest.mark.parametrize("name", ["linear-transfer", "polynomial-transfer", "multi-index"])
@settings(max_examples=15, deadline=None)
@given(more=st.integers(1, 20), seed=st.integers(0, 2**32))
def test_a_gaussian_set_does_not_depend_on_the_size_of_another(
    name: str, more: int, seed: int
) -> None:
    base = draw(name, seed)
    for field, grown in (
        ("source_points", ("source",)),
        ("target_points", ("target",)),
        ("test_points", ("source_test", "target_test")),
    ):
        changed = draw(name, seed, **{field: TASKS[name][field] + more})
        for set_name in SETS:
            old, new = base.sets()[set_name], changed.sets()[set_name]
            assert len(new) == len(old) + (more if set_name in grown else 0)
            assert begins(new.x, old.x)
            np.testing.assert_allclose(new.y[: len(old)], old.y, rtol=1e-12, atol=1e-12)
