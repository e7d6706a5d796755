"""Two or more classes of images: their one-hot labels, the draw, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from drawn_images import shape, which
from drawn_tasks import IMAGES, SETS, component, draw, impossible, refused, rows

from harness import Problem, Protocol, Registry, Stage, TransferData


def problem(data: TransferData, readout: Any) -> Problem:
    """Return a problem of two stages under the softmax loss, with a readout for the second."""
    mlp = Registry.load().get("architecture", "mlp")
    two = (
        Stage(data="source", richness=1.0, steps=2, dt=0.1, loss="softmax"),
        Stage(data="target", richness=1.0, steps=2, dt=0.1, loss="softmax", readout=readout),
    )
    return Problem(data, mlp.make(mlp.parse({"depth": 1})), Protocol(two))


# ---------------------------------------------------------------- labels


def test_images_carry_a_one_in_the_column_of_their_class() -> None:
    from sklearn.datasets import load_digits

    classes = {"source": [7, 2, 4], "target": [2, 5, 7, 0]}
    data = draw("image-classes", source_classes=classes["source"], target_classes=classes["target"])
    digits = load_digits()
    found = which(np.concatenate([d.x for d in data.sets().values()]), digits.data)
    for name, points in data.sets().items():
        drawn, found = digits.target[found[: len(points)]], found[len(points) :]
        listed = np.array(classes[name.removesuffix("_test")])
        np.testing.assert_array_equal(points.y, (drawn[:, None] == listed).astype(float))


@pytest.mark.parametrize("size", [3, 21, 23])
def test_classes_take_turns_and_the_first_get_the_odd_ones(
    dataset: dict[str, Any], size: int
) -> None:
    data = draw("image-classes", **dataset, source_points=size, target_points=4, test_points=size)
    for points in data.sets().values():
        np.testing.assert_array_equal(points.y, np.eye(3)[np.arange(len(points)) % 3])


def test_two_classes_give_the_images_of_a_pair(dataset: dict[str, Any]) -> None:
    two: dict[str, Any] = dataset | {"source_classes": [3, 1], "target_classes": [1, 5]}
    pairs, classes = (draw(name, **two).sets() for name in ("image-pairs", "image-classes"))
    for name in SETS:
        np.testing.assert_array_equal(classes[name].x, pairs[name].x)
        np.testing.assert_array_equal(classes[name].y @ [-1.0, 1.0], pairs[name].y)


def test_images_keep_their_shape_where_they_are_not_flattened() -> None:
    flat, whole = (draw("image-classes", flatten=flatten).sets() for flatten in (True, False))
    for name in SETS:
        assert whole[name].x.shape[1:] == (8, 8, 1)
        np.testing.assert_array_equal(whole[name].x.reshape(flat[name].x.shape), flat[name].x)


# ---------------------------------------------------------------- the draw


@pytest.mark.parametrize("target_classes", [[0, 1, 2], [2, 0, 1], [5, 1]])
def test_the_sets_are_disjoint_even_if_source_and_target_share_classes(
    dataset: dict[str, Any], target_classes: list[int]
) -> None:
    data = draw("image-classes", **dataset, target_classes=target_classes)
    every = [row for set_name in SETS for row in rows(data, set_name)]
    assert len(set(every)) == len(every) == 21 + 14 + 2 * 17


@pytest.mark.parametrize(("grown", "other"), [("source", "target"), ("target", "source")])
def test_a_smaller_training_set_begins_a_larger_one_and_leaves_all_others_alone(
    dataset: dict[str, Any], grown: str, other: str
) -> None:
    base = draw("image-classes", **dataset).sets()
    changed = draw("image-classes", **dataset, **{f"{grown}_points": 40}).sets()
    for same in (other, "source_test", "target_test"):
        np.testing.assert_allclose(shape(changed[same]), shape(base[same]), atol=1e-10)
    beginning = shape(changed[grown])[: len(base[grown])]
    np.testing.assert_allclose(beginning, shape(base[grown]), atol=1e-10)


def test_classes_can_be_given_by_name(subsets: str) -> None:
    cifar: dict[str, Any] = {"dataset": "cifar10", "data_dir": subsets}
    named = draw("image-classes", **cifar, source_classes=["cat", "dog", 8], target_classes=[3, 5])
    numbered = draw("image-classes", **cifar, source_classes=[3, 5, 8], target_classes=[3, 5])
    assert named.digest == numbered.digest


def test_nothing_is_prepared_for_digits() -> None:
    task = component("image-classes")
    assert task.prepare is not None
    task.prepare(task.parse(IMAGES))


# ---------------------------------------------------------------- problems


@pytest.mark.parametrize("readout", ["keep", "reset"])
def test_as_many_classes_suit_every_readout(readout: str) -> None:
    problem(draw("image-classes"), readout)


def test_another_number_of_classes_needs_a_new_readout() -> None:
    data = draw("image-classes", target_classes=[3, 4])
    problem(data, "reset")
    with pytest.raises(ValueError, match="keeps the readout, which has 3 outputs; its labels need"):
        problem(data, "keep")


# ---------------------------------------------------------------- how it says no


@pytest.mark.parametrize("classes", [[], [3]])
def test_fewer_than_two_classes_are_refused(classes: list[int]) -> None:
    line = refused("image-classes", source_classes=classes)
    assert line == f"task.source_classes = {classes}: at least 2 values"


def test_a_class_given_twice_is_named() -> None:
    line = refused("image-classes", target_classes=[4, 3, 5, 3])
    assert line == "task.target_classes = [4, 3, 5, 3]: class 3 is given twice; classes must differ"


def test_one_class_by_number_and_by_name_is_given_twice() -> None:
    line = impossible("image-classes", source_classes=[1, 3, "3"])
    assert line == "source_classes: 3 and '3' are one class; give it once"


@pytest.mark.parametrize("value", [True, 1.5, None])
def test_a_class_is_an_integer_or_a_name(value: Any) -> None:
    line = refused("image-classes", source_classes=[0, 1, value])
    assert "task.source_classes.2" in line and "integer, or a label's name" in line


@pytest.mark.parametrize("given", [10, -1, "ten"])
def test_an_unknown_class_lists_the_classes(given: int | str) -> None:
    line = impossible("image-classes", target_classes=[0, 1, given])
    assert line == (f"target_classes: data set 'digits' has no class {given!r}; classes are 0 to 9")


def test_an_unknown_class_name_lists_the_names_and_the_nearest(subsets: str) -> None:
    cifar: dict[str, Any] = {"dataset": "cifar10", "data_dir": subsets}
    line = impossible("image-classes", **cifar, source_classes=["cat", "dog", "shp"])
    assert "did you mean 'ship'?" in line and "0 airplane" in line and "9 truck" in line


@pytest.mark.parametrize(
    ("field", "side"),
    [("source_points", "source"), ("target_points", "target"), ("test_points", "target")],
)
def test_every_set_needs_an_image_of_each_class(field: str, side: str) -> None:
    line = refused("image-classes", **{f"{side}_classes": [5, 6, 7, 8], field: 3})
    assert line == f"task.{field} = 3: at least 4, one image of each of {side}_classes"


def test_too_few_images_say_how_many_there_are_and_who_needs_them() -> None:
    classes: dict[str, Any] = {"source_classes": [1, 0, 2], "target_classes": [0, 3, 4]}
    draw("image-classes", **classes, source_points=180, target_points=180, test_points=86)
    line = impossible(
        "image-classes", **classes, source_points=180, target_points=180, test_points=88
    )
    assert (
        "data set 'digits' has 178 images of class '0', but 179 are needed (source test 29,"
        " target test 30, source 60, target 60); ask for fewer points: 0 178, 1 182," in line
    )
