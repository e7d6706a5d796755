"""Data for tests of the tasks that read some: a table in a file, and data sets of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from table_files import frame, save

TFDS_SUBSETS = Path(__file__).parents[3].parent / "shared" / "tfds"


@pytest.fixture
def saved(tmp_path: Path) -> dict[str, Any]:
    """Parameters of a task that reads a file of 60 rows."""
    return {"file": str(save(frame(), tmp_path / "points.csv")), "source_label": "z"}


@pytest.fixture(scope="module")
def subsets() -> str:
    if not (TFDS_SUBSETS / "cifar10").is_dir():
        pytest.skip(f"no TFDS subsets at {TFDS_SUBSETS}")
    return str(TFDS_SUBSETS)


@pytest.fixture(params=["digits", "mnist", "fashion_mnist", "cifar10"])
def dataset(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Parameters that choose a data set."""
    if request.param == "digits":
        return {}
    return {"dataset": request.param, "data_dir": request.getfixturevalue("subsets")}
