"""A site of two folders and a submission, with hostile names, failures and two versions."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_results import HOSTILE, Results

from harness.site import write_site
from harness.submissions import pack


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return two results folders and a submission, which have one experiment in common."""
    root = tmp_path_factory.mktemp("inputs")
    first, second, third = (Results(root / name) for name in ("a", "b", "c"))
    first.add("one", {"good": 0.0, "bad": 0.5})
    first.add("two", {"good": 0.001, "bad": 0.4, "outside": "not: two layers only"})
    second.add(HOSTILE, {"good": 0.0, "crooked": 0.3, "bad": "<b>broke</b>"}, task="other-task")
    third.add("one", {"good": 0.0, "other": 0.1})
    third.add("alone", {"good": "not: no stage"}, regime={"decay": 1.0})
    pack([third.store], root / "c.parquet")
    return [first.store.root, second.store.root, root / "c.parquet"]


@pytest.fixture(scope="session")
def site(inputs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of their site."""
    folder = tmp_path_factory.mktemp("written") / "a sub-folder" / "site"
    return write_site(inputs, folder, docs="https://example.org/docs/").parent
