"""Plugins of one's own run, are listed and checked, whatever stands broken beside them."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

import pytest
from commands import TINY, Run, facts, suite_file

CONTRIBUTED = """
import numpy as np
from harness import Dataset, Params, TransferData, hookimpl, task

print("loading")

class Own(Params):
    points: int = 4
    \"\"\"Number of points.\"\"\"

@task("own-task", version="1")
def own(params: Own, seed: int) -> TransferData:
    \"\"\"A task of one's own.\"\"\"
    print("drawing")
    rng = np.random.default_rng(seed)
    def draw() -> Dataset:
        x = rng.standard_normal((params.points, 3))
        return Dataset(x, x[:, 0])
    return TransferData(target=draw(), target_test=draw())

@hookimpl
def limitbench_cell_finished(status):
    raise RuntimeError("an observer that fails")

@hookimpl
def limitbench_report_section(results):
    return "a section of one's own"
"""
BROKEN = {
    "raises.py": "raise RuntimeError('boom')",
    "exits.py": "import sys; sys.exit(3)",
    "clashes.py": CONTRIBUTED.replace("own-task", "linear-transfer"),
}


@pytest.fixture
def plugin_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "plugins"
    folder.mkdir()
    for name, text in {"own.py": CONTRIBUTED, **BROKEN}.items():
        (folder / name).write_text(textwrap.dedent(text))
    return folder


def test_a_contributed_task_runs_beside_broken_files(
    limitbench: Run, plugin_folder: Path, tmp_path: Path
) -> None:
    table = re.search(r"^task = .*$", TINY, re.MULTILINE)
    assert table is not None
    path = suite_file(tmp_path, (table[0], 'task = { name = "own-task", points = 5 }'))
    results = tmp_path / "results"
    done = limitbench("run", path, "--plugin-dir", plugin_folder, "--results", results, "--json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)  # whatever plugins print
    assert (row["task"], row["theory"]) == ("own-task", "lazy-ntk")
    assert [f["status"] for f in facts(results)] == ["done", "done"]
    for name in BROKEN:
        assert f"plugin set aside: {plugin_folder / name}: " in done.stderr
    assert "limitbench_cell_finished: RuntimeError: an observer that fails" in done.stderr
    assert "a section of one's own" in (results / "report.html").read_text().replace("&#39;", "'")


def test_plugins_list_shows_what_is_set_aside_with_its_traceback(
    limitbench: Run, plugin_folder: Path
) -> None:
    done = limitbench("plugins", "list", LIMITBENCH_PLUGIN_DIR=str(plugin_folder))
    assert done.returncode == 0
    assert f"{plugin_folder / 'own.py'}: task own-task 1\n" in done.stdout
    origin = plugin_folder / "raises.py"
    assert f"set aside: {origin}: RuntimeError: boom\n    Traceback" in done.stdout
    assert f'File "{origin}", line 1' in done.stdout
    assert "called sys.exit(3) on load; a plugin must not end the program" in done.stdout
    assert "task 'linear-transfer' exists already, from " in done.stdout
    assert "loading" not in done.stdout


def test_doctor_fails_when_a_plugin_is_set_aside(limitbench: Run, plugin_folder: Path) -> None:
    done = limitbench("doctor", "--plugin-dir", plugin_folder)
    assert done.returncode == 1
    assert "set aside 3" in done.stdout


def test_a_new_plugin_passes_its_check(limitbench: Run, tmp_path: Path) -> None:
    made = limitbench("plugins", "new", "regime", "my-regime", "--folder", tmp_path)
    path = tmp_path / "my_regime.py"
    assert (made.returncode, made.stdout) == (0, f"{path}\n")
    assert made.stderr == f"check it with: limitbench plugins check {path}\n"
    done = limitbench("plugins", "check", path)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("ok      regime my-regime ") for line in lines)


def test_a_check_that_fails_says_why(limitbench: Run, tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(CONTRIBUTED.replace("default_rng(seed)", "default_rng()"))
    done = limitbench("plugins", "check", path)
    assert done.returncode == 1
    (failure,) = [line for line in done.stdout.splitlines() if line.startswith("failed")]
    assert " ".join(failure.split()) == (
        "failed task own-task is deterministic in its seed: ValueError: target differs between"
        " two calls with seed 0; draw from default_rng(seed) only"
    )


def test_a_check_keeps_what_components_print_off_stdout(limitbench: Run, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(CONTRIBUTED)
    assert "drawing" not in limitbench("plugins", "check", tmp_path / "own.py").stdout
