"""Pairs of classes of images: which images are drawn, how they are scaled, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_images import shape, which
from drawn_tasks import IMAGES, SETS, component, draw, impossible, in_a_new_process, refused, rows

from harness import Dataset


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
