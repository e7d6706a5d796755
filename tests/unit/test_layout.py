"""Tables fit the terminal, and every name and number in them is whole."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_results import score_row

from harness.cli.layout import Column, Table, cell_len, print_entry, say, table_lines
from harness.cli.tables import COLUMNS, OVERALL, open_questions

SWEPT = "digits-jointly-rich[regime.target_richness=0.25]"
LEADERBOARD = [
    tuple(row.split("|"))
    for row in (
        f"1|{SWEPT}|mean-field|agrees|0.54 %|0.00 % – 2.18 %|0.44 [0.35, 0.52]|77|0.16 %",
        f"2|{SWEPT}|lazy-ntk|disagrees|107.54 %|107.12 % – 109.03 %|0.01 [-0.00, 0.02]|~14,938"
        "|0.00 %",
        "1|polynomial (incomplete; without width 4096)|adaptive-kernel|undecided|4.16 %"
        "|0.73 % – 6.63 %|–|–|0.15 %",
    )
]
ESSENTIAL = (1, 2, 3, 4)
"""Columns of the leaderboard that every terminal has room for: names, verdict and gap."""


def lines_of(rows: list[tuple[str, ...]], width: int | None) -> list[str]:
    return list(table_lines(Table("Leaderboard", COLUMNS, rows, head=1), width))


@pytest.mark.parametrize("width", [60, 80, 100, 140, 200])
def test_every_name_verdict_and_number_is_whole(width: int) -> None:
    lines = lines_of(LEADERBOARD, width)
    assert max(map(cell_len, lines)) <= width
    for row in LEADERBOARD:
        for c in ESSENTIAL:
            assert any(row[c] in line for line in lines)
    text = " ".join(" ".join(lines).split())
    left = text.partition("left out: ")[2].partition(";")[0].split(", ")
    for c, column in enumerate(COLUMNS):
        if column.header not in left:
            assert all(any(row[c] in line for line in lines) for row in LEADERBOARD)


def test_columns_that_matter_least_go_first_and_a_line_says_so() -> None:
    assert lines_of(LEADERBOARD, 80)[-1] == (
        "left out: exponent, width at 5 %, theory error; --wide shows every column"
    )
    assert " ".join(lines_of(LEADERBOARD, 60)[-2:]) == (
        "left out: rank, exponent, width at 5 %, theory error; --wide shows every column"
    )
    assert not any("left out" in line for line in lines_of(LEADERBOARD, 140))


def test_the_head_of_a_row_stands_above_it_before_a_column_is_left_out() -> None:
    lines = lines_of(LEADERBOARD, 100)
    assert lines.count(SWEPT) == 1
    assert any("exponent" in line for line in lines)


@pytest.mark.parametrize("rows", [LEADERBOARD, []])
def test_without_a_terminal_a_row_is_a_line(rows: list[tuple[str, ...]]) -> None:
    _, header, *lines = lines_of(rows, None)
    assert header.split() == " ".join(column.header for column in COLUMNS).split()
    assert len(lines) == len(rows)
    assert all(text in line for line, row in zip(lines, rows, strict=True) for text in row)


NAMES = st.text("abc-λ字 [=]", min_size=1, max_size=90).filter(lambda t: t.strip() == t)
NUMBERS = st.floats(-1e6, 1e6).map(lambda v: f"{v:,.2f} %")


@settings(deadline=None, max_examples=50)  # a busy machine is no fault
@given(
    st.lists(st.tuples(*(NAMES if c.words else NUMBERS for c in COLUMNS)), min_size=1), st.data()
)
def test_nothing_is_cut_whatever_the_names(
    rows: list[tuple[str, ...]], data: st.DataObject
) -> None:
    columns, head = data.draw(st.sampled_from([(COLUMNS, 1), (COLUMNS, None)]))
    width = data.draw(st.integers(60, 200))
    lines = list(table_lines(Table("", columns, rows, head), width))
    for row in rows:
        for c in ESSENTIAL:
            assert any(" ".join(row[c].split()) in " ".join(line.split()) for line in lines)
    long = [text for row in rows for c, text in enumerate(row) if columns[c].words]
    for line in lines:
        assert cell_len(line) <= width or any(line.strip().endswith(name) for name in long)


def test_names_that_no_table_has_room_for_get_a_line_each() -> None:
    row = ("1", "e" * 70, "t" * 70, "agrees", "1.00 %", "0.00 % – 2.00 %", "–", "–", "0.00 %")
    lines = lines_of([row], 60)
    assert [line.split("  ")[-1].strip() for line in lines[1:]] == list(row)
    assert lines[1].startswith("- rank")


def test_the_overall_table_keeps_its_counts() -> None:
    row = (
        "mean-field (incomplete)",
        "12",
        "3",
        "4",
        "1",
        "2",
        "63 %",
        "1.33",
        "4.16 %",
        "1.5",
        "7",
    )
    lines = list(table_lines(Table("Overall", OVERALL, [row]), 60))
    assert max(map(len, lines)) <= 60
    assert lines[2].split()[-3:] == ["12", "3", "4"] and lines[2].startswith(row[0])


def test_columns_without_names_have_no_header() -> None:
    table = Table("", (Column("", words=True), Column("")), [("a", "1"), ("bc", "22")])
    assert list(table_lines(table, None)) == ["a    1", "bc  22"]


def test_advice_tells_experiments_of_one_name_apart() -> None:
    rows = [
        score_row({16: 0.1}, experiment="d", theory="t", advice="more seeds", apart=apart)
        for apart in ("richness=1", "richness=2", None)
    ]
    assert [whose for whose, _ in open_questions(rows)] == [
        "d (richness=1) · t · output/test",
        "d (richness=2) · t · output/test",
        "d · t · output/test",
    ]


@pytest.mark.parametrize("err", [False, True])
def test_labels_and_sentences_fit_whichever_stream_they_go_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], err: bool
) -> None:
    name = "digits[regime.target_richness=0.25]"
    marked = f"{name} (task.version=1, regime.parameters.target_richness=0.25)"
    monkeypatch.setattr(sys.stderr if err else sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((60, 40)))
    if err:
        say(f"{marked}: not the same problem everywhere, so kept apart: a=1; a=2", err=True)
    else:
        print_entry(f"{marked} · lazy-ntk · output/test", "more seeds, or wider networks", "2.0 %")
    said = capsys.readouterr()
    lines = (said.err if err else said.out).splitlines()
    assert len(lines) > 2 and all(len(line) <= 60 for line in lines)
    assert name in lines[0], "names stay whole"


def test_a_sentence_is_one_line_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("word " * 50 + "end", err=True)
    assert len(capsys.readouterr().err.splitlines()) == 1
