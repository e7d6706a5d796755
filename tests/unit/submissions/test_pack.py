"""Results folders are packed into one file, and come back from it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from made_results import Results, manifest
from numpy.typing import NDArray

from harness.cli.pack_ import command
from harness.errors import StoreError
from harness.records import Observable, Trajectory
from harness.scoring import score_folder
from harness.scoring.values import KERNEL_POINTS, kernel_points
from harness.store import Store
from harness.store.care import verify
from harness.submissions import pack, read_header, read_rows, unpack
from harness.suites.cells import Solver
from harness.suites.experiment import Experiment, Spec


def long_stage(own: bool = False) -> dict[str, Observable]:
    """Return a stage with more steps and points than a thinned cell has."""
    rng = np.random.default_rng(1)
    steps = np.arange(101)

    def single(*shape: int) -> Observable:
        return Observable(steps[-1:], rng.standard_normal((1, *shape)).astype(np.float32))

    def curve(*shape: int) -> Observable:
        values = rng.random((101, *shape))
        drawn = values + rng.standard_normal((8, 101, *shape))
        return Observable(steps, values, np.ones_like(values), drawn.astype(np.float32))

    found = {
        "loss/train": curve(),
        "loss/test": curve(),
        "kernel/alignment": curve(),
        "probe/source-loss": curve(),
        "output/test": curve(7),
        "preactivation/excess-kurtosis": single(3),
        "kernel/feature": single(3, 40, 40),
        "preactivation/density": single(3, 120),
    }
    return found | {"own": curve(2), "other": curve(2)} if own else found


@pytest.fixture
def long(tmp_path: Path) -> Results:
    made = Results(tmp_path / "long")
    specs = [Spec(kind, "1", {}) for kind in ("task", "mlp", "fine-tune", "good")]
    task, architecture, regime, theory = specs
    experiment = Experiment("long", task, 0, architecture, regime, (theory,), scored=("own",))
    stages = Trajectory((long_stage(), long_stage(own=True)))
    made.write(experiment, (0.1, 0.2), [(Solver("good", theory=theory), stages)])
    (named,) = made.store.manifests()
    made.store.write_manifest(named.model_copy(update={"scored": ["own"]}))
    return made


def arrays_of(store: Store) -> dict[str, NDArray[np.float64]]:
    (record,) = store.cells()
    return record.arrays()


def test_all_comes_back_from_a_full_pack(folder: Store, tmp_path: Path) -> None:
    pack([folder], tmp_path / "s", full=True)
    found = unpack(tmp_path / "s", tmp_path / "r")
    assert list(verify(found)) == []
    assert found.manifests() == [m.model_copy(update={"traceback": ""}) for m in folder.manifests()]
    before, after = ({r.key: r for r in s.cells()} for s in (folder, found))
    assert before.keys() == after.keys()
    for key, record in before.items():
        facts = {"message", "traceback", "sha256"}
        assert after[key].facts.model_dump(exclude=facts) == record.facts.model_dump(exclude=facts)
        if record.status == "done":
            assert after[key].curves().equals(record.curves())
            arrays = after[key].arrays()
            assert arrays.keys() == record.arrays().keys()
            for name, values in record.arrays().items():
                assert arrays[name].dtype == values.dtype
                np.testing.assert_array_equal(arrays[name], values)


@pytest.mark.parametrize("full", [True, False])
def test_a_pack_of_an_unpacked_pack_has_the_same_content(
    long: Results, folder: Store, tmp_path: Path, full: bool
) -> None:
    for store in (folder, long.store):
        path = tmp_path / f"{store.root.name}.parquet"
        first = pack([store], path, full)
        second = pack([unpack(path, tmp_path / f"again-{store.root.name}")], path, full)
        assert second.sha256 == first.sha256
        assert second.manifests == first.manifests


def test_a_thinned_pack_is_scored_as_the_folder(
    folder: Store, packed: Path, tmp_path: Path
) -> None:
    found = score_folder(unpack(packed, tmp_path / "r")).scores
    wanted = score_folder(folder).scores
    assert [row.as_json() for row in found.rows] == [row.as_json() for row in wanted.rows]
    assert len(found.unscored) == len(wanted.unscored) == 2


def test_thinning_keeps_what_scoring_needs(long: Results, tmp_path: Path) -> None:
    pack([long.store], tmp_path / "s")
    store = unpack(tmp_path / "s", tmp_path / "r")
    (record,) = store.cells()
    counts = record.curves().group_by(["stage", "observable"]).aggregate([("step", "count")])
    numbers = {(r["stage"], r["observable"]): r["step_count"] for r in counts.to_pylist()}
    always = {"loss/train", "loss/test", "kernel/alignment", "probe/source-loss"}
    assert numbers == {
        **{(k, name): 1 for k in (0, 1) for name in always},
        (1, "loss/train"): 101,
        (1, "loss/test"): 101,
        (1, "output/test"): 7,
        (1, "own"): 2,
        (0, "preactivation/excess-kurtosis"): 3,
        (1, "preactivation/excess-kurtosis"): 3,
    }
    whole, thin = arrays_of(long.store), arrays_of(store)
    assert thin.keys() == {
        "stage1/kernel/feature",
        "stage1/preactivation/density",
        *(f"stage1/{n}/replicates" for n in ("loss/train", "loss/test", "output/test", "own")),
    }
    rows = kernel_points(40)
    kernel = whole["stage1/kernel/feature"][-1:][:, rows][:, :, rows]
    np.testing.assert_array_equal(thin["stage1/kernel/feature"], kernel)
    drawn = "stage1/loss/test/replicates"
    np.testing.assert_array_equal(thin[drawn], whole[drawn])
    assert thin["stage1/output/test/replicates"].shape == (8, 1, 7)


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 25, 26, 51, 1000])
def test_kernel_points_have_both_ends_and_stay_as_they_are(count: int) -> None:
    found = kernel_points(count)
    assert len(found) == min(count, KERNEL_POINTS)
    assert (found[0], found[-1]) == (0, count - 1)
    np.testing.assert_array_equal(kernel_points(len(found)), np.arange(len(found)))


def test_a_submission_names_no_folder_of_the_machine(tmp_path: Path) -> None:
    made = Results(tmp_path / "r")
    task = Spec("table", "1", {"path": "/home/me/points.csv", "kept": "points/a"})
    theory = Spec("good", "1", {})
    specs = Spec("mlp", "1", {}), Spec("single", "1", {})
    experiment = Experiment("one", task, 0, *specs, (theory,))
    outcome = {
        "status": "failed",
        "message": "/home/me/plugin.py: no root; see https://example.org/a/b",
        "traceback": 'File "/home/me/plugin.py"',
        "log": "/home/me/log",
        "environment": {"settings": {"XLA_FLAGS": "--xla_dump_to=/home/me/dump"}},
    }
    made.write(experiment, (0.1,), [(Solver("good", theory=theory), outcome)])
    pack([made.store], tmp_path / "s")
    (row,) = read_rows(tmp_path / "s")
    assert row.facts.message == "plugin.py: no root; see https://example.org/a/b"
    assert row.facts.task.parameters == {"kept": "points/a"}
    header = read_header(tmp_path / "s").model_dump_json()
    assert "/home" not in row.text
    assert "/home" not in header


def test_folders_of_one_suite_are_joined(tmp_path: Path) -> None:
    parts = [Results(tmp_path / "a"), Results(tmp_path / "b")]
    parts[0].add("one", {}, seeds=(0, 1))
    parts[1].add("one", {}, seeds=(1, 2))
    header = pack([p.store for p in parts], tmp_path / "s")
    (found,) = header.manifests
    assert header.cells == len(found.cells) == 9
    parts[1].add("one", {}, task="another-task")
    with pytest.raises(StoreError, match="'one' of suite 'made up' has another task in one folder"):
        pack([p.store for p in parts], tmp_path / "s")


def test_two_sources_of_one_component_are_not_packed_together(tmp_path: Path) -> None:
    parts = [Results(tmp_path / "a"), Results(tmp_path / "b")]
    for part in parts:
        part.add("one", {"good": 0.1}, seeds=(0,), widths=(16,))
    stores = [part.store for part in parts]
    for kind, where, status, refusal in (
        ("task", 1, "done", ""),
        ("theory", 1, "failed", ""),
        ("theory", 1, "done", "theory 'good' has another source in {b} than in {a} under"),
        ("regime", 0, "done", "regime 'fine-tune' has another source in {b} than in {a} under"),
        ("observable own", 0, "done", "observable own has another source in {b} than in {a}"),
    ):
        record = next(r for r in stores[where].cells() if r.facts.solver.name == "good")
        path = record.folder / "cell.json"
        before = path.read_text()
        sources = record.facts.sources | {kind: "other"}
        path.write_text(json.dumps(json.loads(before) | {"sources": sources, "status": status}))
        if refusal:
            with pytest.raises(StoreError) as raised:
                pack(stores, tmp_path / "s")
            expected = refusal.format(a=stores[0].root, b=stores[1].root)
            assert str(raised.value).startswith(expected)
            assert "run one of them again, or pack these apart" in str(raised.value)
            assert "\n" not in str(raised.value)
        else:
            assert pack(stores, tmp_path / "s").cells == 2
        path.write_text(before)


def test_a_bundled_suite_goes_with_its_results(tmp_path: Path) -> None:
    made = Results(tmp_path / "r")
    task, *rest = Spec("digits", "1", {}), Spec("mlp", "1", {}), Spec("single", "1", {})
    experiment = Experiment("digits", task, 0, rest[0], rest[1], ())
    made.write(experiment, (0.1,), [(Solver("network", 4, 0, "float32"), {"status": "failed"})])
    (named,) = made.store.manifests()
    assert pack([made.store], tmp_path / "s").suites == {}
    made.store.write_manifest(named.model_copy(update={"suite": "smoke"}))
    assert "smoke" in pack([made.store], tmp_path / "s").suites
    foreign = manifest("smoke", 1, experiment, [])
    made.store.write_manifest(foreign.model_copy(update={"experiment": "of my own"}))
    assert pack([made.store], tmp_path / "s").suites == {}


def test_only_results_are_packed(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    with pytest.raises(StoreError, match="r: no results here"):
        pack([Store(tmp_path / "r")], tmp_path / "s")
    Store(tmp_path / "empty").prepare()
    (tmp_path / "empty" / "experiments").mkdir()
    with pytest.raises(StoreError, match="empty: no cell to pack"):
        pack([Store(tmp_path / "empty")], tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_the_command_packs_and_refuses_in_a_line(folder: Store, tmp_path: Path) -> None:
    file, empty = tmp_path / "s", tmp_path / "r"
    empty.mkdir()
    done = CliRunner().invoke(command, [str(folder.root), "-o", str(file)], standalone_mode=False)
    assert done.stdout == f"{file}: 29 cells, {file.stat().st_size:,} bytes\n"
    done = CliRunner().invoke(command, [str(empty), "-o", str(file)], standalone_mode=False)
    assert str(done.exception) == (
        f"{empty}: no results here (there is no folder 'cells' in it); give the folder that"
        " `limitbench run` wrote"
    )


def test_only_submissions_are_replaced(folder: Store, packed: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    with pytest.raises(StoreError, match="not overwritten; choose another"):
        pack([folder], notes)
    assert notes.read_text() == "mine"
    link = tmp_path / "link"
    link.symlink_to(packed)
    with pytest.raises(StoreError, match="not a regular file"):
        pack([folder], link)
    with pytest.raises(StoreError, match=r"No such file or directory.; choose another file"):
        pack([folder], tmp_path / "nowhere" / "s")
    for place in (folder.root / "cells" / "s", folder.root / "s"):
        with pytest.raises(StoreError, match=r"lies in the results folder .*; choose another file"):
            pack([folder], place)
    again = tmp_path / "again"
    assert pack([folder], again).sha256 == pack([folder], again).sha256
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again", "link", "notes.txt"]


def test_a_folder_that_holds_anything_is_left_alone(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(StoreError, match="is not empty; unpack"):
        unpack(packed, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]
