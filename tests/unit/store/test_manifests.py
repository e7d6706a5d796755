"""A manifest says which cells an experiment has, whatever the experiment is called."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored_cells import NETWORK, leftovers, manifest, write

from harness.store import Store, experiments
from harness.store.check import slug
from harness.store.mark import MARK
from harness.suites.cells import FORMAT


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
