"""The command as users meet it, in a process of its own: prints, files and exit codes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from commands import COMMAND, Done, Run
from patience import PATIENCE


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose caches are of these tests alone."""
    cache = tmp_path_factory.mktemp("cache")
    inherited = {k: v for k, v in os.environ.items() if k != "LIMITBENCH_PLUGIN_DIR"}
    return inherited | {"XDG_CACHE_HOME": str(cache), "COLUMNS": "80"}


@pytest.fixture(scope="session")
def limitbench(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a function that runs the command in an empty folder."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    def run(*arguments: str | Path, **variables: str) -> Done:
        return subprocess.run(
            [COMMAND, *map(str, arguments)],
            cwd=elsewhere,
            env=environment | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    return run
