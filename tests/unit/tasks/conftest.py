"""A table in a file, for tests of the task that reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from table_files import frame, save


@pytest.fixture
def saved(tmp_path: Path) -> dict[str, Any]:
    """Parameters of a task that reads a file of 60 rows."""
    return {"file": str(save(frame(), tmp_path / "points.csv")), "source_label": "z"}
