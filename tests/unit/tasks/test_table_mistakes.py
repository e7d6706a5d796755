"""Every way in which the task `table` says no, in one line."""

from __future__ import annotations

import os
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from drawn_tasks import draw, impossible, refused
from table_files import ROWS, SINGLE, archive, arrays, frame, save

# ---------------------------------------------------------------- how the suite says no


def test_only_files_of_three_kinds_are_read() -> None:
    assert refused("table", file="points.cvs") == (
        'task.file = "points.cvs": a file whose name ends with .csv, .npz or .parquet;'
        " did you mean '.csv'?"
    )
    assert "ends with .csv, .npz or .parquet" in refused("table", file="points")


def test_labels_are_no_inputs_and_inputs_are_listed_once() -> None:
    for label in ("y", "y_source"):
        line = refused("table", inputs=["x1", label])
        assert "task.inputs = " in line and f"'{label}' is a label; leave it out" in line
    assert "'x1' is listed twice" in refused("table", inputs=["x1", "x2", "x1"])


def test_a_source_has_points_and_a_label_or_neither() -> None:
    assert refused("table", source_points=None) == (
        "task.source_points = null: at least 1, as there is a source_label"
    )
    assert refused("table", source_label=None) == (
        "task.source_points = 7: there is no source; give a source_label, or leave it out"
    )


# ---------------------------------------------------------------- how files say no


def test_a_file_that_is_not_there_names_one_like_it(saved: dict[str, Any]) -> None:
    file = saved["file"].replace("points", "point")
    assert impossible("table", file=file) == (
        f"file {file!r} is not there; did you mean 'points.csv'?"
    )


def test_a_relative_path_starts_where_limitbench_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert impossible("table", file="no/such.csv") == (
        f"file 'no/such.csv' is not there from {tmp_path}, where limitbench runs"
    )


def test_folders_and_pipes_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    folder, pipe = str(tmp_path / "folder.csv"), str(tmp_path / "pipe.csv")
    assert impossible("table", file=folder) == f"file {folder!r} is a folder; name a file in it"
    assert impossible("table", file=pipe) == f"file {pipe!r} is not a plain file"


@pytest.mark.parametrize("suffix", ["csv", "npz", "parquet"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe\x80junk" * 9, b"PK\x03\x04", b"PAR1"])
def test_what_is_not_of_its_kind_is_said_in_a_line(
    suffix: str, content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / f"t.{suffix}"
    path.write_bytes(content)
    line = impossible("table", file=str(path))
    assert f"cannot be read as .{suffix}: " in line or "has no column 'y'" in line


@pytest.mark.parametrize("suffix", ["npz", "parquet"])
def test_a_file_that_was_cut_is_said_in_a_line(suffix: str, tmp_path: Path) -> None:
    whole = save(frame(), tmp_path / f"t.{suffix}").read_bytes()
    (tmp_path / f"t.{suffix}").write_bytes(whole[: len(whole) // 2])
    assert f"cannot be read as .{suffix}: " in impossible(
        "table", file=str(tmp_path / f"t.{suffix}")
    )


def test_rows_of_different_lengths_are_said_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,y\n1,2\n3,4,5\n")
    assert impossible("table", file=str(path)) == (
        f"file {str(path)!r} cannot be read as .csv: line 3 has 3 columns, the first line 2; mend"
        " it: write commas between columns, and numbers with a decimal point"
    )
    path.write_text("a,y\n1,2,3\n3,4,5\n")
    assert "line 2 has 3 columns, the first line 2" in impossible("table", file=str(path))


@pytest.mark.parametrize(
    ("mark", "word"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")], ids=str.strip
)
def test_another_separator_than_commas_is_told(mark: str, word: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    frame().to_csv(path, index=False, sep=mark)
    line = impossible("table", file=str(path))
    assert line.endswith(
        f": {word} seem to separate them; write commas between columns, and numbers with a decimal"
        " point"
    )
    path.write_text(path.read_text().replace(".", ","))
    assert "mend it: write commas between columns" in impossible("table", file=str(path))


@pytest.mark.parametrize(
    ("encoding", "said"),
    [("latin-1", "no UTF-8 text"), ("utf-16", "UTF-16 text")],
)
def test_text_of_another_encoding_is_told(encoding: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    frame().rename(columns={"a": "größe"}).to_csv(path, index=False, encoding=encoding)
    assert impossible("table", file=str(path)) == (
        f"file {str(path)!r} cannot be read as .csv: it is {said}; save it as UTF-8"
    )


def test_text_in_place_of_an_archive_is_told(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    path.write_text("a,y\n1,2\n")
    assert impossible("table", file=str(path)) == (
        f"file {str(path)!r} cannot be read as .npz: it is no .npz archive; write it with"
        " numpy.savez"
    )


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = pa.array(np.arange(60.0))
    pq.write_table(pa.Table.from_arrays([values] * 3, ["a", "y", "a"]), tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_text("a,y,a\n1,2,3\n")
    for name in ("t.parquet", "t.csv"):
        assert "two columns are called 'a'" in impossible("table", file=str(tmp_path / name))


def test_an_array_without_a_name_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.ones(3))
    shutil.move(tmp_path / "t.npy", tmp_path / "t.npz")
    assert "one array without a name; write it with numpy.savez" in impossible(
        "table", file=str(tmp_path / "t.npz")
    )


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (os.environ["BOMB"],))


def test_nothing_in_a_file_is_ever_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOMB", str(tmp_path / "exploded"))
    objects = np.array([Bomb()] * ROWS, dtype=object)
    file = archive(tmp_path / "t.npz", arrays(frame()) | {"y": objects})
    assert impossible("table", file=file, source_label="z") == (
        f"file {file!r}: array 'y' holds Python objects, which are not read; save numbers"
    )
    assert "not read" in impossible("table", file=file, label="z", source_label="a", inputs=["y"])
    (tmp_path / "t.npz").write_bytes(pickle.dumps(Bomb()))
    assert "cannot be read as .npz" in impossible("table", file=file)
    assert not (tmp_path / "exploded").exists()


def test_other_things_in_an_archive_are_left_alone(tmp_path: Path) -> None:
    save(frame(), tmp_path / "t.npz")
    with zipfile.ZipFile(tmp_path / "t.npz", "a") as archive:
        archive.writestr("notes.txt", "not an array")
    assert draw("table", file=str(tmp_path / "t.npz"), source_label="z").target.x.shape == (5, 4)


# ---------------------------------------------------------------- how columns say no


@pytest.mark.parametrize(("suffix", "word"), [("csv", "column"), ("npz", "array")])
@pytest.mark.parametrize("parameter", ["label", "source_label", "inputs"])
def test_an_unknown_column_names_the_nearest(
    suffix: str, word: str, parameter: str, tmp_path: Path
) -> None:
    table = frame().rename(columns={"a": "alpha", "y": "energy", "z": "sign"})
    file = str(save(table, tmp_path / f"t.{suffix}"))
    given: dict[str, Any] = {"label": "energy", "source_label": "sign"}
    given |= {parameter: ["b", "alhpa"] if parameter == "inputs" else "alhpa"}
    assert impossible("table", file=file, **given) == (
        f"file {file!r} has no {word} 'alhpa'; did you mean 'alpha'?;"
        f" {word}s are 'alpha', 'b', 'c', 'd', 'energy', 'sign'"
    )


def test_of_many_columns_the_first_are_listed(tmp_path: Path) -> None:
    table = pd.DataFrame({f"c{i}": np.arange(3.0) for i in range(25)})
    line = impossible("table", file=str(save(table, tmp_path / "t.csv")))
    assert line.endswith("'c18', 'c19' (and 5 more)")


@pytest.mark.parametrize("suffix", ["csv", "npz", "parquet"])
def test_text_is_no_number(suffix: str, tmp_path: Path) -> None:
    table = frame()
    table["y"] = ["1.5"] * 3 + ["cat"] * (ROWS - 3)
    file = str(save(table, tmp_path / f"t.{suffix}"))
    if suffix == "npz":
        archive(Path(file), arrays(table) | {"y": table["y"].to_numpy(str)})
    line = impossible("table", file=file, source_label="z")
    word = "array" if suffix == "npz" else "column"
    assert line == (
        f"file {file!r}: {word} 'y' is not made of numbers: row 4 holds 'cat'; for labels that name"
        " classes, set classes to true"
    )
    assert "not made of numbers" in impossible(
        "table", file=file, label="z", source_label="a", inputs=["y"]
    )


def test_text_of_digits_is_text(tmp_path: Path) -> None:
    file = str(save(frame().assign(y="1.5"), tmp_path / "t.parquet"))
    assert "'y' is not made of numbers: row 1 holds '1.5'" in impossible("table", file=file)


@pytest.mark.parametrize(
    "value", [np.datetime64("2025-01-31"), np.timedelta64(3, "s"), 1 + 2j, b"x", (1, 2)]
)
def test_things_that_are_no_numbers_are_not_taken_for_them(value: Any, tmp_path: Path) -> None:
    kind = [("first", int), ("second", int)] if isinstance(value, tuple) else None
    things = {"y": np.array([value] * ROWS, dtype=kind)}
    file = archive(tmp_path / "t.npz", arrays(frame()) | things)
    line = impossible("table", file=file, source_label="z")
    assert "array 'y' is not made of numbers: row 1 holds " in line


@pytest.mark.parametrize("suffix", ["csv", "npz", "parquet"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["b", "y", "z"])
def test_values_that_are_not_finite_are_said_with_their_row(
    suffix: str, value: float, name: str, tmp_path: Path
) -> None:
    table = frame()
    table.loc[[16, 40], name] = value
    file = str(save(table, tmp_path / f"t.{suffix}"))
    word = "array" if suffix == "npz" else "column"
    assert impossible("table", file=file, source_label="z") == (
        f"file {file!r}: {word} {name!r} is empty or not finite in 2 of 60 rows, first in row 17;"
        " remove such rows, or fill them"
    )


def test_constant_labels_are_refused(saved: dict[str, Any]) -> None:
    save(frame().assign(z=2.0), Path(saved["file"]))
    assert impossible("table", **saved) == (
        f"file {saved['file']!r}: column 'z' holds 2 in all 60 rows; labels must differ"
    )


def test_constant_inputs_are_refused(saved: dict[str, Any]) -> None:
    save(frame(inputs=1).assign(a=0.1), Path(saved["file"]))
    assert impossible("table", **saved) == (
        f"file {saved['file']!r}: the inputs of all 12 training points are the same"
    )


def test_numbers_too_large_to_be_standardized_are_refused(saved: dict[str, Any]) -> None:
    save(frame().assign(a=lambda t: t["z"] * 1e308), Path(saved["file"]))
    assert "too large or too small" in impossible("table", **saved)
    assert draw("table", **saved, standardize=False).target.x.shape == (5, 4)


def test_too_few_rows_are_counted(saved: dict[str, Any]) -> None:
    line = impossible("table", **saved, source_points=40)
    assert line == (
        f"file {saved['file']!r} has 60 rows, but 63 are needed (source 40, source test 9,"
        " target 5, target test 9); ask for fewer points"
    )
    assert "has 60 rows, but 61 are needed (target 52, target test 9)" in impossible(
        "table", **saved | SINGLE, target_points=52
    )


@pytest.mark.parametrize("suffix", ["csv", "npz", "parquet"])
def test_a_table_without_rows_is_too_short(suffix: str, tmp_path: Path) -> None:
    file = str(save(frame(rows=0), tmp_path / f"t.{suffix}"))
    assert "has 0 rows, but 30 are needed" in impossible("table", file=file, source_label="z")


@pytest.mark.parametrize(("rows", "words"), [(1, "has 1 row,"), (2, "has 2 rows,")])
def test_too_few_rows_come_before_equal_labels(rows: int, words: str, tmp_path: Path) -> None:
    file = str(save(frame(rows).assign(y=1.0, z=1.0), tmp_path / "t.csv"))
    assert words in impossible("table", file=file, source_label="z")


def test_a_column_of_text_is_not_left_out_unsaid(saved: dict[str, Any]) -> None:
    save(frame().assign(name="text"), Path(saved["file"]))
    assert impossible("table", **saved) == (
        f"file {saved['file']!r}: column 'name' holds no numbers; name the inputs, for example"
        " inputs = ['a', 'b', 'c']"
    )


def test_one_text_among_numbers_is_told_with_its_row(saved: dict[str, Any]) -> None:
    table = frame().astype({"b": object})
    table.loc[7, "b"] = "x"
    save(table, Path(saved["file"]))
    assert impossible("table", **saved) == (
        f"file {saved['file']!r}: column 'b' is not made of numbers: row 8 holds 'x'; mend it, or"
        " name the inputs, for example inputs = ['a', 'c', 'd']"
    )


def test_a_table_of_labels_alone_has_no_inputs(saved: dict[str, Any]) -> None:
    save(frame(inputs=0).assign(name="text"), Path(saved["file"]))
    assert impossible("table", **saved) == (
        f"file {saved['file']!r} has no column of numbers for inputs, beside the labels;"
        " columns are 'y', 'z', 'name'"
    )


@pytest.mark.parametrize(
    ("name", "shape", "says"),
    [
        ("y", (60, 1), "array 'y' has shape (60, 1); labels need one number a row, shape (P,)"),
        ("y", (), "array 'y' has shape (); labels need one number a row"),
        ("z", (40,), "array 'z' has 40 rows, but 'y' has 60; both need as many"),
        ("a", (59,), "array 'a' has shape (59,); inputs beside 60 labels need (60,) or (60, D)"),
        ("a", (60, 2, 2), "array 'a' has shape (60, 2, 2); inputs beside 60 labels need"),
        ("a", (), "array 'a' has shape (); inputs beside 60 labels need"),
        ("a", (60, 0), "array 'a' has shape (60, 0); inputs beside 60 labels need"),
    ],
)
def test_arrays_of_other_shapes_are_refused(
    name: str, shape: tuple[int, ...], says: str, tmp_path: Path
) -> None:
    odd = {name: np.asarray(np.random.default_rng(0).standard_normal(shape))}
    file = archive(tmp_path / "t.npz", arrays(frame()) | odd)
    assert says in impossible("table", file=file, source_label="z")
