"""Data sets of TFDS are prepared, or one line says why not; they are made on the spot here."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from drawn_tasks import SETS, component, draw, impossible, one_line, rows

from harness import DataError


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
