"""Submissions that no `limitbench pack` writes are refused in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from forged_submissions import Facts, forge, header_of, sign, write

from harness.errors import StoreError
from harness.submissions import read_header, read_rows, unpack
from harness.submissions.rows import SCHEMA


@pytest.fixture
def file(packed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(packed, tmp_path / "s.parquet"))


CELLS = 29


def refusal(file: Path) -> str:
    """Return the line with which a file is refused, before anything is written."""
    with pytest.raises(StoreError) as raised:
        unpack(file, file.parent / "r")
    assert not (file.parent / "r").exists()
    assert str(raised.value).startswith(f"{file}: ")
    assert str(raised.value).isprintable()
    return str(raised.value).removeprefix(f"{file}: ")


def facts(**changes: Any) -> Callable[[list[Facts]], None]:
    def change(rows: list[Facts]) -> None:
        rows[0]["facts"] = json.dumps(json.loads(rows[0]["facts"]) | changes)

    return change


def first(**changes: Any) -> Callable[[list[Facts]], None]:
    return lambda rows: rows[0].update(changes)


def array(**changes: Any) -> Callable[[list[Facts]], None]:
    return lambda rows: rows[0]["arrays"][0].update(changes)


def curve(name: str, value: Any) -> Callable[[list[Facts]], None]:
    def change(rows: list[Facts]) -> None:
        rows[0][name][0] = value

    return change


def deep(levels: int) -> Any:
    return [deep(levels - 1)] if levels else []


ODD: dict[str, tuple[Callable[[list[Facts]], object], str]] = {
    "edited value": (curve("value", 0.125), "cut short or changed since it was written"),
    "edited note": (facts(notes={"a": 1}), "cut short or changed since it was written"),
    "missing row": (lambda rows: rows.pop(), "28 cells; its header says 29"),
    "row twice": (lambda rows: rows.append(rows[0]), "is there twice"),
    "another key": (first(key="0" * 24), "but is stored as " + "0" * 24),
    "a path for a key": (first(key="../../etc/passwd"), "but is stored as ../../etc/passwd"),
    "facts of another width": (facts(dts=[0.2]), "describes cell"),
    "facts that are no JSON": (first(facts="{"), "not JSON, or cut short"),
    "facts that are no object": (first(facts="[]"), "not a JSON object"),
    "deep facts": (facts(notes=deep(40)), "nested too deeply"),
    "long facts": (first(facts=" " * (2**20 + 1)), "facts of 1,048,577 characters"),
    "older facts": (facts(format=1), "format 1 is of an older limitbench"),
    "checksums": (facts(sha256={"a": "b"}), "has checksums of files"),
    "no facts": (first(facts=None), "a cell without key or facts"),
    "no list": (first(value=None), "lacks a list"),
    "a value too few": (lambda rows: rows[0]["value"].pop(), "differ in length"),
    "not a number": (curve("value", float("nan")), "value: has values that are not finite"),
    "no value": (curve("value", None), "value: has no value in places"),
    "a stage that is not there": (curve("stage", 7), "stage: has values that are not finite"),
    "a negative step": (curve("step", -1), "step: has values that are not finite"),
    "long name": (curve("observable", "a" * 201), "names of more than 200 characters"),
    "values of a failed cell": (facts(status="failed"), "has values, and the status failed"),
    "another type": (array(dtype="object"), "an array without name, type or values"),
    "wrong shape": (array(shape=[3, 5]), "values do not fill its shape"),
    "negative shape": (array(shape=[-1, -1]), "an array of an odd shape"),
    "huge shape": (array(shape=[2**40, 0]), "an array of an odd shape"),
    "many axes": (array(shape=[1] * 9), "an array of an odd shape"),
    "inexact": (array(dtype="float16"), "has values that are not of type float16"),
    "infinite": (array(shape=[1], values=[float("inf")]), "has values that are not finite"),
    "a path above": (array(name="../x"), "an array named '../x'"),
    "a path from the root": (array(name="/etc/passwd"), "an array named '/etc/passwd'"),
    "another separator": (array(name="a\\b"), "an array named"),
    "a terminal's command": (array(name="a\x1b[2J"), "an array named"),
    "array twice": (
        lambda rows: rows[0]["arrays"].append(rows[0]["arrays"][0]),
        "an array without name, type or values, or twice",
    ),
}


@pytest.mark.parametrize(("change", "reason"), ODD.values(), ids=ODD)
def test_odd_rows_are_refused(
    file: Path, change: Callable[[list[Facts]], object], reason: str
) -> None:
    forge(file, change)
    assert reason in refusal(file)


@pytest.mark.parametrize(
    ("entry", "value", "reason"),
    [
        ("submission", 2, "submissions of format 2 are of a newer limitbench"),
        ("submission", "1", "header: submission: "),
        ("cells", -1, "header: cells: "),
        ("sha256", "0" * 64, "cut short or changed since it was written"),
        ("made", "today", "header: made: "),
        ("manifests", [{}], "header: manifests.0.format: "),
        ("environments", deep(40), "header: nested too deeply"),
        ("suites", {"a": 1}, "header: suites.a: "),
    ],
)
def test_odd_headers_are_refused(file: Path, entry: str, value: Any, reason: str) -> None:
    forge(file, lambda rows: None, **{entry: value})
    assert reason in refusal(file)


def test_an_experiment_is_listed_once(file: Path) -> None:
    twice = header_of(file)["manifests"] * 2
    forge(file, lambda rows: None, manifests=twice)
    assert refusal(file) == "header: lists an experiment twice"


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_file_that_is_cut_short_is_refused(file: Path, share: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    assert refusal(file).startswith("not a submission")


def test_no_byte_can_be_changed(file: Path) -> None:
    content = file.read_bytes()
    for at in range(4, len(content), len(content) // 40):
        file.write_bytes(content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :])
        try:
            rows = list(read_rows(file))
        except StoreError as error:
            assert str(error).startswith(f"{file}: ")
        else:  # a byte of the header that says nothing on the content
            assert len(rows) == CELLS


def test_other_files_are_refused(file: Path, tmp_path: Path) -> None:
    write(file, pa.table({"key": ["a"]}), header_of(file))
    assert refusal(file).startswith("not the columns of a submission, which are key, facts, stage")
    pq.write_table(SCHEMA.empty_table(), file, store_schema=False)
    assert refusal(file) == "not a submission (it has no header)"
    file.unlink()
    assert refusal(file) == "No such file or directory"
    file.symlink_to(tmp_path)
    assert refusal(file) == "not a regular file"


def test_long_lists_in_few_bytes_are_refused(file: Path) -> None:
    rows, header = pq.read_table(file).cast(SCHEMA).to_pylist(), header_of(file)
    count = 2**22
    rows[0] |= {name: [0] * count for name in ("stage", "step", "index")}
    write(file, pa.Table.from_pylist(rows, SCHEMA), header)
    assert "values in " in refusal(file)


def test_a_forger_can_sign(file: Path) -> None:
    forge(file, curve("value", 0.125))
    sign(file)
    row = next(read_rows(file))
    assert row.curves["value"][0].as_py() == 0.125
    assert read_header(file).cells == CELLS
