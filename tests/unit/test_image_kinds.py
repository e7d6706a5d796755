"""Images of every kind that TFDS knows: a right result, or one line with the facts."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from harness import DataError, Registry, TransferData

PARAMETERS: dict[str, Any] = {
    "source_points": 6,
    "target_points": 6,
    "test_points": 4,
    "source_classes": ["cat", "dog"],
    "target_classes": ["cat", "eel"],
}
ALL_USED = [0] * 6 + [1] * 3 + [2] * 3
"""Labels of as many images as the training sets take."""
LUMINANCE = np.array([0.299, 0.587, 0.114])


def pixels(shape: tuple[int, ...], dtype: str = "uint8") -> Callable[[int], np.ndarray]:
    """Return a function that draws the image of a number."""

    def draw(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        if dtype == "float32":
            return rng.standard_normal(shape).astype(dtype)
        highest = {"bool": 2, "uint8": 256, "uint16": 65536}[dtype]
        return rng.integers(0, highest, shape).astype(dtype)

    return draw


def picture(image: np.ndarray) -> io.BytesIO:
    """Return an image as a PNG, as files of data sets hold it."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, "PNG")
    file.seek(0)
    return file


class Store:
    """Makes TFDS data sets of three animals in a folder, and draws from them."""

    made: ClassVar[int] = 0

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(
        self,
        image: Any,
        example: Callable[[int], Any],
        splits: dict[str, list[Any]] | None = None,
        versions: tuple[str, ...] = ("1.0.0",),
        **others: Any,
    ) -> str:
        """Prepare a data set in some versions and return its name.

        Args:
            image: feature of the image.
            example: what is written for the image of a number.
            splits: labels of the images of each split.
            versions: prepared one after the other.
            others: further features, or None in the place of one.
        """
        import tensorflow_datasets as tfds

        given = {"train": ALL_USED, "test": [0, 1, 2] * 4} if splits is None else splits
        features = {"image": image, "label": tfds.features.ClassLabel(names=["cat", "dog", "eel"])}
        features = {k: f for k, f in (features | others).items() if f is not None}
        Store.made += 1
        chosen = f"made{Store.made}"
        for version in versions:

            class Made(  # type: ignore[call-arg]
                tfds.core.GeneratorBasedBuilder,  # type: ignore[misc]
                skip_registration=True,
            ):
                """Images of a test."""

                VERSION = tfds.core.Version(version)
                name = chosen

                def _info(self) -> Any:
                    declared = tfds.features.FeaturesDict(features)
                    return tfds.core.DatasetInfo(builder=self, features=declared)

                def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
                    return {split: self._generate_examples(split) for split in given}

                def _generate_examples(self, split: str) -> Iterator[tuple[int, Any]]:
                    first = 1000 * (1 + list(given).index(split))
                    for i, label in enumerate(given[split]):
                        found = {"image": example(first + i), "label": label}
                        yield i, {k: v for k, v in found.items() if k in features}

            Made.__module__ = "made"  # TFDS looks for checksum files beside a real module
            builder = Made(data_dir=self.folder, file_format="array_record")
            builder.download_and_prepare()
        return chosen

    def draw(self, name: str, **changes: Any) -> TransferData:
        task = Registry.load().get("task", "image-pairs")
        params = PARAMETERS | {"dataset": name, "data_dir": str(self.folder)} | changes
        made = task.make(task.parse(params), 0)
        assert isinstance(made, TransferData)
        return made

    def refused(self, name: str, **changes: Any) -> str:
        with pytest.raises(DataError) as raised:
            self.draw(name, **changes)
        line = str(raised.value)
        assert len(line.splitlines()) == 1
        return line


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def is_drawn_from(data: TransferData, draw: Callable[[int], np.ndarray]) -> bool:
    """Return whether training sets are, under the map of the task, the images of `ALL_USED`."""
    sets = data.sets()
    found = np.concatenate([sets["source"].x, sets["target"].x])
    images = np.array([draw(1000 + i).astype(float).ravel() for i in range(len(ALL_USED))])
    centred = images - images.mean(axis=0)
    expected = centred / np.sqrt(np.mean(centred**2))
    if found.shape != expected.shape:
        return False
    distances = np.linalg.norm(found[:, None] - expected[None], axis=-1)
    return bool((distances.min(axis=0) < 1e-9).all() and (distances.min(axis=1) < 1e-9).all())


KINDS: dict[str, tuple[tuple[int, ...], str]] = {
    "grey": ((4, 4, 1), "uint8"),
    "grey with alpha": ((4, 4, 2), "uint8"),
    "colour": ((4, 4, 3), "uint8"),
    "colour with alpha": ((4, 4, 4), "uint8"),
    "grey of 16 bits": ((4, 4, 1), "uint16"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_of_every_kind_are_read_whole(kind: str, store: Store) -> None:
    import tensorflow_datasets as tfds

    shape, dtype = KINDS[kind]
    draw = pixels(shape, dtype)
    feature = tfds.features.Image(shape=shape, dtype=np.dtype(dtype))
    data = store.draw(store.make(feature, lambda seed: picture(draw(seed))))
    assert {d.x.shape[1] for d in data.sets().values()} == {int(np.prod(shape))}
    assert is_drawn_from(data, draw)


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 1), (4, 4, 5)])
@pytest.mark.parametrize("dtype", ["bool", "float32", "uint16"])
def test_arrays_are_images_too(shape: tuple[int, ...], dtype: str, store: Store) -> None:
    """Also without an axis of channels, and with more than a picture has."""
    import tensorflow_datasets as tfds

    draw = pixels(shape, dtype)
    feature = tfds.features.Tensor(shape=shape, dtype=np.dtype(dtype))
    assert is_drawn_from(store.draw(store.make(feature, draw)), draw)


def luminance(image: np.ndarray) -> np.ndarray:
    return np.asarray(image[..., :3] @ LUMINANCE if image.shape[-1] > 2 else image[..., 0])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_grayscale_gives_the_luminance_without_alpha(channels: int, store: Store) -> None:
    import tensorflow_datasets as tfds

    draw = pixels((4, 4, channels))
    feature = tfds.features.Image(shape=(4, 4, channels))
    name = store.make(feature, lambda seed: picture(draw(seed)))
    assert is_drawn_from(store.draw(name, grayscale=True), lambda seed: luminance(draw(seed)))


def test_channels_without_a_known_luminance_are_refused(store: Store) -> None:
    import tensorflow_datasets as tfds

    feature = tfds.features.Tensor(shape=(4, 4, 5), dtype=np.uint8)
    name = store.make(feature, pixels((4, 4, 5)))
    assert store.refused(name, grayscale=True) == (
        f"grayscale: images of data set '{name}' have 5 channels, of which no luminance is known;"
        " allowed are 1 to 4; leave grayscale out"
    )


@pytest.mark.skipif(importlib.util.find_spec("cv2") is not None, reason="OpenCV reads them")
def test_colour_of_16_bits_says_which_package_reads_it(store: Store) -> None:
    import tensorflow_datasets as tfds

    feature = tfds.features.Image(shape=(4, 4, 3), dtype=np.uint16)
    name = store.make(feature, lambda seed: picture(pixels((4, 4, 3))(seed)))
    assert store.refused(name) == (
        f"data set '{name}' has colour images of 16 bits, which Pillow cannot read whole;"
        " 'pip install opencv-python-headless' lets TFDS read them"
    )


def test_pixels_that_are_not_finite_are_counted(store: Store) -> None:
    import tensorflow_datasets as tfds

    feature = tfds.features.Tensor(shape=(4, 4), dtype=np.float32)

    def draw(seed: int) -> np.ndarray:
        image = pixels((4, 4), "float32")(seed)
        image[0, 0] = np.nan
        return image

    line = store.refused(store.make(feature, draw))
    assert "6 of 6 images drawn have values that are not finite" in line


# ---------------------------------------------------------------- what is no image with a class


def test_what_is_not_one_image_with_one_class_is_named_by_its_kind(store: Store) -> None:
    import tensorflow_datasets as tfds

    features = tfds.features
    image = features.Image(shape=(4, 4, 3))

    def one(seed: int) -> io.BytesIO:
        return picture(pixels((4, 4, 3))(seed))

    cases: list[tuple[str, str]] = [
        (
            store.make(features.Sequence(image), lambda s: [one(s), one(s + 1)]),
            "image (Sequence), label (ClassLabel)",
        ),
        (store.make(image, one, label=None), "image (Image)"),
        (
            store.make(image, one, {"train": ["cat"] * 9}, label=features.Text()),
            "image (Image), label (Text)",
        ),
        (
            store.make(
                image,
                one,
                {"train": [[0, 1]] * 9},
                label=features.Sequence(features.ClassLabel(names=["cat", "dog"])),
            ),
            "image (Image), label (Sequence)",
        ),
    ]
    for name, kinds in cases:
        assert store.refused(name) == (
            f"data set '{name}' is not one of images with one class label each (an Image and a"
            f" ClassLabel); its features are {kinds}"
        )


# ---------------------------------------------------------------- labels, splits and versions


def grey(store: Store, **options: Any) -> str:
    import tensorflow_datasets as tfds

    feature = tfds.features.Tensor(shape=(4, 4), dtype=np.uint8)
    return store.make(feature, pixels((4, 4)), **options)


ANIMALS = [0, 1, 2] * 4


def test_a_test_split_without_labels_gives_way_to_validation(store: Store) -> None:
    splits = {"train": ALL_USED, "test": [-1] * 20, "validation": ANIMALS}
    name = grey(store, splits=splits)
    assert len(store.draw(name).sets()) == 4
    line = store.refused(name, test_points=6)
    assert line.startswith(f"split 'validation' of data set '{name}' (version 1.0.0) has 4 images")
    assert line.endswith("; ask for fewer points: cat 4, dog 4, eel 4")


def test_without_any_labelled_test_images_training_images_are_shared(store: Store) -> None:
    name = grey(store, splits={"train": ANIMALS * 3, "test": [-1] * 20})
    every = [row.tobytes() for d in store.draw(name).sets().values() for row in d.x]
    assert len(set(every)) == 6 + 6 + 4 + 4


def test_a_class_without_images_is_told_from_one_with_too_few(store: Store) -> None:
    name = grey(store, splits={"train": [0, 1] * 9 + [-1] * 3, "test": ANIMALS})
    assert store.refused(name) == (
        f"split 'train' of data set '{name}' (version 1.0.0) has 0 images of class 'eel', but 3 are"
        " needed (target 3); choose classes that it has: cat 9, dog 9, eel 0, 3 without a label"
    )


def test_training_images_without_labels_are_an_error_with_the_splits(store: Store) -> None:
    name = grey(store, splits={"train": [-1] * 20, "validation": ANIMALS})
    assert store.refused(name) == (
        f"split 'train' of data set '{name}' (version 1.0.0) has 20 images, none with a label;"
        " classes are needed; its splits are train, validation"
    )


def test_of_two_versions_the_newest_is_used_and_named(store: Store) -> None:
    name = grey(store, versions=("1.0.0", "1.10.0", "1.9.0"))
    several = store.refused(name, test_points=100)
    assert several.startswith(f"split 'test' of data set '{name}' (version 1.10.0) has")
    assert "(version 1.9.0)" in store.refused(f"{name}:1.9.0", test_points=100)
