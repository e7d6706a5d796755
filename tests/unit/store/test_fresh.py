"""What a run with --fresh has yet to replace is known by key and content, and readers say so."""

from __future__ import annotations

import json
import logging

import pytest
from stored_cells import CELLS, NETWORK, THEORY, facts_of, manifest, trajectory, write

from harness.errors import StoreError
from harness.store import Store, experiments, listed_experiments
from harness.store.care import verify
from harness.store.check import checksum
from harness.store.fresh import NAME, FreshRuns, cell_file
from harness.suites.cells import FORMAT

STEPS = "steps/00ff.json"


def write_again(store: Store) -> None:
    store.write(NETWORK, facts_of(NETWORK) | {"seconds": 2.0}, trajectory())


@pytest.fixture
def begun(store: Store) -> Store:
    """A folder of two cells, both of which a killed run is to replace."""
    for cell in (NETWORK, THEORY):
        write(store, cell)
    store.write_json(STEPS, {"dts": [0.1]})
    store.write_manifest(manifest("digits", [NETWORK.key, THEORY.key]))
    paths = [cell_file(cell.key) for cell in CELLS]
    FreshRuns.read(store).begin("smoke", [STEPS, *paths])
    return store


def test_what_is_written_anew_is_outdated_no_more(begun: Store) -> None:
    assert FreshRuns.read(begun).is_outdated(cell_file(NETWORK.key))
    write_again(begun)
    fresh = FreshRuns.read(begun)
    assert not fresh.is_outdated(cell_file(NETWORK.key))
    assert fresh.is_outdated(cell_file(THEORY.key))
    assert fresh.is_outdated(STEPS)
    begun.write_json(STEPS, {"dts": [0.1]})
    assert not fresh.replaced(STEPS).is_outdated(STEPS)
    assert not FreshRuns.read(begun).is_outdated(STEPS), "though its content is the same"


def test_readers_say_what_is_left(begun: Store, caplog: pytest.LogCaptureFixture) -> None:
    write_again(begun)
    readers = (experiments, listed_experiments, lambda store: list(verify(store)))
    for read in readers:
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            read(Store(begun.root))
        assert [record.message for record in caplog.records] == [
            f"{begun.root}: a run with --fresh has not ended, and has left cells of before it: 1;"
            " run suite 'smoke' again to replace them"
        ]


def test_a_run_of_another_suite_or_of_a_part_ends_no_fresh_run(begun: Store) -> None:
    before = (begun.root / NAME).read_text()
    FreshRuns.read(begun).end("other", [], whole=True)
    FreshRuns.read(begun).end("smoke", [], whole=False)
    assert (begun.root / NAME).read_text() == before


def test_what_another_run_has_noted_since_is_kept(begun: Store) -> None:
    early = FreshRuns.read(begun)
    early.begin("later", [cell_file(THEORY.key)])
    early.replaced(STEPS)
    early.end("other", [], whole=True)
    found = {run.suite: set(run.old) for run in FreshRuns.read(begun).runs}
    assert found == {"smoke": {cell_file(NETWORK.key)}, "later": {cell_file(THEORY.key)}}


def test_the_note_of_an_older_limitbench_is_of_the_cells_of_its_experiments(store: Store) -> None:
    write(store)
    path = cell_file(NETWORK.key)
    old = {path: checksum(store.root / path), STEPS: "0" * 64, "../outside": "0" * 64}
    for name, outdated in (("digits", True), ("another", False)):
        runs = [{"experiments": [name], "old": old}]
        store.write_json(NAME, {"format": FORMAT, "runs": runs})
        assert FreshRuns.read(store).is_outdated(path) == outdated
    assert FreshRuns.read(store).left() == ""


def test_nothing_outside_the_folder_is_opened(store: Store) -> None:
    write(store)
    outside = store.root.parent / "cell.json"
    outside.write_text("{}")
    (store.root / "cells" / "aa").symlink_to(store.root.parent)
    for path in ("cells/aa/cell.json", "../cell.json", "cells/../../cell.json"):
        runs = [{"suite": "smoke", "old": {path: checksum(outside)}}]
        store.write_json(NAME, {"format": FORMAT, "runs": runs})
        assert not FreshRuns.read(store).is_outdated(path)


@pytest.mark.parametrize("content", ['{"format', "[]"])
def test_a_spoilt_note_is_a_fault(begun: Store, content: str) -> None:
    (begun.root / NAME).write_text(content)
    (fault,) = verify(begun)
    assert fault.startswith(str(begun.root / NAME))


def test_a_foreign_note_is_refused_in_a_line(begun: Store) -> None:
    (begun.root / NAME).write_text(json.dumps({"format": FORMAT, "runs": [{"suite": "smoke"}]}))
    with pytest.raises(StoreError, match="not written by limitbench; remove it"):
        FreshRuns.read(begun)
    (fault,) = verify(begun)
    assert "remove it" in fault
    assert [e.name for e in experiments(begun)] == ["digits"], "shown all the same"
