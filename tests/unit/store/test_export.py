"""Cells are grouped by experiment, and every value is exported under the same keys."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pyarrow as pa
from stored_cells import CELLS, NETWORK, facts_of, manifest, observables, write

from harness import Trajectory
from harness.store import (
    COLUMNS,
    Store,
    experiments,
    export_rows,
    export_tables,
    listed_experiments,
)
from harness.suites import Cell


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


def test_superseded_cells_stay_hidden_under_another_name(store: Store) -> None:
    write_all(store, CELLS[:1])
    write(store, CELLS[1])
    store.forget_experiments("smoke", ())
    store.write_manifest(manifest("renamed", [CELLS[0].key], formerly=["digits"]))
    for found in (experiments(store), listed_experiments(store)):
        assert [each.name for each in found] == ["renamed"]


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
