"""Tests of plugins see no folder from outside, and forget the modules of their files."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from harness.registry.modules import PACKAGE


@pytest.fixture(autouse=True)
def no_folder_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIMITBENCH_PLUGIN_DIR", raising=False)


@pytest.fixture(autouse=True)
def forget_test_modules() -> Iterator[None]:
    """Files of a test are imported under names that hold their path; forget them afterwards."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(PACKAGE):
            del sys.modules[name]
