"""Draws of images by class: parameters, disjoint sets, and one map from pixels to inputs."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float
from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic import field_validator as validator

from harness import DataError, Params, nearest

from .listed import ImageNames, Members, listed_members, names_of
from .pixels import Images, grey
from .pools import DIGITS, SETS, Pool, pools_of

TASK = 3  # sets these tasks' random numbers apart from other tasks'


def _class(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    try:
        return handler(value)
    except ValidationError:
        raise ValueError("a class is an integer, or a label's name as a string") from None


Class = Annotated[int | str, WrapValidator(_class)]
Classes = Annotated[tuple[Class, ...], Field(min_length=2)]
Points = Annotated[int, Field(ge=2)]


class ImageTask(Params):
    """Parameters of all tasks on classes of images."""

    dataset: Annotated[str, Field(pattern=r"^\w+(/[\w.\-]+)?(:\d+\.\d+\.\d+)?$")] = DIGITS
    """"digits" (scikit-learn's 8x8 digits), or a TFDS name such as "mnist" or "cifar10"."""
    source_classes: Classes
    """Classes of the source: integers, or label names."""
    target_classes: Classes
    """Classes of the target: integers, or label names."""
    source_points: Points
    """Number of training images of the source, at least one of each class."""
    target_points: Points
    """Number of training images of the target, at least one of each class."""
    test_points: Points
    """Number of test images of the source, and the same number for the target."""
    grayscale: bool = False
    """Whether colour images are reduced to their luminance."""
    flatten: bool = True
    """Whether images become vectors; false keeps their shape (H, W, C), as `conv` needs it."""
    data_dir: str | None = None
    """Folder of prepared TFDS data sets; null is TFDS's own default."""
    images: ImageNames | None = None
    """Draw from these images alone, each named by the first 12 hexadecimal digits of the SHA-256 of
    its pixels (uint8 bytes, shape (H, W, C), in colour also with `grayscale`); the draw then does
    not depend on the other images of the data set."""

    @validator("source_classes", "target_classes")
    @classmethod
    def _differ(cls, classes: tuple[Class, ...]) -> tuple[Class, ...]:
        given, times = Counter(classes).most_common(1)[0]
        if times > 1:
            raise ValueError(f"class {given!r} is given twice; classes must differ")
        return classes

    @validator("images")
    @classmethod
    def _are_listed_once(cls, images: tuple[str, ...] | None) -> tuple[str, ...] | None:
        given, times = Counter(images).most_common(1)[0] if images else ("", 0)
        if times > 1:
            raise ValueError(f"image {given!r} is given twice; list each once")
        return images

    @validator("source_points", "target_points", "test_points")
    @classmethod
    def _are_enough(cls, points: int, info: ValidationInfo) -> int:
        for side in ("source", "target"):
            classes = info.data.get(f"{side}_classes", ())
            if info.field_name in (f"{side}_points", "test_points") and points < len(classes):
                raise ValueError(f"at least {len(classes)}, one image of each of {side}_classes")
        return points


def draw_inputs(params: ImageTask, seed: int) -> dict[str, Float[np.ndarray, "points ..."]]:
    """Return inputs of the four sets, by set; point i is of class i modulo k.

    Returns:
        Inputs of shape (P, D), or (P, H, W, C) without `flatten`.

    Raises:
        DataError: if the data set is missing, is not one of labelled images, or lacks a class
            or enough images of one.
    """
    images = _drawn_images(params, seed)
    if params.grayscale:
        images = {name: grey(x, params.dataset) for name, x in images.items()}
    flat = {name: x.reshape(len(x), -1) for name, x in images.items()}
    train = np.concatenate([flat["source"], flat["target"]])
    mean = train.mean(axis=0)
    scale = np.sqrt(np.mean((train - mean) ** 2))
    if scale == 0:
        raise DataError(f"data set {params.dataset!r}: all training images drawn are the same")
    inputs = {name: (x - mean) / scale for name, x in flat.items()}
    if params.flatten:
        return inputs
    return {name: x.reshape(images[name].shape) for name, x in inputs.items()}


def drawn_names(params: ImageTask, seed: int) -> list[str]:
    """Return the names of all images of the four sets, sorted, as the parameter `images` takes it.

    Raises:
        DataError: as for `draw_inputs`; if two images are equal, or a pixel is no byte.
    """
    images = np.concatenate(list(_drawn_images(params, seed).values()))
    names = sorted(names_of(images, params.dataset))
    if len(set(names)) < len(names):
        raise DataError("two of the images drawn are equal; a list needs another data_seed")
    return names


def _drawn_images(params: ImageTask, seed: int) -> dict[str, Images]:
    """Return images of the four sets, by set, as the data set has them."""
    pools = pools_of(params.dataset, params.data_dir)
    classes = {"source": params.source_classes, "target": params.target_classes}
    points = {"source": params.source_points, "target": params.target_points}
    wanted: dict[str, dict[int, int]] = {}
    for name in SETS:
        side = name.removesuffix("_test")
        numbers = _class_numbers(f"{side}_classes", classes[side], pools[name], params.dataset)
        share, more = divmod(points.get(name, params.test_points), len(numbers))
        wanted[name] = {number: share + (i < more) for i, number in enumerate(numbers)}
    listed = (
        None if params.images is None else _listed(params.images, wanted, pools, params.dataset)
    )
    drawn = _draw(seed, wanted, pools, listed)
    return {name: pools[name].decode(drawn[name]) for name in SETS}


def _listed(
    images: tuple[str, ...],
    wanted: dict[str, dict[int, int]],
    pools: dict[str, Pool],
    dataset: str,
) -> Members:
    """Return indices of the listed images, by pool and class."""
    classes: dict[Pool, set[int]] = {}
    for name in SETS:
        classes.setdefault(pools[name], set()).update(wanted[name])
    return listed_members(images, dataset, {pool: sorted(c) for pool, c in classes.items()})


def _draw(
    seed: int,
    wanted: dict[str, dict[int, int]],
    pools: dict[str, Pool],
    listed: Members | None,
) -> dict[str, list[int]]:
    """Choose disjoint images for the four sets: per set, indices into its pool.

    Each class of a pool has one random order. Test sets, then the source, take from its
    beginning; the target takes from its end, so that neither depends on the other's size.
    """
    taken: dict[str, dict[int, list[int]]] = {name: {} for name in SETS}
    for pool in dict.fromkeys(pools.values()):
        names = [n for n in ("source_test", "target_test", "source", "target") if pools[n] is pool]
        for number in sorted({c for n in names for c in wanted[n]}):
            counts = {n: wanted[n][number] for n in names if number in wanted[n]}
            if listed is None:
                members = np.flatnonzero(pool.labels == number).tolist()
            else:
                members = listed[pool, number]
            if sum(counts.values()) > len(members):
                needs = ", ".join(f"{n.replace('_', ' ')} {c}" for n, c in counts.items())
                advice = "ask for fewer points" if members else "choose classes that it has"
                which, advice = "images", f"{advice}: {pool.counts()}"
                if listed is not None:
                    which, advice = "listed images", "ask for fewer points, or list more images"
                raise DataError(
                    f"{pool.name} has {len(members)} {which} of class {pool.class_names[number]!r},"
                    f" but {sum(counts.values())} are needed ({needs}); {advice}"
                )
            order = np.random.default_rng([seed, TASK, number]).permutation(members).tolist()
            for name, count in counts.items():
                if name == "target":
                    taken[name][number] = order[::-1][:count]
                else:
                    taken[name][number], order = order[:count], order[count:]
    drawn: dict[str, list[int]] = {}
    for name, by_class in taken.items():
        drawn[name] = [0] * sum(map(len, by_class.values()))
        for i, number in enumerate(wanted[name]):
            drawn[name][i :: len(by_class)] = by_class[number]
    return drawn


def _class_numbers(
    where: str, classes: tuple[int | str, ...], pool: Pool, dataset: str
) -> tuple[int, ...]:
    names = pool.class_names
    found: dict[int, int | str] = {}
    for given in classes:
        number = given
        if isinstance(number, str):
            number = names.index(number) if number in names else -1
        if not 0 <= number < len(names):
            hint = nearest(given, names) if isinstance(given, str) else ""
            known = f"0 to {len(names) - 1}"
            if any(name != str(i) for i, name in enumerate(names)):
                shown = ", ".join(f"{i} {name}" for i, name in enumerate(names[:20]))
                known += f": {shown}" + (", ..." if len(names) > 20 else "")
            raise DataError(
                f"{where}: data set {dataset!r} has no class {given!r}{hint}; classes are {known}"
            )
        if number in found:
            raise DataError(f"{where}: {found[number]!r} and {given!r} are one class; give it once")
        found[number] = given
    return tuple(found)
