"""Text from a results folder stays text: in TOML, in a terminal, in Markdown."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner
from made_results import Results
from strange_results import Folder, stands

from harness.cli.leaderboard_ import command as leaderboard_command
from harness.cli.results_ import command as results_command


def test_a_list_with_nothing_in_it_is_written_as_toml(template: Path, tmp_path: Path) -> None:
    folder = Folder(template, tmp_path, True)
    folder.facts["solver"]["theory"]["parameters"]["samples"] = [None, {"a": None, "b": [1, None]}]
    folder.sign()
    assert "b = [" in stands(folder.root)


def test_the_terminal_shows_no_control_characters(template: Path, tmp_path: Path) -> None:
    folder = Folder(template, tmp_path, True)
    folder.facts |= {"status": "failed", "message": "a\x1b[2J\nb", "experiment": "\x1b[31m"}
    folder.sign()
    for command, *arguments in (
        (leaderboard_command, str(folder.root)),
        (results_command, "prune", "--dry-run", str(folder.root)),
    ):
        done = CliRunner().invoke(command, arguments, standalone_mode=False)
        assert "a\ufffd[2J b" in done.output
        assert all(line.isprintable() for line in done.output.splitlines())


def test_markdown_holds_no_html(template: Path, tmp_path: Path) -> None:
    made = Results(tmp_path / "results")
    made.add("<img src=x onerror=alert(1)> | &", {"lazy-ntk": 0.0}, stages=1)
    done = CliRunner().invoke(
        leaderboard_command, ["--markdown", str(made.store.root)], standalone_mode=False
    )
    assert "| &lt;img src=x onerror=alert(1)> \\| &amp; |" in done.stdout
