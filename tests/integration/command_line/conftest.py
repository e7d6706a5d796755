"""The command as users meet it, in a process of its own: prints, files and exit codes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from commands import COMMAND, Done, Run, with_own_caches
from patience import PATIENCE


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose caches are of these tests alone."""
    return with_own_caches(tmp_path_factory.mktemp("cache"))


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
