"""The task `multi-index`: labels of a few directions, and the step that source and target share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from drawn_tasks import SETS, draw, refused
from hypothesis import given, settings
from hypothesis import strategies as st

FUNCTIONS = ["staircase", "parity", "product"]
LARGE: dict[str, Any] = {"source_points": 50_000, "target_points": 50_000, "test_points": 50_000}


def labels(function: str, z: np.ndarray) -> np.ndarray:
    """Return labels by their definition, from z of shape (P, k)."""
    k = z.shape[1]
    steps = np.array([np.prod(z[:, : i + 1], axis=1) for i in range(k)])
    found = {
        "staircase": steps.sum(axis=0) / math.sqrt(k),
        "parity": np.sign(steps[-1]),
        "product": steps[-1],
    }
    return np.asarray(found[function])


def all_directions(seed: int = 0, *, dimension: int = 9, directions: int = 3) -> np.ndarray:
    """Recover the rows u_1 ... u_k from the labels of staircases, step by step.

    sqrt(k) y_k - sqrt(k - 1) y_(k-1) = z_1 ... z_k, whose ratio to the one before is z_k.
    """
    found: list[np.ndarray] = []
    for k in range(1, directions + 1):
        sizes = {"directions": max(k, 2), "source_directions": k if k == 1 else k - 1}
        data = draw("multi-index", seed, dimension=dimension, test_points=40, **sizes)
        points = data.source_test if k == 1 else data.target_test
        assert points is not None
        z = points.x @ np.array(found).T if found else np.empty((len(points), 0))
        steps = np.cumprod(z, axis=1)
        before = steps[:, -1] if found else np.ones(len(points))
        last = math.sqrt(k) * points.y - steps.sum(axis=1)
        found.append(np.linalg.lstsq(before[:, None] * points.x, last)[0])
    return np.array(found)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("source_directions", [1, 2])
def test_source_and_target_are_one_function_of_the_same_first_directions(
    function: str, source_directions: int
) -> None:
    u = all_directions()
    data = draw("multi-index", function=function, source_directions=source_directions).sets()
    for set_name, points in data.items():
        k = source_directions if set_name.startswith("source") else 3
        np.testing.assert_allclose(points.y, labels(function, points.x @ u[:k].T), atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), sizes=st.sampled_from([(2, 2), (4, 3), (9, 4)]))
def test_directions_are_orthonormal(seed: int, sizes: tuple[int, int]) -> None:
    u = all_directions(seed, dimension=sizes[0], directions=sizes[1])
    np.testing.assert_allclose(u @ u.T, np.eye(sizes[1]), atol=1e-6)


def test_no_direction_is_preferred() -> None:
    """Uniform unit vectors have u_i u_j = delta_ij / D on average, and mean 0.

    Entries of 400 draws lie within 5 standard errors, which are at most sqrt(2) / D and
    1 / sqrt(D) over the root of their number.
    """
    drawn = np.array([all_directions(seed, dimension=3, directions=2) for seed in range(400)])
    for u in (drawn[:, 0], drawn[:, 1], np.cross(drawn[:, 0], drawn[:, 1])):
        second = np.einsum("ni,nj->ij", u, u) / len(u)
        assert (np.abs(second - np.eye(3) / 3) < 5 * math.sqrt(2) / 3 / math.sqrt(len(u))).all()
        assert (np.abs(u.mean(axis=0)) < 5 / math.sqrt(3 * len(u))).all()


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("directions", [2, 4])
def test_labels_have_mean_0_and_variance_1(function: str, directions: int) -> None:
    """Within 5 standard errors, found from the labels themselves."""
    sizes = LARGE | {"directions": directions, "source_directions": 1}
    for points in draw("multi-index", function=function, **sizes).sets().values():
        y, root = points.y, math.sqrt(len(points))
        assert abs(y.mean()) < 5 * y.std() / root
        assert abs(np.mean(y**2) - 1) <= 5 * np.std(y**2) / root


def test_parities_are_plus_or_minus_one() -> None:
    sizes = {"source_points": 40, "target_points": 40, "test_points": 40}
    for points in draw("multi-index", function="parity", **sizes).sets().values():
        assert set(points.y) == {-1.0, 1.0}


@pytest.mark.parametrize(
    ("function", "overlap"), [("staircase", math.sqrt(2 / 3)), ("parity", 0.0), ("product", 0.0)]
)
def test_the_staircase_of_the_source_is_the_lower_part_of_the_targets(
    function: str, overlap: float
) -> None:
    """<y_s y_t> on the same inputs is sqrt(k_s / k) for staircases, and 0 otherwise."""
    x = draw("multi-index", test_points=100_000).target_test.x
    z = x @ all_directions().T
    product = labels(function, z[:, :2]) * labels(function, z)
    assert abs(product.mean() - overlap) < 5 * product.std() / math.sqrt(len(x))


def test_inputs_are_standard_gaussians_of_their_own_in_every_set() -> None:
    for points in draw("multi-index", **LARGE).sets().values():
        error = np.sqrt((1 + np.eye(9)) / len(points))
        assert (np.abs(points.x.T @ points.x / len(points) - np.eye(9)) < 5 * error).all()


def test_noise_falls_on_training_labels_only_and_has_the_size_asked_for() -> None:
    clean = draw("multi-index", **LARGE).sets()
    noisy = draw("multi-index", **LARGE, label_noise=0.3).sets()
    for set_name in SETS:
        np.testing.assert_array_equal(clean[set_name].x, noisy[set_name].x)
        noise = noisy[set_name].y - clean[set_name].y
        if set_name.endswith("_test"):
            np.testing.assert_array_equal(noise, 0)
        else:  # a sample's standard deviation has standard error sigma / sqrt(2 P)
            assert abs(noise.std() - 0.3) < 4 * 0.3 / math.sqrt(2 * len(noise))


def test_there_are_as_many_directions_as_dimensions_at_most() -> None:
    assert draw("multi-index", dimension=3).target.x.shape == (5, 3)
    assert refused("multi-index", dimension=2, source_directions=1) == (
        "task.directions = 3: at most dimension (2); no more directions are orthogonal to each"
        " other"
    )


@pytest.mark.parametrize("given", [3, 4])
def test_the_source_is_a_lower_step(given: int) -> None:
    assert refused("multi-index", source_directions=given) == (
        f"task.source_directions = {given}: less than directions (3); the source is a lower step"
    )


def test_a_step_has_a_direction() -> None:
    assert "task.source_directions = 0: at least 1" in refused("multi-index", source_directions=0)
    assert "at least 2" in refused("multi-index", directions=1, source_directions=1)


def test_an_unknown_function_names_the_nearest() -> None:
    line = refused("multi-index", function="staircases")
    assert "'staircase'" in line and "'parity'" in line and "'product'" in line


def test_noise_is_not_negative() -> None:
    assert refused("multi-index", label_noise=-0.1) == "task.label_noise = -0.1: at least 0"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_steps_between_are_tasks_of_their_own(function: str) -> None:
    sizes = {"directions": 4, "source_directions": 1}
    plain = draw("multi-index", function=function, **sizes)
    data = draw("multi-index", function=function, **sizes, step_points=7)
    assert data.tasks == ["source", "step-2", "step-3", "target"]
    u = all_directions(directions=4)
    for step in (2, 3):
        train, test = data.train(f"step-{step}"), data.test(f"step-{step}")
        assert (len(train), len(test)) == (7, len(data.target_test))
        for points in (train, test):
            np.testing.assert_allclose(points.y, labels(function, points.x @ u[:step].T), atol=1e-9)
    for set_name, points in plain.sets().items():
        np.testing.assert_array_equal(points.x, data.sets()[set_name].x)
        np.testing.assert_array_equal(points.y, data.sets()[set_name].y)
    inputs = np.concatenate([points.x for points in data.sets().values()])
    assert len(np.unique(inputs, axis=0)) == len(inputs)


def test_there_is_a_step_between_or_a_line_that_says_so() -> None:
    assert refused("multi-index", directions=3, source_directions=2, step_points=5) == (
        "task.step_points = 5: no step lies between source_directions (2) and directions (3); leave"
        " it out, or take more directions"
    )
