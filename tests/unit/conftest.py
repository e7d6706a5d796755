"""A small results folder that tests copy before they change it."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_results import Results


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Results(tmp_path_factory.mktemp("made") / "results")
    made.add("e", {"lazy-ntk": 0.0, "mean-field": "failed <b>"}, widths=(16, 64), seeds=(0, 1))
    return made.store.root
