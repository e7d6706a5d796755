"""What strangers wrote is text in CSV and in Markdown, and numbers stay numbers."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from made_results import Results

from harness.cli.verbs import cli
from harness.formats import bold, csv_table, csv_text, markdown_list, markdown_table, markdown_text

FORMULAS = [
    "=cmd|'/c calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1+1",
    "\r=1+1",
    " =1+1",
    "\uff1d1+1",
]
HOSTILE_MARKDOWN = {
    "[x](http://evil.example)": r"\[x\](http\://evil.example)",
    "![i](//evil.example/i.png)": r"!\[i\](//evil.example/i.png)",
    "a | b": r"a \| b",
    "`code`": r"\`code\`",
    "<img src=x>": "&lt;img src=x>",
    "https://evil.example www.evil.example": r"https\://evil.example www\.evil.example",
    "me@evil.example": "me@<!-- -->evil.example",
    "**loud** _a_ ~b~": r"\*\*loud\*\* \_a\_ \~b\~",
    "# heading": r"\# heading",
    "- item": r"\- item",
    "1. item": r"1\. item",
    "> quoted": r"\> quoted",
    "a\nb\x1b[2Jc": "a b\ufffd\\[2Jc",
}


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_is_no_formula_of_a_spreadsheet(text: str) -> None:
    cell = csv_text(text)
    assert cell.startswith("'") and cell.isprintable()


@pytest.mark.parametrize("text", ["lazy-ntk", "a = b", "16 64", "", "loss/test", "é"])
def test_other_texts_of_a_csv_file_stay_as_they_are(text: str) -> None:
    assert csv_text(text) == text


def test_numbers_of_a_csv_file_stay_numbers() -> None:
    text = csv_table([{"a": -0.5, "b": "=1", "=c": None}, {"a": 1e-17, "d": True}])
    assert text == '"a","b","\'=c","d"\n-0.5,"\'=1",,\n1e-17,,,True\n'


def test_every_text_of_a_csv_file_is_in_quotes() -> None:
    texts = ["x;=1+1", 'a "b", c', "plain"]
    text = csv_table([{"a": each} for each in texts])
    assert [line[0] + line[-1] for line in text.splitlines()] == ['""'] * 4
    assert [row["a"] for row in csv.DictReader(io.StringIO(text))] == texts


@pytest.mark.parametrize(("text", "shown"), HOSTILE_MARKDOWN.items())
def test_a_text_is_no_markdown(text: str, shown: str) -> None:
    assert markdown_text(text) == shown
    assert markdown_list([text]) == f"- {shown}"


@pytest.mark.parametrize("text", ["0.49 [0.31, 0.67]", "-0.5", "1.2 %", "lazy-ntk", "0.00 – 2.1"])
def test_numbers_and_names_read_as_before_in_markdown(text: str) -> None:
    assert markdown_text(text) == text


def test_an_interval_before_an_address_is_a_link_all_the_same() -> None:
    assert markdown_text("[0.1, 0.2](x)") == r"\[0.1, 0.2\](x)"


def test_a_markdown_table_has_the_columns_of_its_header() -> None:
    table = markdown_table(("a", "b"), [("x|y", bold("agrees|")), ("", "`|`")])
    rows = [re.sub(r"\\.", "", line).count("|") for line in table.splitlines()]
    assert rows == [3, 3, 3, 3]
    assert r"| x\|y | **agrees\|** |" in table


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results whose experiments are named like formulas and like Markdown."""
    made = Results(tmp_path_factory.mktemp("hostile") / "results")
    for name in (*FORMULAS, *HOSTILE_MARKDOWN):
        made.add(name, {"lazy-ntk": 0.0}, widths=(16, 64), seeds=(0, 1), stages=1)
    return made.store.root


def ran(*arguments: str | Path) -> Result:
    done = CliRunner().invoke(cli, [str(each) for each in arguments], standalone_mode=False)
    assert done.exception is None, done.output
    return done


@pytest.mark.parametrize(
    "command",
    [
        ("leaderboard", "--csv"),
        ("leaderboard", "--overall", "--csv"),
        ("export", "--format", "csv"),
    ],
    ids=" ".join,
)
def test_csv_of_every_command_holds_no_formula_and_its_numbers(
    hostile: Path, command: tuple[str, ...]
) -> None:
    text = ran(*command, hostile).stdout
    rows = list(csv.reader(io.StringIO(text)))
    cells = [cell for row in rows for cell in row]
    assert all(cell.isprintable() for cell in cells)
    for cell in cells:
        assert not cell.lstrip().startswith(("=", "+", "@", "\uff1d"))
        assert not cell.startswith("-") or float(cell) < 0, "a number"
    if "--overall" not in command:
        names = {row["experiment"] for row in csv.DictReader(io.StringIO(text))}
        assert names == {csv_text(name) for name in (*FORMULAS, *HOSTILE_MARKDOWN)}


def test_the_export_of_csv_has_one_header_and_full_precision(hostile: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(ran("export", "--format", "csv", hostile).stdout)))
    assert not any(row["value"] == "value" for row in rows)
    assert any(len(row["value"]) > 15 for row in rows)


def test_an_export_of_nothing_is_a_header(tmp_path: Path) -> None:
    Results(tmp_path / "results")
    text = ran("export", "--format", "csv", tmp_path / "results").stdout
    assert len(text.splitlines()) == 1 and text.startswith('"experiment"')


def test_markdown_of_a_leaderboard_is_inert(hostile: Path) -> None:
    text = ran("leaderboard", "--markdown", hostile).stdout
    lines = text.splitlines()
    assert len({re.sub(r"\\.", "", line).count("|") for line in lines}) == 1
    bare = re.sub(r"\\.", "", text)
    assert not re.search(r"\]\(|!\[|`|://|www\.|<(?!!-- -->)|@(?!<!-- -->)", bare)
