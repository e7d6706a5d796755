"""Classes of images, in pairs or more: transfer on real images, from scikit-learn or TFDS."""

from __future__ import annotations

import numpy as np

from harness import Dataset, TransferData, task

from .drawing import Class, Classes, ImageTask, draw_inputs, drawn_names
from .pools import DIGITS, download

__all__ = ["drawn_names", "image_classes", "image_pairs"]


class ImagePairs(ImageTask):
    """Parameters of `image-pairs`."""

    source_classes: tuple[Class, Class] = (0, 1)
    """Two classes of the source, labelled -1 and +1: integers, or label names."""
    target_classes: tuple[Class, Class] = (0, 9)
    """Two classes of the target, labelled -1 and +1: integers, or label names."""


class ImageClasses(ImageTask):
    """Parameters of `image-classes`."""

    source_classes: Classes = (0, 1, 2)
    """Two or more classes of the source, one output each: integers, or label names."""
    target_classes: Classes = (0, 8, 9)
    """Two or more classes of the target, one output each: integers, or label names."""


def prepare(params: ImageTask) -> None:
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

    With `images`, the list takes the place of each split's images of a class, in the order of the
    names. The seed permutes it, so that a list of exactly as many as are needed is used whole.

    Pixels are centred on the mean of all training images (source and target together), and divided
    by one number, so that the mean of |x|^2/D over those images, hence of K_x(x, x), is 1. All four
    sets share this map. Images are flattened to (P, D) unless `flatten` is false.

    Args:
        params: data set, classes and sizes.
        seed: fixes the draw of images. The draw of a test set does not depend on the number
            of training points, nor that of a training set on the other's size; a smaller training
            set is the beginning of a larger one.

    Returns:
        Four sets with x of shape (P, D), D the number of pixels times channels.

    Raises:
        DataError: if the data set is missing, is not one of labelled images, or lacks a class
            or enough images of one, or an image that is listed.
    """
    return TransferData(
        **{
            name: Dataset(x, np.where(np.arange(len(x)) % 2, 1.0, -1.0))
            for name, x in draw_inputs(params, seed).items()
        },
        others={},
        facts={},  # the law of images is unknown
    )


@task(
    "image-classes",
    version="1",
    tags={"images", "classification", "transfer"},
    prepare=prepare,
)
def image_classes(params: ImageClasses, seed: int) -> TransferData:
    """Two lists of image classes, with one-hot labels and an equal share of each class.

    Output j belongs to class j of the list. Images take the classes in turn, so that the first
    classes have one more where the number is no multiple of k. Source and target may have
    different numbers of classes where a regime does not keep the readout. Everything else is as in
    `image-pairs`: splits, disjoint sets, and the map from pixels to inputs. Two classes give the
    inputs of `image-pairs`.

    Args:
        params: data set, classes and sizes.
        seed: fixes the draw of images, as in `image-pairs`.

    Returns:
        Four sets with x of shape (P, D), D the number of pixels times channels, and y of shape
        (P, k), k the number of classes.

    Raises:
        DataError: if the data set is missing, is not one of labelled images, or lacks a class
            or enough images of one, or an image that is listed.
    """
    outputs = {"source": len(params.source_classes), "target": len(params.target_classes)}
    sets = {}
    for name, x in draw_inputs(params, seed).items():
        k = outputs[name.removesuffix("_test")]
        sets[name] = Dataset(x, np.eye(k)[np.arange(len(x)) % k])
    return TransferData(**sets, others={}, facts={})  # the law of images is unknown
