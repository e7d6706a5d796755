"""A cell comes back as it was written, in full precision, or is not written at all."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stored_cells
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from stored_cells import DTS, NETWORK, facts_of, leftovers, observables, trajectory, write

from harness import Observable, Trajectory
from harness.errors import StoreError
from harness.records.cell import CellFacts
from harness.store import CellRecord, Store, export_rows
from harness.store.check import TABLES
from harness.store.tables import CURVES


def column(record: CellRecord, stage: int, name: str, column: str) -> np.ndarray:
    rows = [
        r for r in record.curves().to_pylist() if (r["stage"], r["observable"]) == (stage, name)
    ]
    return np.array([r[column] for r in rows])


# ---------------------------------------------------------------- round trips


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_vectors_and_kernels_come_back_in_full_precision(store: Store, dtype: Any) -> None:
    result = trajectory(dtype=dtype)
    record = write(store, result=result)
    assert record.status == "done"
    for stage, found in enumerate(result.stages):
        for name in ("loss/train", "output/test"):
            for part, values in (("value", found[name].values), ("stderr", found[name].stderr)):
                assert values is not None
                back = column(record, stage, name, part).reshape(values.shape)
                np.testing.assert_array_equal(back.astype(dtype), values)
                np.testing.assert_array_equal(back, values.astype(np.float64))
        kernels = record.arrays()
        kernel = found["kernel/feature"]
        assert kernel.stderr is not None
        np.testing.assert_array_equal(kernels[f"stage{stage}/kernel/feature"], kernel.values[-1])
        np.testing.assert_array_equal(
            kernels[f"stage{stage}/kernel/feature/stderr"], kernel.stderr[-1]
        )
        assert kernels[f"stage{stage}/kernel/feature"].dtype == dtype


ANY = st.floats(allow_nan=False, allow_infinity=False, width=64)


@given(
    values=arrays.arrays(np.float64, st.tuples(st.just(2), st.integers(1, 4)), elements=ANY),
    errors=st.floats(0, allow_infinity=False, allow_nan=False),
)
@settings(max_examples=30)
def test_any_finite_number_survives_storage_and_export(values: np.ndarray, errors: float) -> None:
    import tempfile

    found = Observable(np.array([0, 3]), values, np.full(values.shape, errors))
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        write(store, result=Trajectory(({"output/test": found}, {"output/test": found})))
        rows = [json.loads(json.dumps(row, allow_nan=False)) for row in export_rows(store)]
    back = [r["value"] for r in rows if r["stage"] == 1]
    assert np.array(back).tobytes() == values.tobytes()
    assert {r["stderr"] for r in rows} == {errors}


def test_no_standard_error_is_written_as_none(store: Store) -> None:
    record = write(store, result=trajectory(stderr=False))
    assert column(record, 0, "loss/train", "stderr").tolist() == [None] * 3
    assert set(record.arrays()) == {"stage0/kernel/feature", "stage1/kernel/feature"}


def test_curves_are_tidy(store: Store) -> None:
    record = write(store)
    assert record.curves().schema.equals(CURVES)
    for stage, dt in enumerate(DTS):
        steps = column(record, stage, "loss/train", "step")
        np.testing.assert_array_equal(steps, [0, 1, 4])
        np.testing.assert_array_equal(column(record, stage, "loss/train", "time"), steps * dt)
    assert column(record, 0, "loss/train", "index").tolist() == [None] * 3
    assert column(record, 0, "output/test", "index").tolist() == [*range(5)] * 3
    np.testing.assert_array_equal(column(record, 0, "output/test", "step"), np.repeat([0, 1, 4], 5))


def test_facts_come_back_as_they_were_written(store: Store) -> None:
    facts = facts_of(NETWORK) | {"notes": {"samples": 3}, "seconds": 0.1}
    folder = store.write(NETWORK, facts, trajectory())
    record = store.read(NETWORK.key)
    assert record is not None
    sums = {name: sha256((folder / name).read_bytes()).hexdigest() for name in TABLES}
    assert record.facts == CellFacts.model_validate(facts | {"sha256": sums})
    assert record.facts.model_dump(exclude_unset=True).items() <= (facts | {"sha256": sums}).items()
    assert record.facts.notes == {"samples": 3}
    assert record.folder == folder == store.root / "cells" / NETWORK.key


def test_writing_a_cell_loads_no_pandas(tmp_path: Path) -> None:
    code = (
        "import sys; from harness.store import Store;"
        "from stored_cells import NETWORK, facts_of, trajectory;"
        f"Store({str(tmp_path)!r}).write(NETWORK, facts_of(NETWORK), trajectory());"
        "print('pandas' in sys.modules)"
    )
    beside = str(Path(stored_cells.__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=beside, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_a_cell_is_three_files_and_none_of_them_a_pickle(store: Store) -> None:
    folder = write(store).folder
    assert sorted(p.name for p in folder.iterdir()) == ["arrays.npz", "cell.json", "curves.parquet"]
    with np.load(folder / "arrays.npz", allow_pickle=False) as found:
        assert all(found[name].dtype.kind == "f" for name in found.files)


# ---------------------------------------------------------------- all or nothing


def failing(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


FULL = OSError(28, "No space left on device")


@pytest.mark.parametrize("what", ["pq.write_table", "np.savez", "replace_folder"])
def test_a_write_that_fails_leaves_nothing_and_says_what_to_do(
    store: Store, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(f"harness.store.cells.{what}", failing(FULL))
    with pytest.raises(StoreError) as raised:
        store.write(NETWORK, facts_of(NETWORK), trajectory())
    assert str(raised.value) == (
        f"{store.root / 'cells' / NETWORK.key}: cannot be written (No space left on device);"
        " free space or choose another folder with --results, then run again: finished cells are"
        " kept"
    )
    assert store.read(NETWORK.key) is None
    assert list((store.root / "cells").iterdir()) == []


@pytest.mark.parametrize("what", ["pq.write_table", "np.savez", "replace_folder"])
def test_a_write_that_fails_keeps_the_result_that_was_there(
    store: Store, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    before = write(store).curves()
    monkeypatch.setattr(f"harness.store.cells.{what}", failing(FULL))
    with pytest.raises(StoreError):
        store.write(NETWORK, facts_of(NETWORK), trajectory(dtype=np.float64))
    record = store.read(NETWORK.key)
    assert record is not None and record.curves().equals(before)
    assert leftovers(store) == []


def test_facts_that_are_no_json_leave_nothing(store: Store) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        store.write(NETWORK, facts_of(NETWORK) | {"seconds": float("nan")}, trajectory())
    assert list((store.root / "cells").iterdir()) == []


def test_a_newer_result_replaces_an_older_one(store: Store) -> None:
    store.write(NETWORK, facts_of(NETWORK, "failed"), None)
    assert write(store).status == "done"
    after = write(store, result=Trajectory((observables(7), observables(8))))
    np.testing.assert_array_equal(
        column(after, 0, "loss/train", "value"), observables(7)["loss/train"].values
    )
    store.write(NETWORK, facts_of(NETWORK, "failed"), None)
    record = store.read(NETWORK.key)
    assert record is not None
    assert [p.name for p in record.folder.iterdir()] == ["cell.json"], "no file of the old one"
    assert leftovers(store) == []


def test_a_folder_in_the_making_is_no_cell(store: Store) -> None:
    folder = write(store).folder
    shutil.copytree(folder, folder.parent / f".{NETWORK.key}.abc")
    assert [r.key for r in store.cells()] == [NETWORK.key]
