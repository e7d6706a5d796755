"""The results folder: what is written comes back whole, and what is broken is never a result."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from harness import Observable, Registry, Trajectory
from harness.errors import StoreError
from harness.records.cell import CellFacts, SpecFacts
from harness.store import (
    COLUMNS,
    CellRecord,
    Manifest,
    Store,
    experiments,
    export_rows,
    export_tables,
)
from harness.store.check import TABLES, slug
from harness.store.mark import MARK
from harness.store.tables import CURVES
from harness.suites import Cell, Resolved, cells_of, load_suite
from harness.suites.cells import FORMAT

SUITE = load_suite("smoke", Registry.load())
DTS = (0.1, 0.3)
CELLS = cells_of(SUITE.experiments[0], SUITE, Resolved("data", DTS))
NETWORK, THEORY = CELLS[0], CELLS[-1]
Facts = dict[str, Any]


def facts_of(cell: Cell, status: str = "done") -> Facts:
    return {
        "format": FORMAT,
        "key": cell.key,
        "experiment": cell.experiment.name,
        **cell.identity,
        **cell.provenance,
        "status": status,
    }


def manifest(
    experiment: str, cells: Sequence[str] = (), *, suite: str = "smoke", **others: Any
) -> Manifest:
    task = {"name": "image-pairs", "version": "1", "parameters": {"dataset": "digits"}}
    defaults = {"position": 0, "data_seed": 0, "failure": "", "traceback": ""}
    return Manifest(
        format=FORMAT,
        suite=suite,
        experiment=experiment,
        task=SpecFacts.model_validate(task),
        cells=list(cells),
        **defaults | others,
    )


def observables(seed: int = 0, dtype: Any = np.float32, stderr: bool = True) -> Facts:
    """Return a stage with a number, a vector and a kernel at steps 0, 1 and 4."""
    rng = np.random.default_rng(seed)
    shapes = {"loss/train": (3,), "output/test": (3, 5), "kernel/feature": (3, 1, 4, 4)}
    return {
        name: Observable(
            np.array([0, 1, 4]),
            rng.standard_normal(shape).astype(dtype),
            rng.random(shape).astype(dtype) if stderr else None,
        )
        for name, shape in shapes.items()
    }


def trajectory(**options: Any) -> Trajectory:
    return Trajectory((observables(0, **options), observables(1, **options)))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


def write(store: Store, cell: Cell = NETWORK, result: Trajectory | None = None) -> CellRecord:
    store.write(cell, facts_of(cell), result or trajectory())
    record = store.read(cell.key)
    assert record is not None
    return record


def column(record: CellRecord, stage: int, name: str, column: str) -> np.ndarray:
    rows = [
        r for r in record.curves().to_pylist() if (r["stage"], r["observable"]) == (stage, name)
    ]
    return np.array([r[column] for r in rows])


def leftovers(store: Store) -> list[str]:
    """Return every path below the folder that is not part of a result."""
    found = (p.relative_to(store.root) for p in store.root.rglob("*"))
    return [str(p) for p in found if any(part.startswith(".") for part in p.parts)]


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


# ---------------------------------------------------------------- what is no result


def spoil_text(text: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / "cell.json").write_text(text)

    return spoil


def spoil_facts(**changes: Any) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / "cell.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return spoil


def truncate(name: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) // 2])

    return spoil


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def unreadable_text(folder: Path) -> None:
    (folder / "cell.json").write_bytes(b"\xff\xfe\x00")


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(spoil_text(""), id="empty"),
        pytest.param(spoil_text("null"), id="null"),
        pytest.param(spoil_text("[1, 2]"), id="a list"),
        pytest.param(spoil_text("{}"), id="no facts"),
        pytest.param(spoil_text("{" * 10), id="garbage"),
        pytest.param(unreadable_text, id="no text"),
        pytest.param(truncate("cell.json"), id="truncated"),
        pytest.param(spoil_facts(format=FORMAT + 1), id="future format"),
        pytest.param(spoil_facts(format=None), id="no format"),
        pytest.param(spoil_facts(key="0" * 24), id="another's key"),
        pytest.param(remove("cell.json"), id="no cell.json"),
        pytest.param(remove("curves.parquet"), id="no curves"),
        pytest.param(remove("arrays.npz"), id="no arrays"),
    ],
)
def test_a_spoilt_cell_is_ignored(store: Store, spoil: Callable[[Path], None]) -> None:
    good = write(store, THEORY)
    spoil(write(store, NETWORK).folder)
    assert store.read(NETWORK.key) is None
    assert [r.key for r in store.cells()] == [good.key]
    assert {r["solver"] for r in export_rows(store)} == {THEORY.solver.name}


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(
            spoil_facts(status="running"),
            id="unknown status",
        ),
        pytest.param(
            truncate("curves.parquet"),
            id="truncated curves",
        ),
        pytest.param(
            truncate("arrays.npz"),
            id="truncated arrays",
        ),
    ],
)
def test_these_spoilt_cells_are_ignored_too(store: Store, spoil: Callable[[Path], None]) -> None:
    spoil(write(store).folder)
    assert store.read(NETWORK.key) is None


def test_a_cell_folder_that_is_a_file_is_ignored(store: Store) -> None:
    write(store)
    (store.root / "cells" / "notes.txt").write_text("mine")
    assert [r.key for r in store.cells()] == [NETWORK.key]


@pytest.mark.parametrize("status", ["failed", "not-applicable"])
def test_a_cell_without_a_result_is_read_as_what_it_is(store: Store, status: str) -> None:
    store.write(NETWORK, facts_of(NETWORK, status) | {"message": "why"}, None)
    write(store, THEORY)
    record = store.read(NETWORK.key)
    assert record is not None
    assert (record.status, record.facts.message) == (status, "why")
    (found,) = experiments(store)
    assert found.networks() == {}
    assert [r.key for r in found.with_status(status)] == [NETWORK.key]
    assert {r["solver"] for r in export_rows(store)} == {THEORY.solver.name}


def test_there_is_no_cell_where_nothing_was_written(store: Store) -> None:
    assert store.read(NETWORK.key) is None
    assert not store.root.exists(), "reading makes no folder"


def test_a_folder_without_results_is_an_error_that_says_what_to_give(store: Store) -> None:
    store.root.mkdir()
    with pytest.raises(StoreError) as raised:
        list(store.cells())
    assert str(raised.value) == (
        f"{store.root}: no results here (there is no folder 'cells' in it); give the folder that"
        " `limitbench run` wrote"
    )


# ---------------------------------------------------------------- folders that cannot be written


@pytest.mark.parametrize("occupied", [".", "cells"])
def test_a_file_in_place_of_a_folder_is_an_error(store: Store, occupied: str) -> None:
    path = store.root / occupied
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    with pytest.raises(StoreError, match=r"cannot be written \(.*choose another folder"):
        store.write(NETWORK, facts_of(NETWORK), trajectory())
    assert path.read_text() == "mine"


def test_a_manifest_that_cannot_be_written_is_an_error(store: Store) -> None:
    store.root.mkdir()
    (store.root / "experiments").write_text("mine")
    with pytest.raises(StoreError, match=r"cannot be written .*choose another folder"):
        store.write_manifest(manifest("e"))


def test_a_folder_without_permission_is_an_error(store: Store) -> None:
    folder = store.root / "cells"
    folder.mkdir(parents=True)
    folder.chmod(0o500)
    try:
        try:
            (folder / "probe").touch()
        except PermissionError:
            pass
        else:
            pytest.skip("permissions do not bind this user")
        with pytest.raises(StoreError, match="Permission denied"):
            store.write(NETWORK, facts_of(NETWORK), trajectory())
    finally:
        folder.chmod(0o700)


# ---------------------------------------------------------------- manifests


def test_a_manifest_comes_back_in_the_order_of_the_suite(store: Store) -> None:
    for position, name in enumerate(["zebra", "ape", "mole"]):
        store.write_manifest(manifest(name, [f"key-{name}"], position=position))
    found = store.manifests()
    assert [m.experiment for m in found] == ["zebra", "ape", "mole"]
    assert found[0] == manifest("zebra", ["key-zebra"])


def test_the_last_run_of_an_experiment_counts(store: Store) -> None:
    store.write_manifest(manifest("e", failure="no step", traceback="Traceback ..."))
    assert [(m.failure, m.traceback) for m in store.manifests()] == [("no step", "Traceback ...")]
    store.write_manifest(manifest("e", ["key"]))
    assert [(m.cells, m.failure) for m in store.manifests()] == [(["key"], "")]


HOSTILE = [
    "../../escape",
    "/etc/passwd",
    "..",
    ".",
    "...",
    "a/b\\c",
    "con:*?<>|",
    " ",
    "-",
    "tab\there\nand there",
    "\u202egnp.exe",
    "äöü-漢字-🚀",
    "x" * 200,
    "漢" * 200,
    "\U00020000" * 200,
    "e[regime.target_richness=0.25]",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_the_name_of_an_experiment_stays_inside_the_folder(store: Store, name: str) -> None:
    store.write_manifest(manifest(name))
    assert [m.experiment for m in store.manifests()] == [name]
    (path,) = [p for p in store.root.parent.rglob("*") if p.is_file() and p.name != MARK]
    assert path.parent == store.root / "experiments"
    assert not path.name.startswith(".")
    assert leftovers(store) == []


def test_two_suites_may_name_their_experiments_alike(store: Store) -> None:
    store.write_manifest(manifest("e", ["a"], suite="p q"))
    store.write_manifest(manifest("e", ["b"], suite="p/q"))
    assert [(m.suite, m.cells) for m in store.manifests()] == [("p q", ["a"]), ("p/q", ["b"])]


def test_what_a_suite_no_longer_names_is_forgotten(store: Store) -> None:
    for suite, name in (("s", "old"), ("s", "kept"), ("other", "old")):
        store.write_manifest(manifest(name, suite=suite))
    store.forget_experiments("s", {"kept", "new"})
    found = [(m.suite, m.experiment) for m in store.manifests()]
    assert found == [("other", "old"), ("s", "kept")]


def test_an_experiment_has_the_task_that_it_asked_for(store: Store) -> None:
    """Though a cell of the same data was computed for another one."""
    write(store)
    store.write_manifest(manifest("again", [NETWORK.key], data_seed=5))
    (found,) = experiments(store)
    (record,) = found.records
    assert record.facts.data_seed == 5
    assert record.facts.task.parameters == {"dataset": "digits"}


@given(st.lists(st.text(min_size=1, max_size=200), min_size=2, max_size=5, unique=True))
def test_slugs_are_file_names_and_differ(names: list[str]) -> None:
    slugs = [slug(name) for name in names]
    assert len(set(slugs)) == len(names)
    for each in slugs:
        assert Path(each).name == each
        assert not each.startswith(".")
        assert each.isprintable()
        assert len(f".{each}.json".encode()) <= 255


@pytest.mark.parametrize(
    "content",
    ["", "null", "[]", '{"format": 0}', f'{{"format": {FORMAT}}}', '{"format'],
)
def test_a_spoilt_manifest_is_ignored(store: Store, content: str) -> None:
    write(store)
    store.write_manifest(manifest("good", [NETWORK.key]))
    (store.root / "experiments" / "bad.json").write_text(content)
    assert [m.experiment for m in store.manifests()] == ["good"]


def test_small_files_are_whole_or_not_there(store: Store) -> None:
    store.write_json("steps/a.json", {"dts": [0.1]})
    with pytest.raises(ValueError, match="Out of range float"):
        store.write_json("steps/a.json", {"dts": [float("nan")]})
    assert store.read_json("steps/a.json") == {"dts": [0.1]}
    assert store.read_json("steps/b.json") is None


def test_a_small_file_that_fails_leaves_nothing(store: Store) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        store.write_json("steps/a.json", {"dts": [float("nan")]})
    assert leftovers(store) == []


# ---------------------------------------------------------------- experiments and export


def write_all(store: Store, cells: list[Cell] = CELLS) -> None:
    for k, cell in enumerate(cells):
        stages = tuple(observables(10 * k + stage) for stage in (0, 1))
        store.write(cell, facts_of(cell), Trajectory(stages))
    store.write_manifest(manifest(cells[0].experiment.name, [c.key for c in cells]))


def test_the_cells_of_an_experiment_are_grouped(store: Store) -> None:
    write_all(store)
    (found,) = experiments(store)
    assert (found.name, found.suite, found.missing, found.failure) == ("digits", "smoke", 0, "")
    assert [r.key for r in found.records] == [c.key for c in CELLS]
    assert {
        width: [r.facts.solver.seed for r in records] for width, records in found.networks().items()
    } == {16: [0, 1], 32: [0, 1]}
    assert list(found.theories()) == ["mean-field", "lazy-ntk"]


def test_cells_that_are_missing_are_counted(store: Store) -> None:
    write_all(store)
    shutil.rmtree(store.root / "cells" / NETWORK.key)
    (found,) = experiments(store)
    assert found.missing == 1
    assert len(found.networks()[16]) == 1


def test_an_experiment_that_could_not_start_says_why(store: Store) -> None:
    store.write_manifest(manifest("digits", failure="no data"))
    (found,) = experiments(store)
    assert (found.records, found.failure) == ([], "no data")
    assert list(export_rows(store)) == []


def test_cells_of_no_manifest_go_by_their_own_name(store: Store) -> None:
    write(store)
    (found,) = experiments(store)
    assert (found.name, found.suite, len(found.records)) == ("digits", "", 1)


def test_one_cell_may_serve_two_experiments(store: Store) -> None:
    write_all(store)
    store.write_manifest(manifest("again", [NETWORK.key], position=1))
    assert [(e.name, len(e.records)) for e in experiments(store)] == [("digits", 6), ("again", 1)]
    assert {r["experiment"] for r in export_rows(store)} == {"digits", "again"}


def test_what_the_last_run_did_not_name_is_no_part_of_the_experiment(store: Store) -> None:
    write_all(store)
    other = replace(NETWORK, solver=replace(NETWORK.solver, seed=99))
    write(store, other)
    assert other.key not in {r.key for e in experiments(store) for r in e.records}


def test_export_has_the_keys_that_users_rely_on(store: Store) -> None:
    write_all(store)
    rows = list(export_rows(store))
    assert COLUMNS == (
        "experiment",
        "solver",
        "width",
        "seed",
        "stage",
        "observable",
        "step",
        "time",
        "index",
        "value",
        "stderr",
    )
    assert all(tuple(row) == COLUMNS for row in rows)
    assert len(rows) == len(CELLS) * 2 * (3 + 15), "every value of every cell, kernels apart"
    network = next(r for r in rows if r["solver"] == "network" and r["observable"] == "output/test")
    assert {k: type(v) for k, v in network.items()} == {
        "experiment": str,
        "solver": str,
        "width": int,
        "seed": int,
        "stage": int,
        "observable": str,
        "step": int,
        "time": float,
        "index": int,
        "value": float,
        "stderr": float,
    }
    theory = next(r for r in rows if r["solver"] == "lazy-ntk" and r["observable"] == "loss/train")
    assert (theory["width"], theory["seed"], theory["index"]) == (None, None, None)


def test_export_tables_join_into_one(store: Store) -> None:
    write_all(store)
    tables = list(export_tables(store))
    assert len(tables) == len(CELLS)
    whole = pa.concat_tables(tables)
    assert whole.column_names == list(COLUMNS)
    assert whole.to_pylist() == list(export_rows(store))
