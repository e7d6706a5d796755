"""Tasks on Gaussian inputs: their labels, their directions, and what cannot be asked of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from drawn_tasks import SETS, component, draw, refused
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import TransferData

# ---------------------------------------------------------------- linear-transfer


def direction(data: TransferData, set_name: str) -> np.ndarray:
    """Recover b from noiseless labels y = b.z of a set with more points than dimensions."""
    points = data.sets()[set_name]
    z = points.x / math.sqrt(points.x.shape[1])
    assert len(points) > z.shape[1]
    return np.asarray(np.linalg.lstsq(z, points.y)[0])


def picked_up(data: TransferData) -> np.ndarray:
    """Return g: where the minimum-norm interpolator of the source points, off b_s."""
    assert data.source is not None
    b_s = direction(data, "source_test")
    b = np.linalg.pinv(data.source.x / math.sqrt(data.source.x.shape[1])) @ data.source.y
    g = b - (b @ b_s) * b_s
    return np.asarray(g / np.linalg.norm(g))


@settings(max_examples=30, deadline=None)
@given(alignment=st.floats(-1, 1), seed=st.integers(0, 2**32))
def test_source_and_target_directions_are_unit_vectors_with_the_alignment(
    alignment: float, seed: int
) -> None:
    data = draw("linear-transfer", seed, alignment=alignment)
    b_s, b_t = direction(data, "source_test"), direction(data, "target_test")
    assert abs(np.linalg.norm(b_s) - 1) < 1e-10
    assert abs(np.linalg.norm(b_t) - 1) < 1e-10
    assert abs(b_s @ b_t - alignment) < 1e-10


def test_training_labels_follow_the_same_directions_as_test_labels() -> None:
    data = draw("linear-transfer", source_points=40, target_points=40)
    for side in ("source", "target"):
        np.testing.assert_allclose(
            direction(data, side), direction(data, f"{side}_test"), atol=1e-10
        )


@settings(max_examples=30, deadline=None)
@given(
    radius=st.floats(0, 1),
    angle=st.floats(0, 2 * math.pi),
    label_noise=st.sampled_from([0.0, 0.3]),
    seed=st.integers(0, 2**32),
)
def test_the_target_has_the_alignment_and_the_noise_alignment_asked_for(
    radius: float, angle: float, label_noise: float, seed: int
) -> None:
    alignment, noise_alignment = radius * math.cos(angle), radius * math.sin(angle)
    data = draw(
        "linear-transfer",
        seed,
        alignment=alignment,
        noise_alignment=noise_alignment,
        label_noise=label_noise,
    )
    b_s, b_t, g = (direction(data, "source_test"), direction(data, "target_test"), picked_up(data))
    assert abs(np.linalg.norm(b_t) - 1) < 1e-10
    assert abs(b_t @ b_s - alignment) < 1e-10
    assert abs(b_t @ g - noise_alignment) < 1e-10


@pytest.mark.parametrize("noise_alignment", [None, -0.4])
def test_overlaps_are_stated_for_theories_of_typical_draws(noise_alignment: float | None) -> None:
    data = draw("linear-transfer", noise_alignment=noise_alignment, label_noise=0.1)
    assert data.facts == {
        "isotropic-linear/alignment": 0.6,
        "isotropic-linear/noise-alignment": noise_alignment or 0.0,
        "isotropic-linear/label-noise": 0.1,
    }


def test_label_noise_gives_the_source_a_g_even_with_more_points_than_dimensions() -> None:
    data = draw("linear-transfer", source_points=50, label_noise=0.5, noise_alignment=0.7)
    assert abs(direction(data, "target_test") @ picked_up(data) - 0.7) < 1e-10


def test_label_noise_falls_on_training_labels_only_and_has_the_size_asked_for() -> None:
    sizes = {"source_points": 4000, "target_points": 4000}
    clean = draw("linear-transfer", **sizes).sets()
    noisy = draw("linear-transfer", **sizes, label_noise=0.3).sets()
    for set_name in SETS:
        np.testing.assert_array_equal(clean[set_name].x, noisy[set_name].x)
        noise = noisy[set_name].y - clean[set_name].y
        if set_name.endswith("_test"):
            np.testing.assert_array_equal(noise, 0)
        else:  # a sample's standard deviation has standard error sigma / sqrt(2 P)
            assert abs(noise.std() - 0.3) < 4 * 0.3 / math.sqrt(2 * len(noise))
    source, target = (noisy[s].y - clean[s].y for s in ("source", "target"))
    assert abs(np.corrcoef(source, target)[0, 1]) < 4 / math.sqrt(len(source))


def test_the_input_kernel_of_linear_transfer_is_the_product_of_unit_gaussians() -> None:
    x = draw("linear-transfer", test_points=20_000).target_test.x
    z = x / math.sqrt(x.shape[1])  # K_x = x.x'/D = z.z'
    covariance = z.T @ z / len(z)
    error = np.sqrt((1 + np.eye(z.shape[1])) / len(z))
    assert (np.abs(covariance - np.eye(z.shape[1])) < 5 * error).all()


@pytest.mark.parametrize("spectrum", [0.0, 0.5, 1.0, 2.5])
def test_variances_fall_as_a_power_of_the_coordinate_and_sum_to_the_dimension(
    spectrum: float,
) -> None:
    """Within 5 standard errors; sample covariances of Gaussians vary by C_ii C_jj + C_ij^2."""
    sizes: dict[str, Any] = {"spectrum": spectrum, "source_points": 20_000, "test_points": 20_000}
    falling = np.arange(1, 13) ** -spectrum
    expected = np.diag(12 * falling / falling.sum())
    for points in draw("linear-transfer", **sizes, target_points=20_000).sets().values():
        z = points.x / math.sqrt(12)
        error = np.sqrt((np.outer(expected.diagonal(), expected.diagonal()) + expected**2) / len(z))
        assert (np.abs(z.T @ z / len(z) - expected) < 5 * error).all()
        total = np.mean(np.sum(z**2, axis=1))
        assert abs(total - 12) < 5 * math.sqrt(2 * np.sum(expected**2) / len(z))


@settings(max_examples=20, deadline=None)
@given(spectrum=st.floats(0, 2), noise_alignment=st.floats(-0.8, 0.8), seed=st.integers(0, 2**32))
def test_directions_have_their_overlaps_for_any_spectrum(
    spectrum: float, noise_alignment: float, seed: int
) -> None:
    overlaps = {"alignment": 0.6, "noise_alignment": noise_alignment}
    data = draw("linear-transfer", seed, **overlaps, spectrum=spectrum)
    b_s, b_t = direction(data, "source_test"), direction(data, "target_test")
    assert abs(np.linalg.norm(b_s) - 1) < 1e-9
    assert abs(np.linalg.norm(b_t) - 1) < 1e-9
    assert abs(b_t @ b_s - 0.6) < 1e-9
    assert abs(b_t @ picked_up(data) - noise_alignment) < 1e-9


def test_a_spectrum_rescales_the_inputs_of_isotropic_draws() -> None:
    flat, steep = (draw("linear-transfer", spectrum=a).target_test.x for a in (0.0, 1.0))
    ratio = steep / flat
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[0], ratio.shape), rtol=1e-12)


@pytest.mark.parametrize(("directions", "half"), [("strong", slice(6)), ("weak", slice(6, 12))])
def test_directions_lie_in_the_half_of_inputs_that_vary_most_or_least(
    directions: str, half: slice
) -> None:
    data = draw("linear-transfer", spectrum=1.0, directions=directions)
    b_s, b_t = direction(data, "source_test"), direction(data, "target_test")
    for b in (b_s, b_t):
        assert abs(np.sum(b[half] ** 2) - 1) < 1e-9
    anywhere = draw("linear-transfer", spectrum=1.0)
    np.testing.assert_array_equal(data.target_test.x, anywhere.target_test.x)
    overlap = direction(anywhere, "source_test") @ direction(anywhere, "target_test")
    assert abs(b_t @ b_s - overlap) < 1e-9


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"directions": "strong"}, "all directions of isotropic inputs are alike"),
        ({"directions": "weak", "spectrum": 1.0, "dimension": 3}, "set dimension to 4 or more"),
        ({"directions": "rich", "spectrum": 1.0}, "'any', 'strong' or 'weak'"),
    ],
)
def test_directions_that_do_not_exist_are_refused(wrong: dict[str, Any], reason: str) -> None:
    assert reason in refused("linear-transfer", **wrong)


@pytest.mark.parametrize("spectrum", [0.01, 300.0, 1e300])
def test_theories_of_isotropic_draws_are_told_nothing_where_there_is_a_spectrum(
    spectrum: float,
) -> None:
    assert draw("linear-transfer", spectrum=spectrum).facts == {}


@pytest.mark.parametrize(
    ("seed", "changes", "last_labels"),
    [
        (
            0,
            {},
            [-0.5166077364336097, -1.5704737004617144, -0.4244235203994654, 0.7888272065242037],
        ),
        (
            3,
            {"noise_alignment": 0.4, "label_noise": 0.2},
            [-0.3133736914032603, -0.8615909368996778, 1.084324858646177, 0.17405940104060852],
        ),
    ],
)
def test_data_without_a_spectrum_are_those_of_version_1(
    seed: int, changes: dict[str, Any], last_labels: list[float]
) -> None:
    """Inputs to the bit; labels, sums that machines round in their own ways, as they were."""
    data = draw("linear-transfer", seed, **changes).sets()
    assert component("linear-transfer").version == "1"
    for stream, set_name in enumerate(SETS):
        drawn = np.random.default_rng([seed, 1, stream]).standard_normal(data[set_name].x.shape)
        np.testing.assert_array_equal(data[set_name].x, np.sqrt(12) * drawn)
    np.testing.assert_allclose([data[name].y[-1] for name in SETS], last_labels, rtol=1e-10)


def test_a_spectrum_does_not_grow() -> None:
    assert refused("linear-transfer", spectrum=-0.5) == "task.spectrum = -0.5: at least 0"


@pytest.mark.parametrize("name", ["linear-transfer", "polynomial-transfer"])
@pytest.mark.parametrize("alignment", [-1.01, 2.0])
def test_alignment_lies_between_minus_one_and_one(name: str, alignment: float) -> None:
    bound = "at most 1" if alignment > 0 else "at least -1"
    assert refused(name, alignment=alignment) == f"task.alignment = {alignment}: {bound}"


def test_label_noise_is_not_negative() -> None:
    assert "task.label_noise = -0.1" in refused("linear-transfer", label_noise=-0.1)


def test_overlaps_that_no_unit_vector_has_are_refused() -> None:
    line = refused("linear-transfer", alignment=0.8, noise_alignment=0.7)
    assert "task.noise_alignment = 0.7" in line
    assert "1.13" in line and "at most 1" in line


def test_overlaps_may_fill_the_unit_vector_up_to_rounding() -> None:
    data = draw("linear-transfer", alignment=math.sqrt(0.5), noise_alignment=math.sqrt(0.5))
    assert abs(np.linalg.norm(direction(data, "target_test")) - 1) < 1e-10


def test_noise_alignment_without_anything_picked_up_is_refused() -> None:
    line = refused("linear-transfer", source_points=12, noise_alignment=0.1)
    assert "g does not exist" in line
    for way_out in ("source_points below dimension (12)", "label_noise", "null"):
        assert way_out in line


def test_two_dimensions_leave_no_third_direction() -> None:
    line = refused("linear-transfer", dimension=2, source_points=1, noise_alignment=0.1)
    assert "dimension to 3" in line


@pytest.mark.parametrize("name", ["linear-transfer", "polynomial-transfer", "multi-index"])
def test_one_dimension_is_refused(name: str) -> None:
    assert "task.dimension = 1" in refused(name, dimension=1)


# ---------------------------------------------------------------- polynomial-transfer


def test_labels_of_polynomial_transfer_are_the_hermite_polynomials() -> None:
    """y = He_k(beta.x)/sqrt(k!), with beta recovered from labels of degree 1."""
    sizes = {"dimension": 4, "source_points": 50, "target_points": 50}
    linear = draw("polynomial-transfer", **sizes, source_degree=1, target_degree=1)
    for side in ("source", "target"):
        x = linear.sets()[side].x
        beta = np.linalg.lstsq(x, linear.sets()[side].y)[0]
        for degree in range(1, 9):
            drawn = draw("polynomial-transfer", **sizes, source_degree=degree, target_degree=degree)
            expected = np.polynomial.hermite_e.hermeval(x @ beta, [0] * degree + [1])
            np.testing.assert_allclose(
                drawn.sets()[side].y,
                expected / math.sqrt(math.factorial(degree)),
                rtol=1e-9,
                atol=1e-9,
            )


@settings(max_examples=20, deadline=None)
@given(alignment=st.floats(-1, 1), seed=st.integers(0, 2**32))
def test_polynomial_directions_are_unit_vectors_with_the_alignment(
    alignment: float, seed: int
) -> None:
    data = draw("polynomial-transfer", seed, alignment=alignment, source_degree=1, target_degree=1)
    beta_s, beta_t = (
        np.linalg.lstsq(data.sets()[s].x, data.sets()[s].y)[0]
        for s in ("source_test", "target_test")
    )
    assert abs(np.linalg.norm(beta_s) - 1) < 1e-10
    assert abs(np.linalg.norm(beta_t) - 1) < 1e-10
    assert abs(beta_s @ beta_t - alignment) < 1e-10


@pytest.mark.parametrize("one", [1, 2, 3, 4])
@pytest.mark.parametrize("other", [1, 2, 3, 4])
def test_labels_of_different_degrees_are_orthonormal(one: int, other: int) -> None:
    """<y_1 y_2> is 1 for equal degrees and 0 otherwise, within 5 standard errors of the mean."""
    sizes: dict[str, Any] = {
        "dimension": 3,
        "test_points": 100_000,
        "alignment": 1.0,
        "target_degree": 1,
    }
    data = [
        draw("polynomial-transfer", **sizes, source_degree=degree).source_test
        for degree in (one, other)
    ]
    assert data[0] is not None and data[1] is not None
    product = data[0].y * data[1].y
    error = product.std() / math.sqrt(len(product))
    assert abs(product.mean() - (one == other)) < 5 * error
    assert abs(data[0].y.mean()) < 5 * data[0].y.std() / math.sqrt(len(product))


def test_polynomial_inputs_are_standard_gaussians() -> None:
    x = draw("polynomial-transfer", test_points=20_000).target_test.x
    error = np.sqrt((1 + np.eye(x.shape[1])) / len(x))
    assert (np.abs(x.T @ x / len(x) - np.eye(x.shape[1])) < 5 * error).all()


def test_degrees_start_at_one() -> None:
    assert "task.source_degree = 0" in refused("polynomial-transfer", source_degree=0)
    assert "task.target_degree = 0" in refused("polynomial-transfer", target_degree=0)
