"""Files beside the project that some tests need: real image sets, and networks of other code."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[1].parent / "shared"
TFDS = SHARED / "tfds"


def image_sets() -> Path:
    """Return the folder of subsets of CIFAR-10, MNIST and Fashion-MNIST; skip if there is none."""
    if not (TFDS / "cifar10").is_dir():
        pytest.skip(f"needs the image sets in {SHARED.name}/{TFDS.name}")
    return TFDS


def reference(name: str) -> Path:
    """Return a file of trajectories that other code made; skip if it is not there."""
    path = SHARED / "reference" / name
    if not path.is_file():
        pytest.skip(f"needs the reference trajectories in {SHARED.name}/reference/{name}")
    return path
