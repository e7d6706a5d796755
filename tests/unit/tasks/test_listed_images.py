"""Images listed by content: the same draw from any data set that has them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_tasks import IMAGES, component, draw, impossible, refused
from small_suite import written

from harness import DataError

ROOT = Path(__file__).parents[3]
MODULE = sys.modules[component("image-pairs").make.__module__]
DRAWING, POOLS = (sys.modules[f"{MODULE.__name__}.{name}"] for name in ("drawing", "pools"))

SMALL: dict[str, Any] = {
    "dataset": "invented",
    "target_classes": [0, 2],
    "source_points": 6,
    "target_points": 5,
    "test_points": 4,
}
NAMES = ("cat", "dog", "eel", *"3456789")
Pixels = np.ndarray
Part = tuple[Pixels, np.ndarray]
"""Images and their classes."""
Offer = Callable[..., list[int]]


def listed(name: str = "image-pairs", seed: int = 0, **changes: Any) -> list[str]:
    """Return the names of the images that a task draws."""
    found = MODULE.drawn_names(component(name).parse(IMAGES | changes), seed)
    assert isinstance(found, list)
    return found


def pixels(number: int, classes: int = 3) -> Part:
    """Return images (P, 4, 4, 3) of bytes, and their classes."""
    rng = np.random.default_rng(number)
    images = rng.integers(0, 256, (number, 4, 4, 3)).astype(float)
    return images, np.arange(number) % classes


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Offer:
    """Return a function that makes images the data set; its result grows by those decoded."""

    def make(train: Part, test: Part) -> list[int]:
        decoded: list[int] = []

        def pool(name: str, images: Pixels, labels: np.ndarray) -> Any:
            def decode(chosen: list[int]) -> Pixels:
                decoded.extend(chosen)
                return images[chosen]

            return POOLS.Pool(f"split {name!r}", labels, NAMES, decode)

        by_split = {"train": pool("train", *train), "test": pool("test", *test)}
        pools = {n: by_split["test" if n.endswith("test") else "train"] for n in POOLS.SETS}
        monkeypatch.setattr(DRAWING, "pools_of", lambda dataset, data_dir: pools)
        return decoded

    return make


def grown(part: Part, seed: int) -> Part:
    """Return the images, some of them twice, among others in another order."""
    images, labels = part
    more, their_labels = pixels(5 * len(images))
    order = np.random.default_rng(seed).permutation(len(images) + 5 + len(more))
    together = np.concatenate([images, images[:5], more])
    return together[order], np.concatenate([labels, labels[:5], their_labels])[order]


def joined(one: Part, other: Part) -> Part:
    return np.concatenate([one[0], other[0]]), np.append(one[1], other[1])


def cats(part: Part) -> Part:
    return part[0][part[1] == 0], part[1][part[1] == 0]


def test_a_list_is_used_whole_and_permuted_by_the_seed(dataset: dict[str, Any]) -> None:
    names = listed(**dataset)
    assert len(names) == 21 + 14 + 2 * 17
    digests = {draw("image-pairs", seed, **dataset, images=names).digest for seed in (0, 1)}
    assert len(digests) == 2
    assert all(listed(seed=seed, **dataset, images=names) == names for seed in (0, 1))


def test_a_longer_list_leaves_images_over() -> None:
    names = sorted({*listed(seed=0), *listed(seed=1)})
    assert set(listed(images=names)) < set(names)


@pytest.mark.parametrize("name", ["image-pairs", "image-classes"])
def test_a_listed_draw_does_not_depend_on_other_images(offer: Offer, name: str) -> None:
    """Nor on their order in the data set, nor on images that it has twice: bit for bit."""
    train, test = pixels(60), pixels(45)
    classes = {"source_classes": [0, 1], **SMALL}
    offer(train, test)
    names = listed(name, **classes)
    first = {seed: draw(name, seed, **classes, images=names).digest for seed in (0, 1)}
    free = draw(name, 0, **classes).digest
    for seed in (5, 6):
        offer(grown(train, seed), grown(test, seed + 2))
        again = {seed: draw(name, seed, **classes, images=names[::-1]).digest for seed in (0, 1)}
        assert again == first
        assert draw(name, 0, **classes).digest != free


def test_a_list_from_the_subsets_gives_the_same_draw_from_more_images(
    offer: Offer, subsets: str
) -> None:
    fashion: dict[str, Any] = {"dataset": "fashion_mnist", "data_dir": subsets}
    names = listed(**fashion)
    data = draw("image-pairs", **fashion, images=names)
    pools = POOLS.pools_of("fashion_mnist", subsets)
    parts = []
    for pool in (pools["source"], pools["source_test"]):
        chosen = np.flatnonzero(np.isin(pool.labels, [0, 1, 9]))[::-1]
        images, labels = pool.decode(chosen.tolist()), pool.labels[chosen]
        parts.append((np.concatenate([255 - images, images]), np.append(labels, labels)))
    offer(*parts)
    assert draw("image-pairs", images=names).digest == data.digest


def test_an_image_is_named_by_the_sha256_of_its_bytes() -> None:
    from sklearn.datasets import load_digits

    images, labels = load_digits().images.astype(np.uint8), load_digits().target
    every = {hashlib.sha256(i.tobytes()).hexdigest()[:12] for i in images[labels % 9 < 2]}
    assert set(listed()) < every


def test_grey_images_have_the_names_of_colour_images(subsets: str) -> None:
    cifar: dict[str, Any] = {"dataset": "cifar10", "data_dir": subsets}
    assert listed(**cifar, grayscale=True) == listed(**cifar)


def test_images_of_the_classes_asked_for_are_decoded_once_to_name_them(offer: Offer) -> None:
    train, test = pixels(60), pixels(45)
    offer(train, test)
    names = listed(**SMALL | {"target_classes": [1, 0]})
    decoded = offer(train, test)
    drawn = 6 + 5 + 2 * 4
    for times in (1, 2):
        draw("image-pairs", **SMALL | {"target_classes": [1, 0]}, images=names)
        assert len(decoded) == 40 + 30 + times * drawn
        assert {i % 3 for i in decoded} == {0, 1}


def test_a_program_prints_the_list_for_a_suite(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"source_points": 40, "target_classes": [3, 6]}
    experiment = {
        "name": "digits",
        "task": {"name": "image-pairs", **IMAGES, **changes, "data_seed": 3},
        "architecture": {"name": "mlp", "depth": 1, "activation": "relu"},
        "regime": {"name": "no-pretraining", "target_richness": 1.0, "target_steps": 10},
        "theories": ["lazy-ntk"],
    }
    suite = tmp_path / "small.toml"
    top = {"name": "small", "widths": [8], "seeds": 1}
    suite.write_text(written({"suite": top, "experiment": [experiment]}))

    def run(name: str) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, str(ROOT / "docs" / "listed_images.py"), str(suite), name]
        path = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(program, capture_output=True, text=True, check=False, env=path)

    done = run("digits")
    said = done.stdout
    assert not done.stderr
    assert tomllib.loads(said)["images"] == listed(seed=3, **changes)
    assert max(map(len, said.splitlines())) <= 100
    wrong = run("digit")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr.endswith("has no experiment 'digit'; did you mean 'digits'?\n")


# ---------------------------------------------------------------- how a list is refused


@pytest.mark.parametrize("name", ["", "0123456789a", "0123456789abc", "0123456789AB", 12, None])
def test_a_malformed_name_is_pointed_out(name: Any) -> None:
    line = refused("image-pairs", images=["0123456789ab", name])
    assert line.startswith("task.images.1 = ")
    assert "12 digits of 0 to 9 and a to f, in quotes: the first of the SHA-256" in line


def test_an_image_is_listed_once() -> None:
    line = refused("image-classes", images=["0123456789ab", "0123456789aa", "0123456789ab"])
    assert line.endswith(": image '0123456789ab' is given twice; list each once")


def test_a_list_has_bounds() -> None:
    assert refused("image-pairs", images=[]).endswith(": at least 1 value")
    many = [f"{i:012x}" for i in range(10_001)]
    assert refused("image-pairs", images=many).endswith(": at most 10000 values")
    assert refused("image-pairs", images="0123456789ab").startswith("task.images = ")


def test_listed_images_that_the_data_set_lacks_are_counted() -> None:
    names = listed()
    line = impossible("image-pairs", images=[*names, "0" * 12, "1" * 12])
    assert line.startswith(
        "images: data set 'digits' lacks 2 of the 71 listed images in the classes asked for"
        " (0, 1, 9), such as '000000000000'; set data_dir to a folder with the whole data set"
    )


def test_too_few_listed_images_of_a_class_are_counted() -> None:
    names = listed()
    line = impossible("image-pairs", images=names, source_points=25)
    assert line == (
        "data set 'digits' has 36 listed images of class '0', but 38 are needed (source test 9,"
        " target test 9, source 13, target 7); ask for fewer points, or list more images"
    )


def test_an_image_in_two_classes_or_splits_cannot_be_listed(offer: Offer) -> None:
    train, test = pixels(60), pixels(45)
    offer(train, test)
    names = listed(**SMALL)
    there = "class 'cat' of split 'train' and in class"

    def said(train: Part, test: Part) -> str:
        offer(train, test)
        line = impossible("image-pairs", **SMALL, images=names)
        assert line.endswith("; list another image instead")
        return line

    relabelled = train[0], np.where(train[1] == 0, 2, train[1])
    assert f"{there} 'eel' of split 'train'" in said(joined(train, relabelled), test)
    assert f"{there} 'cat' of split 'test'" in said(train, joined(test, cats(train)))


def test_equal_images_cannot_be_told_apart_in_a_list(offer: Offer) -> None:
    images, labels = pixels(60)
    images[::3] = images[0]
    offer((images, labels), pixels(45))
    with pytest.raises(DataError, match="two of the images drawn are equal"):
        listed(**SMALL)


@pytest.mark.parametrize("change", [0.5, 300.0, -1.0])
def test_pixels_that_are_no_bytes_have_no_name(offer: Offer, change: float) -> None:
    images, labels = pixels(60)
    offer((images + change, labels), pixels(45))
    line = impossible("image-pairs", **SMALL, images=["0123456789ab"])
    assert "'invented' are not whole numbers from 0 to 255" in line
    assert line.endswith("leave images out")
