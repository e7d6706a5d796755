"""The task `table`: files in three formats, rows in disjoint sets, and one scale."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from drawn_tasks import SETS, TABLE, draw, impossible, in_a_new_process
from hypothesis import given, settings
from hypothesis import strategies as st
from table_files import ROWS, SINGLE, archive, frame, save

# ---------------------------------------------------------------- what is read


def test_the_three_formats_give_the_same_data(tmp_path: Path) -> None:
    found = {
        draw("table", file=str(save(frame(), tmp_path / f"t{suffix}")), source_label="z").digest
        for suffix in (".csv", ".npz", ".parquet")
    }
    assert len(found) == 1


def test_the_digest_knows_neither_the_place_nor_columns_that_are_not_used(
    saved: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = draw("table", **saved).digest
    (tmp_path / "elsewhere").mkdir()
    wider = frame().assign(name="text")[["name", "z", "y", "a", "b", "c", "d"]]
    save(wider, tmp_path / "elsewhere" / "other.csv").rename(tmp_path / "elsewhere" / "Other.CSV")
    monkeypatch.chdir(tmp_path / "elsewhere")
    inputs = ["a", "b", "c", "d"]
    assert draw("table", file="Other.CSV", source_label="z", inputs=inputs).digest == first
    monkeypatch.setenv("HOME", str(tmp_path))
    assert draw("table", file="~/points.csv", source_label="z").digest == first
    save(frame().assign(a=lambda t: t["a"] + t["b"]), tmp_path / "points.csv")
    assert draw("table", **saved).digest != first, "other numbers in the same place"


def test_numbers_are_read_to_the_last_digit(tmp_path: Path) -> None:
    table = frame()
    file = str(save(table, tmp_path / "t.csv"))
    columns = ["a", "b", "c", "d"]
    points = draw("table", file=file, **SINGLE, inputs=columns, standardize=False).target
    assert {row.tobytes() for row in points.x} <= {
        row.tobytes() for row in table[columns].to_numpy()
    }


def test_inputs_come_in_the_order_in_which_they_are_listed(saved: dict[str, Any]) -> None:
    every = draw("table", **saved).target.x
    some = draw("table", **saved, inputs=["c", "a"]).target.x
    np.testing.assert_array_equal(some, every[:, [2, 0]])


def test_arrays_of_many_inputs_are_laid_side_by_side(tmp_path: Path) -> None:
    table = frame()
    blocks = {"x": table[["a", "b", "c"]].to_numpy(), "last": table["d"].to_numpy()}
    labels = {"y": table["y"].to_numpy(), "z": table["z"].to_numpy()}
    names = np.array([{"any": "thing"}] * ROWS, dtype=object)
    file = archive(tmp_path / "t.npz", blocks | labels | {"names": names})
    made = draw("table", file=file, source_label="z", inputs=["x", "last"])
    expected = draw("table", file=str(save(table, tmp_path / "t.csv")), source_label="z")
    assert made.digest == expected.digest


def test_truth_values_and_decimals_are_numbers(tmp_path: Path) -> None:
    quarters = pd.Series([Decimal(i) / 4 for i in range(ROWS)])
    table = frame(inputs=1).assign(z=lambda t: t["z"] > 0, b=quarters)
    for suffix in (".csv", ".parquet"):
        file = str(save(table, tmp_path / f"t{suffix}"))
        data = draw("table", file=file, source_label="z", source_points=20)
        assert data.source is not None
        assert set(data.source.y) == {0.0, 1.0}
        assert data.source.x.shape == (20, 2)


def test_row_numbers_that_pandas_writes_are_no_inputs(tmp_path: Path) -> None:
    table = frame()
    table.to_csv(tmp_path / "t.csv")
    table.set_axis(np.random.default_rng(0).permutation(ROWS)).to_parquet(tmp_path / "t.parquet")
    for name in ("t.csv", "t.parquet"):
        data = draw("table", file=str(tmp_path / name), source_label="z")
        assert data.target.x.shape == (5, 4)


def test_an_empty_column_costs_only_those_who_use_it(tmp_path: Path) -> None:
    file = str(save(frame().assign(note=np.nan), tmp_path / "t.csv"))
    assert draw("table", file=file, source_label="z", inputs=["a", "b"]).target.x.shape == (5, 2)
    assert "'note' is empty or not finite in 60 of 60 rows" in impossible(
        "table", file=file, source_label="z"
    )


# ---------------------------------------------------------------- which rows, and on which scale


def places(table: pd.DataFrame, points: Any, label: str) -> list[int]:
    """Return the rows of a table from which points come; its labels are all different."""
    return [int(np.flatnonzero(table[label] == y)[0]) for y in points.y]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), grown=st.sampled_from(["source", "target", "test"]))
def test_sets_are_disjoint_rows_that_do_not_depend_on_the_training_points_of_others(
    seed: int, grown: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    table = frame().assign(z=lambda t: t["y"] + 100)
    file = str(save(table, tmp_path_factory.mktemp("t") / "t.parquet"))
    base = draw("table", seed, file=file, source_label="z").sets()
    more = {f"{grown}_points": TABLE[f"{grown}_points"] + 4}
    other = draw("table", seed, file=file, source_label="z", **more).sets()
    rows: dict[str, list[int]] = {}
    for name in SETS:
        label = "z" if name.startswith("source") else "y"
        rows[name] = places(table, other[name], label)
        before = places(table, base[name], label)
        if grown != "test" or name.startswith("target"):
            assert rows[name][: len(before)] == before
    every = [row for found in rows.values() for row in found]
    assert len(set(every)) == len(every)


def test_a_single_task_has_the_rows_of_the_target(saved: dict[str, Any]) -> None:
    both = draw("table", **saved, standardize=False).sets()
    alone = draw("table", **saved | SINGLE, inputs=["a", "b", "c", "d"], standardize=False).sets()
    assert list(alone) == ["target", "target_test"]
    for name, points in alone.items():
        np.testing.assert_array_equal(points.x, both[name].x)
        np.testing.assert_array_equal(points.y, both[name].y)


def test_a_source_may_have_the_labels_of_the_target(saved: dict[str, Any]) -> None:
    data = draw("table", **saved | {"source_label": "y"})
    assert data.target.x.shape == (5, 5)


def test_every_row_may_be_used(saved: dict[str, Any]) -> None:
    sizes = {"source_points": 20, "target_points": 10, "test_points": 15}
    data = draw("table", **saved, **sizes, standardize=False).sets()
    used = np.concatenate([points.x for points in data.values()])
    assert len({row.tobytes() for row in used}) == ROWS


def test_inputs_have_mean_0_and_variance_1_over_all_training_points(saved: dict[str, Any]) -> None:
    data = draw("table", **saved).sets()
    raw = draw("table", **saved, standardize=False).sets()
    train = np.concatenate([data["source"].x, data["target"].x])
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(train.std(axis=0), 1, rtol=1e-12)
    seen = np.concatenate([raw["source"].x, raw["target"].x])
    for name in SETS:
        expected = (raw[name].x - seen.mean(axis=0)) / seen.std(axis=0)
        np.testing.assert_allclose(data[name].x, expected, rtol=1e-10, atol=1e-12)
        np.testing.assert_array_equal(data[name].y, raw[name].y)


def test_an_input_that_training_points_do_not_tell_apart_is_0(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    file = str(save(frame().assign(b=0.1, c=rng.permutation(ROWS) == 0), tmp_path / "t.csv"))
    for seed in range(5):
        data = draw("table", seed, file=file, source_label="z").sets()
        raw = draw("table", seed, file=file, source_label="z", standardize=False).sets()
        train_c = np.concatenate([raw["source"].x, raw["target"].x])[:, 2]
        for points in data.values():
            assert (points.x[:, 1] == 0).all()
            assert (points.x[:, 2] == 0).all() or train_c.any()


def test_reading_a_table_prints_and_warns_nothing() -> None:
    code = (
        "import warnings; warnings.simplefilter('error');"
        "from harness import Registry; task = Registry.load().get('task', 'table');"
        f"task.make(task.parse({TABLE!r}), 0)"
    )
    assert in_a_new_process(code) == ("", "")


# ---------------------------------------------------------------- classes


@pytest.mark.parametrize("suffix", [".csv", ".npz", ".parquet"])
def test_labels_that_name_classes_are_one_hot_in_the_order_of_their_names(
    suffix: str, tmp_path: Path
) -> None:
    kinds = np.array(["owl", "cat", "mole"])[np.arange(ROWS) % 3]
    table = frame(inputs=1).assign(kind=kinds.astype(object), number=np.arange(ROWS) % 4)
    if suffix == ".npz":
        parts = {"a": table["a"].to_numpy(), "kind": kinds, "number": table["number"].to_numpy()}
        file = archive(tmp_path / "t.npz", parts)
    else:
        file = str(save(table, tmp_path / f"t{suffix}"))
    options: dict[str, Any] = {"inputs": ["a"], "standardize": False, "classes": True}
    data = draw("table", file=file, label="kind", source_label="number", **options)
    for name, labels in (("target", kinds), ("source", np.arange(ROWS) % 4)):
        points = data.sets()[name]
        row = [int(np.flatnonzero(table["a"] == x)[0]) for x in points.x[:, 0]]
        expected = np.unique(labels)[None] == labels[row][:, None]
        np.testing.assert_array_equal(points.y, expected.astype(float))


def test_a_class_may_have_no_row_in_a_set(tmp_path: Path) -> None:
    table = frame(inputs=1).assign(y=lambda t: np.arange(len(t)) % 10)
    file = str(save(table, tmp_path / "t.csv"))
    few = draw("table", file=file, **SINGLE, inputs=["a"], classes=True, target_points=3)
    assert few.target.y.shape == (3, 10)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["", "cat"] * 30, "'y' is empty in 30 of 60 rows, first in row 1; remove such rows"),
        (["cat"] * 60, "'y' holds 'cat' in all 60 rows; labels must differ"),
        (list(range(60)), None),
    ],
)
def test_labels_that_name_no_classes_are_refused(
    labels: list[Any], message: str | None, tmp_path: Path
) -> None:
    table = frame(inputs=1).assign(y=labels)
    options: dict[str, Any] = {**SINGLE, "inputs": ["a"], "classes": True}
    if message is None:  # each row a class of its own, and more of them than may be
        table = pd.concat([table.assign(y=table["y"] + shift) for shift in (0, 60)])
        message = "'y' holds 120 different values; classes may have 100; set classes to false"
    file = str(save(table, tmp_path / "t.csv"))
    assert message in impossible("table", file=file, **options)
