"""What tests of suites share: functions that load a suite, or return the lines that refuse it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_suite import REGISTRY, written

from harness.errors import SuiteError
from harness.suites import Suite, load_suite


@pytest.fixture
def read(tmp_path: Path) -> Callable[[Any], Suite]:
    """Return a function that writes a suite to a file and loads it."""

    def load(content: Any) -> Suite:
        path = tmp_path / "small.toml"
        path.write_text(content if isinstance(content, str) else written(content))
        return load_suite(path, REGISTRY)

    return load


@pytest.fixture
def refusals(tmp_path: Path, read: Callable[[Any], Suite]) -> Callable[[Any], list[str]]:
    """Return a function that gives the lines with which a suite is refused, less its file."""

    def refuse(content: Any) -> list[str]:
        with pytest.raises(SuiteError) as raised:
            read(content)
        lines = str(raised.value).splitlines()
        file = f"{tmp_path / 'small.toml'}: "
        assert all(line.startswith(file) for line in lines)
        return [line.removeprefix(file) for line in lines]

    return refuse


@pytest.fixture
def refusal(refusals: Callable[[Any], list[str]]) -> Callable[[Any], str]:
    """Return a function that gives the one line with which a suite is refused, less its file."""

    def refuse(content: Any) -> str:
        (line,) = refusals(content)
        return line

    return refuse
