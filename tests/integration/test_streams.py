"""Broken output streams end no command: files are written, and no status means something else."""

from __future__ import annotations

import json
import os
import subprocess
from itertools import product
from pathlib import Path

import pytest
from commands import COMMAND, TINY
from made_results import Results

NAME = "fine-tune → λ"

SUITE = TINY.replace("lines", NAME)

# shell words after the command, its environment, and which statuses are right
STREAMS = {
    "cp850": ("", {"PYTHONIOENCODING": "cp850"}, {0}),
    "C": ("", {"LC_ALL": "C"}, {0}),
    "head": ("| head -1", {}, {0, 141}),
    "no reader of both": ("2>&1 | true", {}, {0, 141}),
    "closed": (">&-", {}, {0}),
    "all closed": ("<&- >&- 2>&-", {}, {0}),
    "full": (">/dev/full", {}, {1}),
    "stderr full": ("2>/dev/full", {}, {0}),
}
MORE_STREAMS = {
    "ascii": ("", {"PYTHONIOENCODING": "ascii"}, {0}),
    "no reader": ("| true", {}, {0, 141}),
    "stderr closed": ("2>&-", {}, {0}),
    "stdin closed": ("<&-", {}, {0}),
}
"""Of the same kinds; one command will do."""

VERBS = {
    "run": "run suite.toml --results DIR",
    "leaderboard": "leaderboard DIR",
    "report": "report DIR --figures 0",
    "export": "export DIR",
    "compare": "compare DIR DIR",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite with results of all its cells, and results made by hand."""
    place = tmp_path_factory.mktemp("streams")
    (place / "suite.toml").write_text(SUITE, encoding="utf-8")
    ran = subprocess.run(
        [COMMAND, "run", "suite.toml", "--results", "finished", "--workers", "1"],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    made = Results(place / "made")
    made.add(NAME, {"mean-field": 0.0, "lazy-ntk": 1.0})
    made.add("one", {"mean-field": 0.0, "lazy-ntk": "not: too deep"}, stages=1)
    return place


@pytest.mark.parametrize(
    ("verb", "stream"),
    [*product(VERBS, STREAMS), *product(["leaderboard"], MORE_STREAMS)],
)
def test_a_broken_stream_loses_no_file_and_means_nothing_else(
    place: Path, verb: str, stream: str
) -> None:
    words, environment, right = (STREAMS | MORE_STREAMS)[stream]
    results = place / ("finished" if verb == "run" else "made")
    for derived in ("report.html", "scores.parquet"):
        (results / derived).unlink(missing_ok=True)
    told = place / "stderr"
    err = "" if "2>" in words else f"2>{told}"
    told.write_bytes(b"")
    line = f"'{COMMAND}' {VERBS[verb].replace('DIR', results.name)} {err} {words}"
    done = subprocess.run(
        ["bash", "-c", f"{line}; exit ${{PIPESTATUS[0]}}"],
        cwd=place,
        env=os.environ | environment,
        capture_output=True,
        check=False,
    )
    said = told.read_text(encoding="utf-8", errors="replace") + done.stderr.decode(errors="replace")
    assert "Traceback" not in said and "Exception ignored" not in said
    assert done.returncode in right, said
    lines = [each for each in said.splitlines() if each.startswith("limitbench: ")]
    assert len(lines) == (stream == "full"), said
    if verb in ("run", "report"):
        assert (results / "report.html").read_text().rstrip().endswith("</html>")
    if verb == "run":
        assert (results / "scores.parquet").stat().st_size > 0
    if stream == "ascii":
        assert done.stdout.isascii(), "what the console lacks is replaced"
    if stream in ("cp850", "ascii", "C", "stderr closed", "stdin closed", "stderr full"):
        assert len(done.stdout) > 10, "what can be said is said"
        if verb == "export":
            assert len(json.loads(done.stdout)) > 100


def test_what_a_plugin_prints_fails_no_cell_where_its_console_lacks_a_character(
    place: Path, tmp_path: Path
) -> None:
    plugin = tmp_path / "printing.py"
    plugin.write_text(
        "from harness import Dataset, Params, TransferData, task\n"
        "import numpy as np\n\n\n"
        '@task("printing", version="1")\n'
        "def printing(params: Params, seed: int) -> TransferData:\n"
        '    """Prints."""\n'
        '    print("→ λ")\n'
        "    x = np.random.default_rng(seed).standard_normal((6, 4))\n"
        "    one = Dataset(x, np.sign(x[:, 0]))\n"
        "    return TransferData(source=None, source_test=None, target=one, target_test=one)\n",
        encoding="utf-8",
    )
    text = (
        SUITE.split("task = ")[0]
        + 'task = { name = "printing" }\narchitecture'
        + (SUITE.split("\narchitecture", 1)[1])
    )
    (tmp_path / "suite.toml").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [COMMAND, "run", "suite.toml", "--plugin-dir", plugin, "--workers", "1"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "2 cells computed, 0 found, 0 failed" in done.stderr


def test_a_run_whose_output_goes_to_files_computes_its_cells(place: Path, tmp_path: Path) -> None:
    """A stream that began on a file asks for its position; a worker's pipe has none."""
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        done = subprocess.run(
            [COMMAND, "run", "suite.toml", "--results", tmp_path / "results", "--workers", "1"],
            cwd=place,
            stdout=out,
            stderr=err,
            check=False,
        )
    said = (tmp_path / "err").read_text(encoding="utf-8")
    assert done.returncode == 0, said
    assert "2 cells computed, 0 found, 0 failed" in said
    assert "Leaderboard" in (tmp_path / "out").read_text(encoding="utf-8")
