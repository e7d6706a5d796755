"""Images chosen by content: a list of names, whatever else the data set holds."""

from __future__ import annotations

import functools
import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np
from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from harness import DataError

from .pixels import Images
from .pools import Pool

DIGITS_OF_NAME = 12
LONGEST_LIST = 10_000
AT_ONCE = 500
"""Images that are decoded together, which bounds the memory."""


def _name(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    try:
        return handler(value)
    except ValidationError:
        raise ValueError(
            f"an image is named by {DIGITS_OF_NAME} digits of 0 to 9 and a to f, in quotes: the"
            " first of the SHA-256 of its pixels"
        ) from None


ImageName = Annotated[str, Field(pattern=rf"^[0-9a-f]{{{DIGITS_OF_NAME}}}$"), WrapValidator(_name)]
ImageNames = Annotated[tuple[ImageName, ...], Field(min_length=1, max_length=LONGEST_LIST)]

Members = dict[tuple[Pool, int], list[int]]
"""Indices of images in a pool, by pool and number of a class."""


def names_of(images: Images, dataset: str) -> list[str]:
    """Return the names of images (P, H, W, C): digests of their pixels as bytes, in this order.

    Raises:
        DataError: if a pixel is no whole number from 0 to 255.
    """
    pixels = images.clip(0, 255).astype(np.uint8)
    if not np.array_equal(pixels, images):
        raise DataError(
            f"images: pixels of data set {dataset!r} are not whole numbers from 0 to 255, by which"
            " images are named; leave images out"
        )
    return [hashlib.sha256(each.tobytes()).hexdigest()[:DIGITS_OF_NAME] for each in pixels]


def listed_members(
    listed: tuple[str, ...], dataset: str, classes: dict[Pool, Iterable[int]]
) -> Members:
    """Return indices of the listed images in each pool and class, in the order of their names.

    Equal images of one class and pool count as one.

    Args:
        listed: names of images.
        dataset: name of the data set, for errors.
        classes: numbers of the classes that are needed of each pool.

    Raises:
        DataError: if a listed image is in none of these classes, or in two, or in two splits, or
            if pixels have other values than bytes have.
    """
    wanted, found = set(listed), {}
    for pool, numbers in classes.items():
        for number in numbers:
            here = {n: i for n, i in _named(pool, number, dataset).items() if n in wanted}
            found[pool, number] = {name: here[name] for name in sorted(here)}
    times = Counter(name for here in found.values() for name in here)
    if absent := sorted(wanted - set(times)):
        names = {pool.class_names[n]: None for pool, numbers in classes.items() for n in numbers}
        raise DataError(
            f"images: data set {dataset!r} lacks {len(absent)} of the {len(wanted)} listed images"
            f" in the classes asked for ({', '.join(names)}), such as {absent[0]!r}; set data_dir"
            " to a folder with the whole data set, in the version that the list is from, or list"
            " images that it has"
        )
    if twice := sorted(name for name, count in times.items() if count > 1):
        places = [
            f"class {pool.class_names[number]!r} of {pool.name}"
            for (pool, number), here in found.items()
            if twice[0] in here
        ]
        raise DataError(
            f"images: {twice[0]!r} is in {' and in '.join(places)}; list another image instead"
        )
    return {place: list(here.values()) for place, here in found.items()}


@functools.cache
def _named(pool: Pool, number: int, dataset: str) -> dict[str, int]:
    """Return the index of each image of a class by its name; of equal images, the first."""
    members = np.flatnonzero(pool.labels == number).tolist()
    found: dict[str, int] = {}
    for start in range(0, len(members), AT_ONCE):
        some = members[start : start + AT_ONCE]
        for name, index in zip(names_of(pool.decode(some), dataset), some, strict=True):
            found.setdefault(name, index)
    return found
