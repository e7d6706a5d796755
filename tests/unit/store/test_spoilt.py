"""What is spoilt is no result, and a folder that cannot be written is an error in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stored_cells import NETWORK, THEORY, facts_of, manifest, trajectory, write

from harness.errors import StoreError
from harness.store import Store, experiments, export_rows
from harness.suites.cells import FORMAT

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
