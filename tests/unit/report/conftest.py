"""Every test of the report makes results in an empty folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_results import Results


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "results")
