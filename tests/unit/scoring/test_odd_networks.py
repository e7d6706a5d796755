"""One odd cell costs the others neither a score nor a measure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from strange_results import Folder, curves, stands

from harness import load
from harness.scoring import score_folders
from harness.store import Store
from harness.store.tables import CURVES


def test_an_odd_network_is_named_and_costs_no_other_cell_its_score(
    template: Path, tmp_path: Path
) -> None:
    folder = Folder(template, tmp_path, False)
    path = folder.cell / "curves.parquet"
    whole = pq.read_table(path)
    for table, said in (
        (curves(value=[float("nan")]), "curves.parquet: value: has values that are not finite"),
        (whole.slice(0, len(whole) - 1), "has other points or steps than most networks; ignored"),
    ):
        pq.write_table(table, path)
        folder.sign()
        path = folder.cell / "curves.parquet"
        scores = score_folders([Store(folder.root)])
        assert [row.seeds for row in scores.rows] == [1] * 3
        assert [row.widths for row in scores.rows] == [[16, 64]] * 3
        (note,) = scores.notes
        assert str(folder.cell) in note and said in note


@pytest.mark.parametrize("size", [1e300, 1e-300])
def test_what_has_no_square_is_not_scored(template: Path, tmp_path: Path, size: float) -> None:
    folder = Folder(template, tmp_path, True)
    path = folder.cell / "curves.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(5, "value", pa.array([size] * len(table))), path)
    folder.sign()
    scores = score_folders([Store(folder.root)])
    assert scores.rows == []
    assert all("are too large or too small" in note for note in scores.notes)
    stands(folder.root)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (0, 3), (2, 3, 4), None])
def test_replicates_of_any_shape_are_read_or_left(
    template: Path, tmp_path: Path, shape: tuple[int, ...] | None
) -> None:
    folder = Folder(template, tmp_path, True)
    rows = pq.read_table(folder.cell / "curves.parquet").to_pylist()
    if shape is None:  # the one that fits
        shape = (3, sum(r["stage"] == 1 and r["observable"] == "loss/test" for r in rows))
    with np.load(folder.cell / "arrays.npz") as found:
        arrays = dict(found)
    arrays |= {f"stage{k}/loss/test/replicates": np.zeros(shape, np.float32) for k in (0, 1)}
    np.savez(folder.cell / "arrays.npz", **arrays)
    stated = [row | {"stderr": 0.1} for row in rows]
    pq.write_table(pa.Table.from_pylist(stated, CURVES), folder.cell / "curves.parquet")
    folder.sign()
    stands(folder.root)


def test_a_network_whose_curves_were_cut_costs_the_others_no_measure(
    template: Path, tmp_path: Path
) -> None:
    folder = Folder(template, tmp_path, False)
    path = folder.cell / "curves.parquet"
    rows = pq.read_table(path).to_pylist()
    last = [row["stage"] == 1 and row["observable"] == "loss/test" for row in rows]
    assert sum(last) > 1
    del rows[len(last) - 1 - last[::-1].index(True)]
    pq.write_table(pa.Table.from_pylist(rows, CURVES), path)
    before = load(template).transfer.set_index(["solver", "width"])["estimates"]
    folder.sign()
    after = load(folder.root).transfer.set_index(["solver", "width"])["estimates"]
    assert (before.sort_index() - after.sort_index()).sort_values().tolist()[-1] == 1
    stands(folder.root)
