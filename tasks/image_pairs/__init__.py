"""Two pairs of image classes: transfer on real images, from scikit-learn or TFDS."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic import field_validator as validator

from harness import DataError, Dataset, Params, TransferData, nearest, task

from .pixels import grey
from .pools import DIGITS, SETS, Pool, download, pools_of

TASK = 3  # sets this task's random numbers apart from other tasks'


def _class(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    try:
        return handler(value)
    except ValidationError:
        raise ValueError("a class is an integer, or a label's name as a string") from None


Class = Annotated[int | str, WrapValidator(_class)]
Points = Annotated[int, Field(ge=2)]


class ImagePairs(Params):
    """Parameters of `image-pairs`."""

    dataset: Annotated[str, Field(pattern=r"^\w+(/[\w.\-]+)?(:\d+\.\d+\.\d+)?$")] = DIGITS
    """"digits" (scikit-learn's 8x8 digits), or a TFDS name such as "mnist" or "cifar10"."""
    source_classes: tuple[Class, Class] = (0, 1)
    """Two classes of the source, labelled -1 and +1: integers, or label names."""
    target_classes: tuple[Class, Class] = (0, 9)
    """Two classes of the target, labelled -1 and +1: integers, or label names."""
    source_points: Points
    """Number of training images of the source, at least one of each class."""
    target_points: Points
    """Number of training images of the target, at least one of each class."""
    test_points: Points
    """Number of test images of the source, and the same number for the target."""
    grayscale: bool = False
    """Whether colour images are reduced to their luminance."""
    data_dir: str | None = None
    """Folder of prepared TFDS data sets; null is TFDS's own default."""

    @validator("source_classes", "target_classes")
    @classmethod
    def _differ(cls, pair: tuple[Class, Class]) -> tuple[Class, Class]:
        if pair[0] == pair[1]:
            raise ValueError("the two classes of a pair must differ")
        return pair


def prepare(params: ImagePairs) -> None:
    """Download the data set, unless it is there, in a format with random access.

    Raises:
        DataError: if it is not one of labelled images, or cannot be downloaded or written.
    """
    if params.dataset != DIGITS:
        download(params.dataset, params.data_dir)


@task(
    "image-pairs",
    version="1",
    tags={"images", "classification", "transfer"},
    citation="Lauditi, Bordelon & Pehlevan, arXiv:2507.04448",
    prepare=prepare,
)
def image_pairs(params: ImagePairs, seed: int) -> TransferData:
    """Two pairs of image classes, labelled -1 and +1, with an equal share of each class.

    In a pair [a, b], images of class a have label -1 and those of b label +1; they alternate,
    starting with a, which has one more where the number is odd. Training images come from the
    split "train" and test images from "test" (from "validation" where there is no "test" or it
    has no labels; from the same images as the training sets where there is neither, as for
    "digits"). No image is in two of the four sets, even where source and target share a class. For
    a data set with several versions, the newest is used, unless the name ends with a version, as in
    "mnist:3.0.1".

    Images may have 8 or 16 bits, be floats or booleans, and have any number of channels; alpha is
    one of them, unless images are reduced to their luminance.

    Pixels are flattened to (P, D), centred on the mean of all training images (source and target
    together), and divided by one number, so that the mean of |x|^2/D over those images, hence of
    K_x(x, x), is 1. All four sets share this map.

    Args:
        params: data set, classes and sizes.
        seed: fixes the draw of images. The draw of a test set does not depend on the number
            of training points, nor that of a training set on the other's size; a smaller training
            set is the beginning of a larger one.

    Returns:
        Four sets with x of shape (P, D), D the number of pixels times channels.

    Raises:
        DataError: if the data set is missing, is not one of labelled images, or lacks a class
            or enough images of one.
    """
    pools = pools_of(params.dataset, params.data_dir)
    pairs = {"source": params.source_classes, "target": params.target_classes}
    points = {"source": params.source_points, "target": params.target_points}
    wanted: dict[str, dict[int, int]] = {}
    for name in SETS:
        side = name.removesuffix("_test")
        first, second = _class_numbers(f"{side}_classes", pairs[side], pools[name], params.dataset)
        count = points.get(name, params.test_points)
        wanted[name] = {first: count - count // 2, second: count // 2}
    drawn = _draw(seed, wanted, pools)

    images = {name: pools[name].decode(drawn[name]) for name in SETS}
    if params.grayscale:
        images = {name: grey(x, params.dataset) for name, x in images.items()}
    flat = {name: x.reshape(len(x), -1) for name, x in images.items()}
    train = np.concatenate([flat["source"], flat["target"]])
    mean = train.mean(axis=0)
    scale = np.sqrt(np.mean((train - mean) ** 2))
    if scale == 0:
        raise DataError(f"data set {params.dataset!r}: all training images drawn are the same")
    return TransferData(
        **{
            name: Dataset((x - mean) / scale, np.where(np.arange(len(x)) % 2, 1.0, -1.0))
            for name, x in flat.items()
        },
        facts={},  # the law of images is unknown
    )


def _draw(
    seed: int, wanted: dict[str, dict[int, int]], pools: dict[str, Pool]
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
            members = np.flatnonzero(pool.labels == number)
            if sum(counts.values()) > len(members):
                needs = ", ".join(f"{n.replace('_', ' ')} {c}" for n, c in counts.items())
                advice = "ask for fewer points" if len(members) else "choose classes that it has"
                raise DataError(
                    f"{pool.name} has {len(members)} images of class {pool.class_names[number]!r},"
                    f" but {sum(counts.values())} are needed ({needs}); {advice}: {pool.counts()}"
                )
            order = np.random.default_rng([seed, TASK, number]).permutation(members).tolist()
            for name, count in counts.items():
                if name == "target":
                    taken[name][number] = order[::-1][:count]
                else:
                    taken[name][number], order = order[:count], order[count:]
    drawn: dict[str, list[int]] = {}
    for name, by_class in taken.items():
        first, second = (by_class[number] for number in wanted[name])
        drawn[name] = [0] * (len(first) + len(second))
        drawn[name][::2], drawn[name][1::2] = first, second
    return drawn


def _class_numbers(
    where: str, pair: tuple[int | str, int | str], pool: Pool, dataset: str
) -> tuple[int, int]:
    names = pool.class_names
    numbers = []
    for given in pair:
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
        numbers.append(number)
    if numbers[0] == numbers[1]:
        raise DataError(f"{where}: {pair[0]!r} and {pair[1]!r} are one class; give two")
    return numbers[0], numbers[1]
