"""A results folder of two experiments, packed once."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_results import Results

from harness.store import Store
from harness.submissions import pack


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Results(tmp_path_factory.mktemp("results") / "r")
    made.add("one", {"good": 0.0, "off": 0.4, "elsewhere": "not: two layers only"})
    made.add("two", {"good": 0.1, "broken": "/home/someone/plugins/broken.py: no root"})
    return made.store


@pytest.fixture(scope="session")
def packed(folder: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("submissions") / "s.parquet"
    pack([folder], path)
    return path
