"""A tiny suite for the command line, and how tests read what a command printed and left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

COMMAND = Path(sys.executable).with_name("limitbench")

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]

TINY = """
[suite]
name = "tiny"
widths = [8]
seeds = 1

[[experiment]]
name = "lines"
task = { name = "linear-transfer", dimension = 5, SIZES, alignment = 0.5 }
architecture = { name = "mlp", depth = 1, activation = "linear" }
regime = { name = "single", richness = 0.5, steps = 5, dt = 0.1 }
theories = ["lazy-ntk"]
""".replace("SIZES", "source_points = 6, target_points = 4, test_points = 5")
HEAD = TINY.partition("[[experiment]]")[0]


def with_own_caches(folder: Path) -> dict[str, str]:
    """Return an environment whose caches are in a folder, for a terminal of 80 columns."""
    inherited = {k: v for k, v in os.environ.items() if k != "LIMITBENCH_PLUGIN_DIR"}
    return inherited | {"XDG_CACHE_HOME": str(folder), "COLUMNS": "80"}


def suite_file(folder: Path, *changes: tuple[str, str], text: str = TINY) -> Path:
    """Write the tiny suite, with parts of its text replaced."""
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "suite.toml"
    path.write_text(text)
    return path


def one_line(done: Done, code: int = 2) -> str:
    """Return the line with which a command was refused."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("limitbench: ")
    return line.removeprefix("limitbench: ")


def facts(results: Path) -> list[dict[str, Any]]:
    found = [json.loads(p.read_text()) for p in sorted(results.glob("cells/*/cell.json"))]
    return sorted(found, key=lambda f: (f["solver"]["width"] is None, f["solver"]["name"]))
