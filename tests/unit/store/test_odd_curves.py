"""Tables of curves that no run writes are refused."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from strange_results import Folder, curves, stands

from harness.cli.results_ import command as results_command
from harness.errors import StoreError
from harness.store import Store

ODD_CURVES: dict[str, tuple[pa.Table, str]] = {
    "not a number": (curves(value=[float("nan")]), "value: has values that are not finite"),
    "infinite error": (curves(stderr=[float("inf")]), "stderr: has values that are not finite"),
    "negative error": (curves(stderr=[-1.0]), "stderr: has values that are not finite"),
    "no value": (curves(value=[None]), "value: has no value in places"),
    "no name": (curves(observable=[None]), "observable: has no value in places"),
    "a stage that is not there": (curves(stage=[2]), "stage: has values that are not finite"),
    "negative step": (curves(step=[-1]), "step: has values that are not finite, or out of range"),
    "long names": (curves(observable=["a" * 201]), "observable: has names of more than 200"),
    "other columns": (curves().drop_columns(["stderr"]), "not the columns of curves"),
    "millions of rows in few bytes": (
        pa.concat_tables([curves(value=[0.0] * 2**20)] * 20),
        "20,971,520 values; at most 20,000,000",
    ),
}


@pytest.mark.parametrize(("table", "reason"), ODD_CURVES.values(), ids=ODD_CURVES)
def test_odd_curves_are_refused(
    template: Path, tmp_path: Path, table: pa.Table, reason: str
) -> None:
    folder = Folder(template, tmp_path, True)
    pq.write_table(table, folder.cell / "curves.parquet")
    folder.sign()
    record = Store(folder.root).read(folder.cell.name)
    assert record is not None
    with pytest.raises(StoreError) as raised:
        record.columns()
    path = folder.cell / "curves.parquet"
    assert str(raised.value).startswith(f"{path}: {reason}")
    found = CliRunner().invoke(results_command, ["verify", str(folder.root)], standalone_mode=False)
    assert found.stdout.splitlines() == [str(raised.value)]
    stands(folder.root)
