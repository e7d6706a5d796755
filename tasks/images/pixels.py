"""Conversion of images of any kind to arrays (P, H, W, C)."""

from __future__ import annotations

import importlib.util
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import DataError

LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601
Images = NDArray[np.float64]


def as_images(found: list[NDArray[Any]], dataset: str) -> Images:
    """Return images of one shape, (H, W) or (H, W, C), as one array (P, H, W, C).

    Raises:
        DataError: if their shapes differ, or a value is not finite.
    """
    shapes = sorted({image.shape for image in found})
    if len(shapes) > 1:
        raise DataError(
            f"data set {dataset!r} has images of different sizes ({shapes[0]} and {shapes[1]});"
            " all need one size"
        )
    images = np.array(found, dtype=np.float64)
    wrong = int(np.sum(~np.isfinite(images.reshape(len(images), -1)).all(axis=1)))
    if wrong:
        raise DataError(
            f"data set {dataset!r}: {wrong} of {len(images)} images drawn have values that are not"
            " finite; all pixels need to be"
        )
    return images if images.ndim == 4 else images[..., None]


def grey(images: Images, dataset: str) -> Images:
    """Return the luminance of images (P, H, W, C), without alpha, as (P, H, W, 1).

    One and two channels are grey, and grey with alpha; three and four are red, green and blue,
    without and with alpha.

    Raises:
        DataError: if there are more channels.
    """
    channels = images.shape[-1]
    if channels > 4:
        raise DataError(
            f"grayscale: images of data set {dataset!r} have {channels} channels, of which no"
            " luminance is known; allowed are 1 to 4; leave grayscale out"
        )
    return images[..., :1] if channels < 3 else (images[..., :3] @ LUMINANCE)[..., None]


def needs_own_decoder(dtype: Any) -> bool:
    """Return whether TFDS cannot decode pictures of a type here: 16 bits, without OpenCV."""
    return np.dtype(dtype) == np.uint16 and importlib.util.find_spec("cv2") is None


def decode_16_bits(picture: bytes, dataset: str) -> NDArray[Any]:
    """Return the pixels of a picture of 16 bits and one channel.

    Raises:
        DataError: if it has several channels, for which Pillow would keep 8 bits each.
    """
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as opened:
        mode, pixels = opened.mode, np.asarray(opened)
    if not mode.startswith("I"):
        raise DataError(
            f"data set {dataset!r} has colour images of 16 bits, which Pillow cannot read whole;"
            " 'pip install opencv-python-headless' lets TFDS read them"
        )
    return pixels
