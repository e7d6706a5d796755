"""What a results folder may unpack to, and that no more of it is in memory than is wanted."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from made_results import Results

from harness import load
from harness.cli.verbs import cli
from harness.errors import StoreError
from harness.report.page import render
from harness.results import joined_curves
from harness.scoring import score_folders
from harness.scoring.curves import cell_curves, readable
from harness.store import CellRecord, export_tables, gathered, readable_tables
from harness.store.check import TABLES, UnusableError, checksum
from harness.store.tables import (
    BOUNDS,
    CURVES,
    Allowance,
    Bounds,
    curve_batches,
    numbers,
    of_observables,
    read_curves,
    thinned,
)

SMALL = Bounds(values=1000, numbers=400, few=100, packed=1, width=264, part=64)


def table(rows: int, differ: bool = False, vector: bool = True) -> pa.Table:
    """Return curves of so many rows, all equal, or all different."""
    values = np.random.default_rng(0).standard_normal(rows) if differ else np.ones(rows)
    return pa.table(
        {
            "stage": pa.array(np.zeros(rows), pa.int32()),
            "observable": pa.array(["output/test"] * rows),
            "step": pa.array(np.full(rows, 3), pa.int64()),
            "time": pa.array(np.full(rows, 0.3)),
            "index": pa.array(np.zeros(rows), pa.int32()) if vector else pa.nulls(rows, pa.int32()),
            "value": pa.array(values),
            "stderr": pa.nulls(rows, pa.float64()),
        },
        schema=CURVES,
    )


@pytest.fixture
def results(tmp_path: Path) -> Results:
    made = Results(tmp_path / "results")
    made.add("e", {"lazy-ntk": 0.0}, widths=(16, 64), seeds=(0, 1))
    made.add("other", {"lazy-ntk": 0.0}, widths=(16, 64), seeds=(0, 1))
    return made


def bomb(record: CellRecord) -> Path:
    """Put a million equal rows in the place of a cell's curves, with the right checksum."""
    path = record.folder / "curves.parquet"
    pq.write_table(table(10**6), path)
    facts = json.loads((record.folder / "cell.json").read_text())
    facts |= {"sha256": {name: checksum(record.folder / name) for name in TABLES}}
    (record.folder / "cell.json").write_text(json.dumps(facts))
    return path


BOMBS: dict[str, tuple[pa.Table, Bounds, str]] = {
    "too many": (table(1001, differ=True), SMALL, "1,001 values; at most 1,000"),
    "packed": (
        table(20_000),
        Bounds(few=100, packed=1),
        "bytes; at most 1 a byte where there are more than 100",
    ),
    "numbers": (
        table(450, differ=True, vector=False),
        SMALL,
        "more than 400 values of numbers",
    ),
    "wide": (table(100), Bounds(width=0), "bytes for 100 values"),
}


@pytest.mark.parametrize(("curves", "bounds", "reason"), BOMBS.values(), ids=BOMBS)
def test_a_file_unpacks_to_no_more_than_fits_its_size(
    tmp_path: Path, curves: pa.Table, bounds: Bounds, reason: str
) -> None:
    path = tmp_path / "curves.parquet"
    pq.write_table(curves, path)
    with pytest.raises(UnusableError) as raised:
        read_curves(path, 1, bounds=bounds)
    assert str(raised.value).startswith(f"{path}: ") and reason in str(raised.value)


def test_few_rows_may_be_equal_and_many_may_differ(tmp_path: Path) -> None:
    path = tmp_path / "curves.parquet"
    for curves in (table(100), table(1000, differ=True)):
        pq.write_table(curves, path)
        assert len(read_curves(path, 1, bounds=SMALL)) == len(curves)


def test_a_theory_that_predicts_zero_everywhere_is_no_bomb(tmp_path: Path) -> None:
    """A thousand points at a thousand steps: as equal as results of ours can be."""
    steps, points = 1000, 1000
    rows = steps * points
    curves = table(rows)
    at = np.repeat(np.arange(steps), points)
    index = np.tile(np.arange(points), steps)
    for position, (name, values) in enumerate({"step": at, "time": 0.1 * at}.items(), start=2):
        curves = curves.set_column(position, name, pa.array(values))
    curves = curves.set_column(4, "index", pa.array(index, pa.int32()))
    pq.write_table(curves.cast(CURVES), tmp_path / "curves.parquet")
    last = read_curves(tmp_path / "curves.parquet", 1, keep=thinned)
    assert len(thinned(last)) == points


def test_a_table_in_parts_is_the_whole_table(results: Results) -> None:
    record = next(r for r in results.store.cells() if r.status == "done")
    path = record.folder / "curves.parquet"
    parts = list(curve_batches(path, 2, bounds=Bounds(part=7)))
    assert len(parts) > 3 and all(len(part) <= 7 for part in parts)
    whole = read_curves(path, 2, bounds=Bounds(part=7))
    assert whole.cast(CURVES).equals(pq.read_table(path))
    assert pa.concat_tables(record.parts()).cast(CURVES).equals(record.curves())


@pytest.mark.parametrize("part", [5, BOUNDS.part])
def test_only_wanted_rows_are_kept(results: Results, part: int) -> None:
    record = next(r for r in results.store.cells() if r.status == "done")
    path, bounds = record.folder / "curves.parquet", Bounds(part=part)
    rows = record.curves().to_pylist()

    def kept(keep: Callable[[pa.Table], pa.Table]) -> list[dict[str, object]]:
        found: list[dict[str, object]] = keep(read_curves(path, 2, (), keep, bounds)).to_pylist()
        return found

    chosen = of_observables("loss/test", "output/test")
    assert kept(chosen) == [r for r in rows if r["observable"] in {"loss/test", "output/test"}]
    assert kept(of_observables("nothing")) == []
    assert kept(numbers) == [r for r in rows if r["index"] is None]
    last = {(r["stage"], r["observable"]): r["step"] for r in rows}
    assert kept(thinned) == [
        r for r in rows if r["index"] is None or r["step"] == last[r["stage"], r["observable"]]
    ]


def test_an_allowance_is_shared_and_what_is_refused_takes_nothing() -> None:
    allowance = Allowance(10)
    with allowance.counted(Path("a"), lambda part: part) as counted:
        counted(table(6))
    with (
        pytest.raises(StoreError, match=r"^b: has more values than .*\(1 are left\)"),
        allowance.counted(Path("b"), lambda part: part) as counted,
    ):
        counted(table(3))
        counted(table(3))
    assert allowance.left == 4


def test_cells_beyond_the_allowance_are_named_and_the_others_go_on(
    results: Results, caplog: pytest.LogCaptureFixture
) -> None:
    records = [r for r in results.store.cells() if r.status == "done"]
    sizes = [len(cell_curves(record).value) for record in records]
    with caplog.at_level(logging.WARNING):
        found = list(readable(records, lambda part: part, Allowance(sum(sizes[:2]))))
    assert [record.key for record, _ in found] == [record.key for record in records[:2]]
    assert len(caplog.messages) == len(records) - 2
    assert all(m.endswith("; ignored") and "curves.parquet: has more" in m for m in caplog.messages)


def test_a_bomb_is_named_by_every_reader_and_costs_no_other_cell(
    results: Results, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = next(r for r in results.store.cells() if r.facts.solver.width == 16)
    path = bomb(chosen)
    said = f"{path}: 1,000,000 values in {path.stat().st_size:,} bytes; at most 8 a byte"
    scores = score_folders([results.store])
    assert len(scores.rows) == 6
    assert [note for note in scores.notes if said in note] == scores.notes != []
    with caplog.at_level(logging.WARNING):
        assert "e</h2>" in render(results.store, figures=1)
        assert len(list(export_tables(results.store))) == 9
        assert chosen.key not in set(load(results.store.root).curves["key"])
    assert caplog.messages and all(m.startswith(said) for m in caplog.messages)
    verified = CliRunner().invoke(cli, ["results", "verify", str(results.store.root)])
    assert [line for line in verified.stdout.splitlines() if said in line] != []


def test_a_frame_of_too_many_values_says_what_writes_them(results: Results) -> None:
    done = [("e", r) for r in results.store.cells() if r.status == "done"]
    with pytest.raises(StoreError) as raised:
        joined_curves(readable_tables(done), most=100)
    assert str(raised.value) == (
        f"{results.store.root}: more than 100 recorded values, too many for one frame; `limitbench"
        " export --format parquet` writes them one cell at a time"
    )


def test_small_tables_are_gathered_to_larger_ones() -> None:
    found = list(gathered((table(k) for k in (3, 3, 3, 9, 1)), rows=5))
    assert [len(each) for each in found] == [6, 12, 1]
    assert list(gathered([])) == []


def test_arrays_are_read_one_at_a_time(results: Results) -> None:
    record = next(r for r in results.store.cells() if r.status == "done")
    for name, array in record.arrays().items():
        found = record.array(name)
        assert found is not None and found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)
