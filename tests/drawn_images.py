"""Drawn images: which they are, whatever common map made them inputs."""

from __future__ import annotations

import numpy as np

from harness import Dataset


def shape(points: Dataset) -> np.ndarray:
    """Return what the common map x -> (x - mean)/scale leaves as it is: relative differences."""
    return np.asarray((points.x - points.x[0]) / np.linalg.norm(points.x[1] - points.x[0]))


def which(x: np.ndarray, images: np.ndarray) -> list[int]:
    """Return which images, rows of integer pixels, the points x are, under one unknown map."""
    steps = np.diff(np.sort(x, axis=0), axis=0)
    differences = np.round((x - x[0]) / steps[steps > 1e-9].min()).astype(int)
    index = {row.tobytes(): i for i, row in enumerate(images.astype(int))}
    for first in images.astype(int):
        found = [index.get(row.tobytes()) for row in first + differences[:5]]
        if None not in found:
            return [index[row.tobytes()] for row in first + differences]
    raise AssertionError("these points are not these images")
