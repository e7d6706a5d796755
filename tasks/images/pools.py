"""Images to draw from, by class: scikit-learn's digits, and image data sets of TFDS."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import logging
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import DataError, nearest

from .pixels import Images, as_images, decode_16_bits, needs_own_decoder

DIGITS = "digits"
SETS = ("source", "source_test", "target", "target_test")
SHOWN = 20
"""Most classes in the list of an error."""


class _NotPreparedError(DataError):
    """A data set that TFDS knows, but that is missing or has no random access."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Images to draw from: the class of each, -1 for none, and a function that decodes some."""

    name: str
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    decode: Callable[[list[int]], Images]

    def counts(self) -> str:
        """Return the number of images of each class, in words."""
        number = [int(np.sum(self.labels == i)) for i in range(len(self.class_names))]
        shown = [f"{name} {n}" for name, n in zip(self.class_names, number, strict=True)]
        more = ["..."] if len(shown) > SHOWN else []
        without = len(self.labels) - sum(number)
        unlabelled = [f"{without} without a label"] if without else []
        return ", ".join([*shown[:SHOWN], *more, *unlabelled])


def download(dataset: str, data_dir: str | None) -> None:
    """Prepare a TFDS data set in a format with random access, unless it is there.

    Raises:
        DataError: if it is not one of labelled images, or cannot be downloaded or written.
    """
    import tensorflow_datasets as tfds

    with contextlib.suppress(_NotPreparedError):
        _splits(dataset, data_dir)
        return
    with _tfds(dataset, data_dir, "prepared"):
        builder = tfds.builder(
            dataset,
            data_dir=_folder(data_dir),
            file_format="array_record",  # TFDS's default, TFRECORD, has no random access
        )
    _features(dataset, builder.info)
    with _tfds(dataset, data_dir, "prepared"):
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(try_download_gcs=False)
        )


def pools_of(dataset: str, data_dir: str | None) -> dict[str, Pool]:
    """Return the pool of each set; sets that share images share one pool.

    Raises:
        DataError: if the data set is missing, is not one of labelled images, or has no labels.
    """
    if dataset == DIGITS:
        return dict.fromkeys(SETS, _digits())
    splits = _splits(dataset, data_dir)
    if "train" not in splits:
        raise DataError(
            f"data set {dataset!r} has no split 'train'; its splits are {', '.join(splits)}"
        )
    train = _tfds_pool(dataset, data_dir, "train")
    if (train.labels < 0).all():
        raise DataError(
            f"{train.name} has {len(train.labels)} images, none with a label; classes are"
            f" needed; its splits are {', '.join(splits)}"
        )
    tests = [_tfds_pool(dataset, data_dir, s) for s in ("test", "validation") if s in splits]
    # the labels of a competition's test split are all -1
    test = next((pool for pool in tests if (pool.labels >= 0).any()), train)
    return {name: test if name.endswith("_test") else train for name in SETS}


@functools.cache
def _digits() -> Pool:
    """Read the table of pixels and classes that scikit-learn ships.

    scikit-learn itself is not imported: every worker would take as long to load it as to load JAX.
    """
    found = importlib.util.find_spec("sklearn")
    places = found.submodule_search_locations if found is not None else None
    table = Path(*(places or ())[:1], "datasets", "data", "digits.csv.gz")
    try:
        rows = np.loadtxt(table, delimiter=",")
    except OSError as error:
        raise DataError(
            "data set 'digits' comes with scikit-learn, whose file"
            f" {table.name} cannot be read ({error}); install scikit-learn again"
        ) from None
    images, labels = rows[:, :-1].reshape(-1, 8, 8, 1), rows[:, -1].astype(np.int64)
    names = tuple(map(str, range(10)))
    return Pool("data set 'digits'", labels, names, lambda chosen: images[chosen])


@functools.cache
def _tfds_pool(dataset: str, data_dir: str | None, split: str) -> Pool:
    """Read the labels of a split, without decoding its images."""
    import tensorflow_datasets as tfds

    info = _splits(dataset, data_dir)[split].dataset_info
    image, label = _features(dataset, info)
    encoded = isinstance(info.features[image], tfds.features.Image)
    skip = {"decoders": {image: tfds.decode.SkipDecoding()}} if encoded else {}
    own = encoded and needs_own_decoder(info.features[image].np_dtype)

    def opened(**options: Any) -> Any:
        return tfds.data_source(
            dataset, data_dir=_folder(data_dir), split=split, download=False, **options
        )

    def decode(chosen: list[int]) -> Images:
        with _tfds(dataset, data_dir, "read"):
            images = opened(**(skip if own else {}))
            found = [images[i][image] for i in chosen]
        return as_images([decode_16_bits(x, dataset) for x in found] if own else found, dataset)

    with _tfds(dataset, data_dir, "read"):
        labels = np.array([example[label] for example in opened(**skip)], dtype=np.int64)
    name = f"split {split!r} of data set {dataset!r} (version {info.version})"
    return Pool(name, labels, tuple(info.features[label].names), decode)


def _features(dataset: str, info: Any) -> tuple[str, str]:
    """Return the names of the image and of its label among the features of a TFDS data set."""
    import tensorflow_datasets as tfds

    features = tfds.features
    images = [k for k, f in info.features.items() if isinstance(f, features.Image)]
    # arrays (H, W) or (H, W, C) that are not encoded as pictures
    images = images or [
        k for k, f in info.features.items() if type(f) is features.Tensor and len(f.shape) in (2, 3)
    ]
    labels = [k for k, f in info.features.items() if isinstance(f, features.ClassLabel)]
    candidates = [(image, label) for image in images for label in labels]
    chosen = next((c for c in (info.supervised_keys, ("image", "label")) if c in candidates), None)
    if chosen is None and len(candidates) != 1:
        kinds = ", ".join(f"{k} ({type(f).__name__})" for k, f in sorted(info.features.items()))
        raise DataError(
            f"data set {dataset!r} is not one of images with one class label each (an Image and a"
            f" ClassLabel); its features are {kinds}"
        )
    image, label = chosen or candidates[0]
    shape = info.features[image].shape
    if None in shape:
        raise DataError(
            f"data set {dataset!r} has images of different sizes (shape {shape}); all need one size"
        )
    return image, label


def _splits(dataset: str, data_dir: str | None) -> dict[str, Any]:
    """Open every split of a TFDS data set that is prepared, without a download."""
    import tensorflow_datasets as tfds

    with _tfds(dataset, data_dir, "read"):
        found: dict[str, Any] = tfds.data_source(
            dataset, data_dir=_folder(data_dir), download=False
        )
        if not found:
            raise NotImplementedError("no splits: TFDS's answer for a default folder without it")
    return found


@contextlib.contextmanager
def _tfds(dataset: str, data_dir: str | None, verb: str) -> Iterator[None]:
    """Keep TFDS's advice from the log and its prints from stdout; make its errors one line."""
    import tensorflow_datasets as tfds

    def serious(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR

    where = f"in {data_dir}" if data_dir else "in TFDS's default folder"
    log = logging.getLogger("absl")
    log.addFilter(serious)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except tfds.core.DatasetNotFoundError as error:
        known = [DIGITS, *tfds.list_builders(with_community_datasets=False)]
        raise DataError(
            f"unknown data set {dataset!r}{nearest(dataset, known)}; allowed are 'digits' and the"
            " image data sets of tensorflow_datasets, or of data_dir"
        ) from error
    except NotImplementedError as error:
        raise _NotPreparedError(
            f"data set {dataset!r} is not prepared {where} in a format with random access;"
            " 'limitbench prepare SUITE' downloads it, or set data_dir to a folder that has it as"
            " array_record"
        ) from error
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()] or ["no reason given"]
        reason = lines[-1 if isinstance(error, ImportError) else 0].strip(" .:")
        advice = "install what it names, or " if isinstance(error, ImportError) else ""
        raise DataError(
            f"data set {dataset!r} cannot be {verb} {where}: {type(error).__name__}: {reason};"
            f" {advice}set data_dir to a folder that has it as array_record"
        ) from error
    finally:
        log.removeFilter(serious)


def _folder(data_dir: str | None) -> str | None:
    return None if data_dir is None else os.path.expanduser(data_dir)
