"""Every table of every command in a terminal: names and numbers are whole at any width."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from made_results import Results

from harness.cli.layout import cell_len, table_lines
from harness.cli.plan import plan_table
from harness.cli.tables import COLUMNS, OVERALL, cells, overall_cells
from harness.cli.verbs import cli
from harness.scoring import overall, score_folders
from harness.store import Store

SWEPT = "digits-jointly-rich[regime.target_richness=0.25]"
NARROWEST = 60
COMMANDS = {
    "leaderboard": ["leaderboard", "DIR"],
    "leaderboard, wide": ["leaderboard", "DIR", "--wide"],
    "overall": ["leaderboard", "DIR", "--overall"],
    "compare": ["compare", "DIR", "DIR"],
    "list": ["list"],
    "claims": ["claims"],
    "plugins": ["plugins", "list"],
    "prune": ["results", "prune", "--dry-run", "DIR"],
    "verify": ["results", "verify", "DIR"],
    "doctor": ["doctor"],
}
"""All commands with tables; that of `run` is the leaderboard's, that of a dry run is below."""

PROGRAM = """
import json, sys
from harness.cli.verbs import cli
for command in json.loads(sys.argv[1]):
    sys.stdout.write("\\x1e")
    cli.main(command, standalone_mode=False)
    sys.stdout.flush()
"""
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Results(tmp_path_factory.mktemp("terminal") / "results")
    made.add(SWEPT, {"mean-field": 0.0, "lazy-ntk": 1.075, "adaptive-kernel": 0.03}, stages=1)
    made.add("digits-fine-tune", {"mean-field": 0.045, "lazy-ntk": "boom"}, broken=(256,), stages=1)
    broken = next(made.store.root.glob("cells/*/curves.parquet"))
    broken.write_bytes(broken.read_bytes()[:40])
    return made.store.root


@pytest.fixture(scope="module", params=[NARROWEST, 80, 100, 140])
def shown(request: pytest.FixtureRequest, folder: Path) -> dict[str, list[str]]:
    """The lines that every command writes on a terminal of some width; ``width`` has its width."""
    commands = [
        [{"DIR": str(folder)}.get(word, word) for word in words] for words in COMMANDS.values()
    ]
    driver, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, request.param, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR")}
    running = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, json.dumps(commands)],
        stdin=terminal,
        stdout=terminal,
        stderr=subprocess.PIPE,
        env=environment,
    )
    os.close(terminal)
    read: list[bytes] = []
    reading = threading.Thread(target=_read_all, args=(driver, read), daemon=True)
    reading.start()
    _, said = running.communicate()
    reading.join()
    os.close(driver)
    assert running.returncode == 0, said.decode()
    text = ESCAPE.sub("", b"".join(read).decode()).replace("\r\n", "\n")
    outputs = text.split("\x1e")[1:]
    lines = {name: out.splitlines() for name, out in zip(COMMANDS, outputs, strict=True)}
    return lines | {"width": ["=" * request.param]}


def _read_all(driver: int, read: list[bytes]) -> None:
    while True:
        try:
            block = os.read(driver, 65536)
        except OSError:  # how a terminal ends whose other side is closed
            return
        if not block:
            return
        read.append(block)


def test_no_line_is_longer_than_the_terminal_but_one_of_a_single_name(
    shown: dict[str, list[str]],
) -> None:
    width = len(shown["width"][0])
    for command, lines in shown.items():
        if command != "leaderboard, wide":
            long = [line for line in lines if cell_len(line) > width]
            texts = [line.strip().partition("  ")[2] for line in long]  # without a heading
            assert not [text for text in texts if "  " in text.strip()], command
            assert all(len(re.findall(r"\S+", line)) <= 4 for line in long), command


def test_every_name_verdict_and_number_of_a_leaderboard_is_whole(
    shown: dict[str, list[str]], folder: Path
) -> None:
    scores = score_folders([Store(folder)], ("output/test",))
    tables = (
        ("leaderboard", COLUMNS, [cells(row) for row in scores.rows]),
        ("overall", OVERALL, [overall_cells(row) for row in overall(scores)]),
        ("leaderboard, wide", COLUMNS, [cells(row) for row in scores.rows]),
    )
    for command, columns, rows in tables:
        # of a leaderboard's two tables the first
        lines = "\n".join(shown[command]).partition("\nOverall, by theory")[0].split("\n")
        words = " ".join(" ".join(lines).split())
        left = words.partition("left out: ")[2].partition("; --wide")[0].split(", ")
        kept = [c for c, column in enumerate(columns) if column.header not in left]
        assert {c for c, column in enumerate(columns) if column.rank is None} <= set(kept)
        assert ("left out" in words) == (len(kept) < len(columns))
        for row in rows:
            assert all(any(row[c] in line for line in lines) for c in kept), (command, row)
        if command.endswith("wide"):
            assert len(kept) == len(columns)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "doctor"])
def test_a_terminal_shows_what_a_pipe_has(
    shown: dict[str, list[str]], folder: Path, command: str
) -> None:
    words = [{"DIR": str(folder)}.get(word, word) for word in COMMANDS[command]]
    piped = CliRunner().invoke(cli, words, standalone_mode=False)
    assert piped.exception is None
    names = re.findall(r"[^\s,;]*[/\[\-][^\s,;]+|\d+\.\d+ %", piped.stdout)
    assert len(names) > 3 or command == "verify"
    if shown["width"][0] and not any("left out" in line for line in shown[command]):
        for name in names:
            assert any(name in line for line in shown[command]), name


def test_everything_that_doctor_says_is_whole(shown: dict[str, list[str]]) -> None:
    for name in ("scikit-learn", "tensorflow-datasets", "processors", "devices"):
        assert any(line.startswith(name) for line in shown["doctor"])


@pytest.mark.parametrize("width", [NARROWEST, 80, 100, 140])
def test_a_dry_run_names_every_cell_with_its_numbers(width: int) -> None:
    names = [f"{SWEPT} · width 16384 seed {seed}" for seed in (0, 1)]
    planned: list[dict[str, Any]] = [
        {"status": "finished", "seconds": 12345.678, "compile_seconds": 98765.43},
        {"status": "pilot", "seconds": None, "compile_seconds": 0.5},
    ]
    planned[0] |= {"mebibytes": 23456.7, "cell": names[0]}
    planned[1] |= {"mebibytes": 1.0, "cell": names[1]}
    lines = list(table_lines(plan_table(planned), width))
    assert max(map(cell_len, lines)) <= max(width, len(names[0]))
    for text in (*names, "12,345.68 s", "98,765.43 s", "23,457 MiB", "finished", "? s", "1 MiB"):
        assert any(text in line for line in lines)


def test_a_pipe_has_every_column_and_a_line_for_a_row(folder: Path) -> None:
    done = CliRunner().invoke(cli, ["leaderboard", str(folder)], standalone_mode=False)
    lines = done.stdout.splitlines()
    assert "left out" not in done.stdout
    for row in score_folders([Store(folder)], ("output/test",)).rows:
        assert any(all(text in line for text in cells(row)) for line in lines)
