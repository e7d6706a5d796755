"""What the tests of faults share: a way to start runs, and a suite of sixty tiny cells."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from commands import with_own_caches
from faulty_runs import DRIVER, SIXTY, Drive, Driver


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return with_own_caches(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def drive(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Drive:
    """Return a function that starts a run of a suite, without scores and report."""
    script = tmp_path_factory.mktemp("driver") / "driver.py"
    script.write_text(DRIVER)

    def start(suite: Path, results: Path, **options: object) -> Driver:
        return subprocess.Popen(
            [sys.executable, script, suite, results, json.dumps({"workers": 2} | options)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture(scope="session")
def sixty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("suite") / "sixty.toml"
    path.write_text(SIXTY)
    return path
