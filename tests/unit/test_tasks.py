"""The built-in tasks: what each draws, what its seed fixes, and how it says no."""

from __future__ import annotations

import io
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from harness import Component, DataError, Dataset, Registry, TransferData
from harness.suites.faults import explain

TFDS_SUBSETS = Path(__file__).parents[2].parent / "shared" / "tfds"
REGISTRY = Registry.load()

LINEAR: dict[str, Any] = {
    "dimension": 12,
    "source_points": 7,
    "target_points": 5,
    "test_points": 30,
    "alignment": 0.6,
}
POLYNOMIAL: dict[str, Any] = {
    "dimension": 10,
    "source_degree": 2,
    "target_degree": 3,
    "alignment": 0.5,
    "source_points": 7,
    "target_points": 5,
    "test_points": 30,
}
IMAGES: dict[str, Any] = {"source_points": 21, "target_points": 14, "test_points": 17}
TASKS = {"linear-transfer": LINEAR, "polynomial-transfer": POLYNOMIAL, "image-pairs": IMAGES}
SETS = ("source", "source_test", "target", "target_test")


def component(name: str) -> Component:
    return REGISTRY.get("task", name)


def draw(name: str, seed: int = 0, **changes: Any) -> TransferData:
    task = component(name)
    made = task.make(task.parse(TASKS[name] | changes), seed)
    assert isinstance(made, TransferData)
    return made


def one_line(message: str) -> str:
    assert message and len(message.splitlines()) == 1
    return message


def refused(name: str, **changes: Any) -> str:
    """Return the line that a user sees for parameters that are not allowed."""
    task = component(name)
    with pytest.raises(ValidationError) as raised:
        task.parse(TASKS[name] | changes)
    faults = explain(raised.value, TASKS[name] | changes, task.params)
    return one_line("\n".join(fault.line("task") for fault in faults))


def impossible(name: str, **changes: Any) -> str:
    """Return the line that a user sees for data that cannot be drawn."""
    with pytest.raises(DataError) as raised:
        draw(name, **changes)
    return one_line(str(raised.value))


def rows(data: TransferData, name: str) -> set[bytes]:
    return {row.tobytes() for row in data.sets()[name].x}


def in_a_new_process(code: str) -> tuple[str, str]:
    """Return what Python code prints to stdout and to stderr."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    return done.stdout, done.stderr


def begins(longer: np.ndarray, shorter: np.ndarray) -> bool:
    return np.array_equal(longer[: len(shorter)], shorter)


# ---------------------------------------------------------------- what all tasks promise


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
    dimension = sizes.get("dimension", 64)
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
    heavy = ["jax", "scipy", "sklearn", "tensorflow_datasets"]
    code = (
        "import sys; from harness import Registry;"
        f"Registry.load().get('task', {name!r});"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    assert in_a_new_process(code)[0].strip() == "[]"


@pytest.mark.parametrize("name", ["linear-transfer", "polynomial-transfer"])
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


@pytest.mark.parametrize("name", ["linear-transfer", "polynomial-transfer"])
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


# ---------------------------------------------------------------- image-pairs


@pytest.fixture(scope="module")
def subsets() -> str:
    if not (TFDS_SUBSETS / "cifar10").is_dir():
        pytest.skip(f"no TFDS subsets at {TFDS_SUBSETS}")
    return str(TFDS_SUBSETS)


@pytest.fixture(params=["digits", "mnist", "fashion_mnist", "cifar10"])
def dataset(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Parameters that choose a data set."""
    if request.param == "digits":
        return {}
    return {"dataset": request.param, "data_dir": request.getfixturevalue("subsets")}


def shape(points: Dataset) -> np.ndarray:
    """Return what the common map x -> (x - mean)/scale leaves as it is: relative differences."""
    return np.asarray((points.x - points.x[0]) / np.linalg.norm(points.x[1] - points.x[0]))


def which(x: np.ndarray, images: np.ndarray) -> list[int]:
    """Return which images, rows of integer pixels, the points x are, under one unknown map."""
    steps = np.diff(np.sort(x, axis=0), axis=0)
    differences = np.round((x - x[0]) / steps[steps > 1e-9].min()).astype(int)
    index = {row.tobytes(): i for i, row in enumerate(images.astype(int))}
    for first in images.astype(int):
        found = [index.get(row.tobytes()) for row in first + differences[:5]]
        if None not in found:
            return [index[row.tobytes()] for row in first + differences]
    raise AssertionError("these points are not these images")


def balanced(points: Dataset) -> bool:
    return bool(np.array_equal(points.y, np.where(np.arange(len(points)) % 2, 1, -1)))


def test_classes_have_equal_shares_and_the_first_gets_the_odd_one(dataset: dict[str, Any]) -> None:
    for size in (2, 21):
        data = draw("image-pairs", **dataset, source_points=size, target_points=3, test_points=size)
        for points in data.sets().values():
            assert set(points.y) == {-1.0, 1.0}
            first, second = (points.y < 0).sum(), (points.y > 0).sum()
            assert (first, second) == (len(points) - len(points) // 2, len(points) // 2)


def test_the_sets_are_disjoint_even_if_source_and_target_share_both_classes(
    dataset: dict[str, Any],
) -> None:
    for target_classes in ([0, 1], [1, 0]):
        data = draw("image-pairs", **dataset, source_classes=[0, 1], target_classes=target_classes)
        every = [row for set_name in SETS for row in rows(data, set_name)]
        assert len(set(every)) == len(every) == 21 + 14 + 2 * 17


def test_training_images_are_centred_and_scaled_together(dataset: dict[str, Any]) -> None:
    data = draw("image-pairs", **dataset)
    assert data.source is not None
    train = np.concatenate([data.source.x, data.target.x])
    assert np.abs(train.mean(axis=0)).max() < 1e-10
    assert abs((train**2).sum(axis=1).mean() / train.shape[1] - 1) < 1e-10


def test_one_common_map_takes_images_to_inputs() -> None:
    """x = (pixels - mean)/scale with one mean image and one number for all four sets."""
    from sklearn.datasets import load_digits

    data = draw("image-pairs")
    x = np.concatenate([d.x for d in data.sets().values()])
    pixels = load_digits().data[which(x, load_digits().data)]
    train = np.r_[0:21, 38 : 38 + 14]
    mean = pixels[train].mean(axis=0)
    scale = np.sqrt(((pixels[train] - mean) ** 2).mean())
    np.testing.assert_allclose(x, (pixels - mean) / scale, atol=1e-10)


def test_images_carry_the_label_of_their_class_in_the_pair() -> None:
    from sklearn.datasets import load_digits

    data = draw("image-pairs", source_classes=[7, 2], target_classes=[2, 5])
    x = np.concatenate([d.x for d in data.sets().values()])
    digits = load_digits().target[which(x, load_digits().data)]
    y = np.concatenate([d.y for d in data.sets().values()])
    source = np.arange(len(x)) < 21 + 17
    assert (digits == np.where(source, np.where(y < 0, 7, 2), np.where(y < 0, 2, 5))).all()


def test_training_images_come_from_train_and_test_images_from_test(subsets: str) -> None:
    import tensorflow_datasets as tfds

    data = draw("image-pairs", dataset="mnist", data_dir=subsets, source_classes=[3, "8"])
    for split, ending in (("train", ""), ("test", "_test")):
        examples = list(tfds.data_source("mnist", data_dir=subsets, split=split, download=False))
        images = np.array([e["image"].ravel() for e in examples])
        labels = np.array([e["label"] for e in examples])
        points = [data.sets()[side + ending] for side in ("source", "target")]
        drawn = labels[which(np.concatenate([d.x for d in points]), images)]
        pairs = [np.where(d.y < 0, *pair) for d, pair in zip(points, [(3, 8), (0, 9)], strict=True)]
        np.testing.assert_array_equal(drawn, np.concatenate(pairs))


def test_which_images_are_drawn_for_testing_does_not_depend_on_training_sizes(
    dataset: dict[str, Any],
) -> None:
    base = draw("image-pairs", **dataset).sets()
    grown = draw("image-pairs", **dataset, source_points=40, target_points=31).sets()
    for set_name in ("source_test", "target_test"):
        np.testing.assert_allclose(shape(grown[set_name]), shape(base[set_name]), atol=1e-10)


@pytest.mark.parametrize(("grown", "other"), [("source", "target"), ("target", "source")])
def test_a_smaller_training_set_begins_a_larger_one_and_leaves_the_other_alone(
    dataset: dict[str, Any], grown: str, other: str
) -> None:
    base = draw("image-pairs", **dataset).sets()
    changed = draw("image-pairs", **dataset, **{f"{grown}_points": 40}).sets()
    np.testing.assert_allclose(shape(changed[other]), shape(base[other]), atol=1e-10)
    beginning = shape(changed[grown])[: len(base[grown])]
    np.testing.assert_allclose(beginning, shape(base[grown]), atol=1e-10)


def test_classes_can_be_given_by_name(subsets: str) -> None:
    cifar: dict[str, Any] = {"dataset": "cifar10", "data_dir": subsets}
    named = draw("image-pairs", **cifar, source_classes=["cat", "dog"], target_classes=[3, "ship"])
    numbered = draw("image-pairs", **cifar, source_classes=[3, 5], target_classes=[3, 8])
    for one, other in zip(named.sets().values(), numbered.sets().values(), strict=True):
        np.testing.assert_array_equal(one.x, other.x)


def test_grayscale_keeps_the_luminance_of_colour_images(subsets: str) -> None:
    cifar: dict[str, Any] = {"dataset": "cifar10", "data_dir": subsets}
    colour, grey = (draw("image-pairs", **cifar, grayscale=g) for g in (False, True))
    for set_name in SETS:
        x = colour.sets()[set_name].x.reshape(-1, 32 * 32, 3) @ [0.299, 0.587, 0.114]
        got = grey.sets()[set_name]
        assert got.x.shape[1] == 32 * 32
        np.testing.assert_allclose(shape(got), shape(Dataset(x, got.y)), atol=1e-9)


def test_grayscale_leaves_images_without_colour_as_they_are() -> None:
    one, other = (draw("image-pairs", grayscale=g) for g in (False, True))
    np.testing.assert_array_equal(one.target.x, other.target.x)


def test_reading_images_prints_and_logs_nothing(subsets: str) -> None:
    """In a process of its own: TFDS gives each piece of advice once a process."""
    given = IMAGES | {"dataset": "cifar10", "data_dir": subsets}
    code = (
        "from harness import Registry; task = Registry.load().get('task', 'image-pairs');"
        f"task.make(task.parse({given!r}), 0)"
    )
    assert in_a_new_process(code) == ("", "")


def test_digits_are_read_without_loading_what_brings_them() -> None:
    code = (
        "import sys; from harness import Registry;"
        "task = Registry.load().get('task', 'image-pairs');"
        f"task.make(task.parse({IMAGES!r}), 0);"
        "print({'sklearn', 'scipy.stats', 'pandas'} & set(sys.modules))"
    )
    assert in_a_new_process(code) == ("set()\n", "")


def test_digits_that_are_gone_are_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "sklearn").mkdir()
    (tmp_path / "sklearn" / "__init__.py").touch()
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from harness import DataError, Registry\n"
        "task = Registry.load().get('task', 'image-pairs')\n"
        f"try: task.make(task.parse({IMAGES!r}), 0)\n"
        "except DataError as error: print(error)"
    )
    said, _ = in_a_new_process(code)
    assert said.count("\n") == 1
    assert "digits.csv.gz cannot be read" in said
    assert said.endswith("install scikit-learn again\n")


def test_nothing_is_prepared_for_digits() -> None:
    task = component("image-pairs")
    assert task.prepare is not None
    task.prepare(task.parse(IMAGES))


# ---------------------------------------------------------------- how image-pairs says no


def test_a_pair_is_two_classes() -> None:
    assert "must differ" in refused("image-pairs", source_classes=[3, 3])
    assert "task.target_classes" in refused("image-pairs", target_classes=[3])


@pytest.mark.parametrize("value", [True, 1.5, None])
def test_a_class_is_an_integer_or_a_name(value: Any) -> None:
    line = refused("image-pairs", source_classes=[value, 1])
    assert "task.source_classes.0" in line and "integer, or a label's name" in line


def test_a_pair_needs_an_image_of_each_class() -> None:
    assert "at least 2" in refused("image-pairs", target_points=1)


@pytest.mark.parametrize("name", ["", "../mnist", "huggingface:mnist", "kaggle:x/y:1.0.0"])
def test_names_that_are_paths_or_elsewhere_on_the_network_are_refused(name: str) -> None:
    assert "task.dataset" in refused("image-pairs", dataset=name)


@pytest.mark.parametrize("given", [10, -1, "ten"])
def test_an_unknown_class_lists_the_classes(given: int | str) -> None:
    line = impossible("image-pairs", target_classes=[0, given])
    assert "target_classes" in line and repr(given) in line and "classes are 0 to 9" in line


def test_an_unknown_class_name_lists_the_names_and_the_nearest(subsets: str) -> None:
    line = impossible(
        "image-pairs", dataset="cifar10", data_dir=subsets, source_classes=["cat", "shp"]
    )
    assert "did you mean 'ship'?" in line and "0 airplane" in line and "9 truck" in line


def test_one_class_by_number_and_by_name_is_not_a_pair() -> None:
    assert "3 and '3' are one class" in impossible("image-pairs", source_classes=[3, "3"])


def test_too_few_images_say_how_many_there_are_and_who_needs_them() -> None:
    draw("image-pairs", source_points=100, target_points=100, test_points=78)
    line = impossible("image-pairs", source_points=100, target_points=100, test_points=79)
    assert "'digits' has 178 images of class '0'" in line
    assert "180 are needed" in line
    for need in ("source 50", "target 50", "source test 40", "target test 40"):
        assert need in line


def test_too_few_images_of_a_split_name_the_split(subsets: str) -> None:
    line = impossible("image-pairs", dataset="mnist", data_dir=subsets, test_points=250)
    assert "split 'test' of data set 'mnist' (version 3.0.1) has 200 images of class '0'" in line
    assert "250 are needed (source test 125, target test 125); ask for fewer points: 0 200," in line


@pytest.mark.parametrize(("given", "nearest"), [("digts", "digits"), ("cifar_10", "cifar10")])
def test_an_unknown_data_set_names_the_nearest(given: str, nearest: str) -> None:
    line = impossible("image-pairs", dataset=given)
    assert f"unknown data set {given!r}; did you mean {nearest!r}?" in line


def test_a_missing_data_set_says_how_to_get_it(tmp_path: Path) -> None:
    line = impossible("image-pairs", dataset="mnist", data_dir=str(tmp_path))
    for part in ("'mnist' is not prepared", str(tmp_path), "limitbench prepare SUITE", "data_dir"):
        assert part in line


def test_a_missing_data_set_in_the_default_folder_says_how_to_get_it() -> None:
    line = impossible("image-pairs", dataset="svhn_cropped:3.1.0")
    for part in ("default folder", "limitbench prepare SUITE", "data_dir"):
        assert part in line


def test_an_unknown_configuration_of_a_data_set_is_named(tmp_path: Path) -> None:
    line = impossible("image-pairs", dataset="emnist/leters", data_dir=str(tmp_path))
    assert "BuilderConfig leters not found" in line


# ---------------------------------------------------------------- data sets made on the spot


def picture(seed: int) -> io.BytesIO:
    from PIL import Image

    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    file.seek(0)
    return file


@pytest.fixture(scope="module")
def builders() -> type:
    """Declare TFDS data sets that need no network."""
    import tensorflow_datasets as tfds

    class Invented(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc]
        """30 training and 12 further images of three animals."""

        VERSION = tfds.core.Version("1.0.0")
        OTHER_SPLIT = "test"
        FEATURES: ClassVar[dict[str, Any]] = {
            "image": tfds.features.Image(shape=(4, 4, 3)),
            "label": tfds.features.ClassLabel(names=["cat", "dog", "eel"]),
        }

        def _info(self) -> Any:
            features = tfds.features.FeaturesDict(self.FEATURES)
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            splits = {"train": self._generate_examples(0, 30)}
            if self.OTHER_SPLIT:
                splits[self.OTHER_SPLIT] = self._generate_examples(100, 12)
            return splits

        def _generate_examples(self, first: int, number: int) -> Iterator[tuple[int, Any]]:
            for i in range(number):
                yield i, {"image": self.image(first + i), "label": i % 3}

        def image(self, seed: int) -> Any:
            return picture(seed)

    class InventedValidation(Invented):
        OTHER_SPLIT = "validation"

    class InventedTrainOnly(Invented):
        OTHER_SPLIT = ""

    class InventedTexts(Invented):
        FEATURES: ClassVar[dict[str, Any]] = {
            "text": tfds.features.Text(),
            "label": Invented.FEATURES["label"],
        }

    class InventedSizes(Invented):
        FEATURES: ClassVar[dict[str, Any]] = Invented.FEATURES | {
            "image": tfds.features.Image(shape=(None, None, 3))
        }

    class InventedOffline(Invented):
        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            raise ConnectionError("no route to example.org\nsecond line\nthird line")

    class InventedArrays(Invented):
        def _generate_examples(self, first: int, number: int) -> Iterator[tuple[int, Any]]:
            raise ModuleNotFoundError("Failed to encode example:\n[0 1]\nNo module named 'writer'")
            yield

    for declared in (Invented, *Invented.__subclasses__()):
        declared.__module__ = "invented"  # TFDS looks for checksum files beside a real module
    return Invented


INVENTED: dict[str, Any] = {
    "source_points": 6,
    "target_points": 6,
    "test_points": 4,
    "source_classes": ["cat", "dog"],
    "target_classes": ["cat", "eel"],
}


def prepare(**changes: Any) -> None:
    task = component("image-pairs")
    assert task.prepare is not None
    task.prepare(task.parse(INVENTED | changes))


def unprepared(**changes: Any) -> str:
    with pytest.raises(DataError) as raised:
        prepare(**changes)
    return one_line(str(raised.value))


@pytest.mark.parametrize("name", ["invented", "invented_validation", "invented_train_only"])
def test_prepare_makes_a_missing_data_set_usable(
    builders: type, name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    there = INVENTED | {"dataset": name, "data_dir": str(tmp_path)}
    impossible("image-pairs", **there)
    prepare(**there)
    prepare(**there)  # once more does nothing
    assert capfd.readouterr().out == ""
    data = draw("image-pairs", **there)
    every = [row for set_name in SETS for row in rows(data, set_name)]
    assert len(set(every)) == 6 + 6 + 4 + 4


def test_without_a_test_split_validation_images_test(builders: type, tmp_path: Path) -> None:
    there = INVENTED | {"dataset": "invented_validation", "data_dir": str(tmp_path)}
    prepare(**there)
    line = impossible("image-pairs", **there | {"test_points": 6})
    assert (
        "split 'validation' of data set 'invented_validation' (version 1.0.0) has 4 images" in line
    )


def test_with_the_split_train_alone_all_sets_share_it(builders: type, tmp_path: Path) -> None:
    there = INVENTED | {"dataset": "invented_train_only", "data_dir": str(tmp_path)}
    prepare(**there)
    line = impossible("image-pairs", **there | {"source_points": 8})
    assert "data set 'invented_train_only' (version 1.0.0) has 10 images of class 'cat'" in line


def test_data_without_images_is_refused_before_a_download(builders: type, tmp_path: Path) -> None:
    line = unprepared(dataset="invented_texts", data_dir=str(tmp_path))
    assert "not one of images with one class label" in line and "text" in line
    assert not list(tmp_path.iterdir())


def test_images_of_different_sizes_are_refused(builders: type, tmp_path: Path) -> None:
    line = unprepared(dataset="invented_sizes", data_dir=str(tmp_path))
    assert "different sizes" in line


def test_a_download_that_fails_says_why_in_one_line(builders: type, tmp_path: Path) -> None:
    line = unprepared(dataset="invented_offline", data_dir=str(tmp_path))
    assert "cannot be prepared" in line and "no route to example.org" in line
    assert str(tmp_path) in line and "data_dir" in line


def test_a_package_that_tfds_lacks_is_named(builders: type, tmp_path: Path) -> None:
    line = unprepared(dataset="invented_arrays", data_dir=str(tmp_path))
    assert "No module named 'writer'; install what it names" in line


def test_prepare_names_the_nearest_of_an_unknown_data_set(tmp_path: Path) -> None:
    assert "did you mean 'mnist'?" in unprepared(dataset="mnits", data_dir=str(tmp_path))


def test_a_data_set_without_random_access_counts_as_missing(builders: type, tmp_path: Path) -> None:
    """Also where it was prepared: only its description says which format its files have."""
    there = INVENTED | {"dataset": "invented", "data_dir": str(tmp_path)}
    prepare(**there)
    for file in tmp_path.rglob("dataset_info.json"):
        file.write_text(file.read_text().replace("array_record", "tfrecord"))
    for file in tmp_path.rglob("*.array_record*"):
        file.rename(str(file).replace("array_record", "tfrecord"))
    assert "in a format with random access" in impossible("image-pairs", **there)
    line = unprepared(**there)
    assert "File format is already set" in line and "data_dir" in line


def test_damaged_files_are_one_line(builders: type, tmp_path: Path) -> None:
    there = INVENTED | {"dataset": "invented", "data_dir": str(tmp_path)}
    prepare(**there)
    for file in tmp_path.rglob("*.array_record*"):
        file.unlink()
    assert "cannot be read" in impossible("image-pairs", **there)
