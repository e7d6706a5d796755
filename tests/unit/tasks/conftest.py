"""Data for tests of the tasks that read some: a table in a file, and data sets of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import shared_files
from table_files import frame, save


@pytest.fixture
def saved(tmp_path: Path) -> dict[str, Any]:
    """Parameters of a task that reads a file of 60 rows."""
    return {"file": str(save(frame(), tmp_path / "points.csv")), "source_label": "z"}


@pytest.fixture(scope="module")
def subsets() -> str:
    return str(shared_files.image_sets())


@pytest.fixture(params=["digits", "mnist", "fashion_mnist", "cifar10"])
def dataset(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Parameters that choose a data set."""
    if request.param == "digits":
        return {}
    return {"dataset": request.param, "data_dir": request.getfixturevalue("subsets")}
