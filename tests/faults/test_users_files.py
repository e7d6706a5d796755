"""Ways to lose a user's file: none of them does."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from faulty_runs import THEORIES
from made_results import Results

from harness.cli.verbs import cli
from harness.errors import LimitbenchError, StoreError
from harness.report import write_report
from harness.scoring import Scores, keep_scores, score_folders
from harness.store import Store
from harness.store.files import aside_in, write_text
from harness.store.mark import FOLDERS, MARK
from harness.store.reservations import Reservations, leftovers

HIDDEN = (".git", ".venv", ".dvc", ".ipynb_checkpoints")
"""Folders that tools keep beside a user's files."""


def kept_scores(store: Store) -> Scores:
    scores = score_folders([store])
    keep_scores(store, scores)
    return scores


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "suite").mkdir()
    path = tmp_path / "suite" / "suite.toml"
    path.write_text(THEORIES)
    return path


@pytest.fixture
def results(tmp_path: Path) -> Results:
    made = Results(tmp_path / "results")
    made.add("e", {"lazy-ntk": 0.0, "other": "it failed"}, widths=(16, 64), seeds=(0, 1), stages=1)
    return made


def limitbench(*arguments: object) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)), standalone_mode=False)


def refused(*arguments: object) -> str:
    """Return the one line with which a command ends, with status 2."""
    error = limitbench(*arguments).exception
    assert isinstance(error, LimitbenchError) and error.exit_code == 2, error
    assert str(error).isprintable()
    return str(error)


def users_things(folder: Path) -> None:
    """Put into a folder what a user may have there."""
    for name in HIDDEN:
        (folder / name).mkdir(parents=True)
        (folder / name / "config").write_text("mine")
    for name in (".notes.tmp", ".env", "notes.txt", ".limitbench-notes.tmp"):
        (folder / name).write_text("mine")
    (folder / f".{'0' * 24}.abc").mkdir()
    (folder / "link").symlink_to(folder / "notes.txt")


def everything(folder: Path) -> dict[str, str]:
    """Return what every path of a folder is: a link and to where, a folder, or its content."""

    def found() -> Iterator[tuple[str, str]]:
        for path in sorted(folder.rglob("*")):
            if path.is_symlink():
                what = f"link to {os.readlink(path)}"
            else:
                what = "folder" if path.is_dir() else path.read_bytes().hex()
            yield str(path.relative_to(folder)), what

    return dict(found())


# ---------------------------------------------------------------- folders that are not of results


def test_1_a_run_in_a_project_folder_is_refused_before_anything_is_written(
    suite: Path, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    for name in (*FOLDERS, "."):
        (project / name).mkdir(parents=True, exist_ok=True)
        users_things(project / name)
    before = everything(tmp_path)
    for options in ([], ["--dry-run"], ["--fresh"]):
        line = refused("run", suite, "--results", project, *options)
        assert line.startswith(f"{project}: cannot be written (") and "--results" in line
    with pytest.raises(StoreError, match="cannot be written"):
        Reservations(Store(project))
    assert everything(tmp_path) == before


@pytest.mark.parametrize("name", ["notes.txt", ".git", "data"])
def test_2_one_thing_of_the_user_makes_a_folder_the_users(
    suite: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "mine" / name).mkdir(parents=True)
    line = refused("run", suite, "--results", tmp_path / "mine")
    assert line == (
        f"{tmp_path / 'mine'}: cannot be written (it holds {name!r}, and no {MARK} that marks a"
        " results folder); choose another folder with --results, new or empty"
    )


def test_3_results_of_an_older_version_are_left_alone(suite: Path, results: Results) -> None:
    root = results.store.root
    (root / MARK).unlink()
    before = everything(root)
    assert "one of an older limitbench" in refused("run", suite, "--results", root)
    for verb in ("leaderboard", "report", "export"):
        assert refused(verb, root).startswith(f"{root}: no results here (it has no {MARK}")
    assert refused("compare", root, root).startswith(f"{root}: no results here")
    assert everything(root) == before


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_4_prune_of_a_folder_that_never_held_results_touches_nothing(
    tmp_path: Path, options: list[str]
) -> None:
    for name in (".", *FOLDERS):
        users_things(tmp_path / "mine" / name)
    (tmp_path / "empty").mkdir()
    before = everything(tmp_path)
    for folder in ("mine", "empty", "absent"):
        line = refused("results", "prune", tmp_path / folder, *options)
        assert line.startswith(f"{tmp_path / folder}: no results here (")
    assert everything(tmp_path) == before


MARKS = {
    "another program's": '{"limitbench": true}',
    "no JSON": "mine",
    "a newer one": '{"limitbench": "results folder", "format": 99}',
}


@pytest.mark.parametrize("text", MARKS.values(), ids=MARKS)
def test_5_a_mark_that_is_none_marks_nothing(suite: Path, tmp_path: Path, text: str) -> None:
    root = tmp_path / "mine"
    for name in FOLDERS:
        users_things(root / name)
    (root / MARK).write_text(text)
    before = everything(tmp_path)
    for command in (["run", suite, "--results", root], ["results", "prune", root]):
        assert refused(*command).startswith(f"{root / MARK}: ")
    (root / MARK).rename(tmp_path / "mark")
    (root / MARK).symlink_to(tmp_path / "mark")
    assert f"{MARK}: not a regular file" in refused("results", "prune", root)
    (root / MARK).unlink()
    (tmp_path / "mark").rename(root / MARK)
    assert everything(tmp_path) == before


# ---------------------------------------------------------------- a user's files among results


def test_6_what_lies_beside_cells_stays_whatever_is_swept_and_pruned(results: Results) -> None:
    root = results.store.root
    before = everything(root)
    for name in (".", *FOLDERS):
        (root / name).mkdir(exist_ok=True)
        users_things(root / name)
    mine = {path: what for path, what in everything(root).items() if path not in before}
    with Reservations(Store(root)):
        pass
    assert limitbench("results", "prune", root).exception is None
    after = everything(root)
    assert {path: after.get(path) for path in mine} == mine
    assert len(list((root / "cells").glob("[0-9a-f]*"))) < 6, "the failed cell has gone"


def test_7_only_names_of_our_own_are_swept_and_only_what_is_in_them(results: Results) -> None:
    root = results.store.root
    (root / "steps").mkdir()
    cells = root / "cells"
    ours = [aside_in(root / name) for name in FOLDERS] + [aside_in(cells)]
    for path in ours[:3]:
        path.write_text("half")
    (ours[3] / "cell").mkdir(parents=True)
    for name in ("cell.json", "cell/cell.json", "cell/arrays.npz"):
        (ours[3] / name).write_text("half")
    kept = [aside_in(cells), aside_in(cells), aside_in(cells)]
    kept[0].symlink_to(root / "experiments")
    kept[1].mkdir()
    (kept[1] / "notes.txt").write_text("mine")
    (kept[2] / "cell").mkdir(parents=True)
    (kept[2] / "cell" / "cell.json").symlink_to(cells)
    assert set(leftovers(Store(root))) == set(ours)
    listed = limitbench("results", "prune", root, "--dry-run").stdout
    before = everything(root)
    assert limitbench("results", "prune", root, "--dry-run").stdout == listed
    assert everything(root) == before, "a dry run does nothing else"
    assert limitbench("results", "prune", root).stdout == listed
    assert {line.partition(": ")[0] for line in listed.splitlines()} >= set(map(str, ours))
    assert not any(os.path.lexists(path) for path in ours)
    assert all(os.path.lexists(path) for path in kept)
    assert (kept[1] / "notes.txt").read_text() == "mine"


def test_8_what_a_user_put_into_a_cells_folder_outlives_the_cell(
    results: Results, caplog: pytest.LogCaptureFixture
) -> None:
    root = results.store.root
    failed = next(r for r in results.store.cells() if r.status == "failed")
    (failed.folder / ".ipynb_checkpoints").mkdir()
    (failed.folder / "notes.txt").write_text("mine")
    with caplog.at_level(logging.WARNING):
        pruned = limitbench("results", "prune", root).stdout
    assert str(failed.folder) not in pruned
    assert f"{failed.folder}: stays, as .ipynb_checkpoints in it is not limitbench's" in caplog.text
    results.store.adopt(failed.key, {"cell.json": b"{}"})
    assert (failed.folder / "cell.json").read_text() == "{}"
    assert (failed.folder / "notes.txt").read_text() == "mine"
    assert (failed.folder / ".ipynb_checkpoints").is_dir()
    assert leftovers(Store(root)) == []


# ---------------------------------------------------------------- links out of a results folder


@pytest.mark.parametrize("name", FOLDERS)
def test_9_no_folder_below_is_followed_out(
    suite: Path, results: Results, tmp_path: Path, name: str
) -> None:
    root, outside = results.store.root, tmp_path / "outside"
    if (root / name).exists():
        (root / name).rename(tmp_path / "outside")
    users_things(outside)
    aside_in(outside).write_text("as if half-written")
    (root / name).symlink_to(outside)
    before = everything(tmp_path)
    line = refused("run", suite, "--results", root)
    assert line.startswith(f"{root / name}: is a link, and none in a results folder is followed")
    assert refused("results", "prune", root) == line
    assert refused("results", "prune", root, "--dry-run") == line
    if name != "steps":
        assert refused("leaderboard", root) == refused("report", root) == line
    with pytest.raises(StoreError, match="is a link"):
        results.store.write_json(f"{name}/a.json", {})
    assert everything(tmp_path) == before


def test_10_a_results_folder_may_itself_be_a_link(results: Results, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(results.store.root)
    assert limitbench("results", "prune", tmp_path / "link").exception is None
    assert limitbench("leaderboard", tmp_path / "link").exception is None
    assert (results.store.root / ".lock").is_file()


@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to nothing"])
def test_11_no_derived_file_is_written_through_a_link(
    results: Results, tmp_path: Path, caplog: pytest.LogCaptureFixture, there: bool
) -> None:
    root, mine = results.store.root, tmp_path / "mine"
    if there:
        mine.write_text("mine")
    manifest = next((root / "experiments").iterdir())
    manifest.unlink()
    links = (
        "scores.parquet",
        ".lock",
        "report.html",
        "outside.html",
        f"experiments/{manifest.name}",
    )
    for name in links:
        (root / name).symlink_to(mine)
    before = everything(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert kept_scores(results.store).rows, "shown all the same"
    assert f"{root / 'scores.parquet'}: cannot be written (a link, which is not foll" in caplog.text
    assert "(a link, which is not followed)" in refused("report", root)
    assert "(a link, which is not followed)" in refused("report", root, "-o", root / "outside.html")
    assert "(a link, which is not followed)" in refused("results", "prune", root)
    with pytest.raises(StoreError, match="a link, which is not followed"):
        results.store.write_json(f"experiments/{manifest.name}", {})
    assert everything(tmp_path) == before


def test_12_no_cell_is_written_or_pruned_through_a_link(results: Results, tmp_path: Path) -> None:
    root, outside = results.store.root, tmp_path / "outside"
    linked, within, taken = [r.folder for r in results.store.cells()][:3]
    linked.rename(outside)
    linked.symlink_to(outside)
    (within / "cell.json").rename(tmp_path / "facts.json")
    (within / "cell.json").symlink_to(tmp_path / "facts.json")
    for path in taken.iterdir():
        path.unlink()
    taken.rmdir()
    taken.write_text("mine")
    kept = {p: w for p, w in everything(tmp_path).items() if "cells" not in Path(p).parts}
    for folder in (linked, within, taken):
        assert Store(root).read(folder.name) is None
        with pytest.raises(StoreError, match=r"cannot be written \(.*move that away"):
            results.store.adopt(folder.name, {"cell.json": b"{}"})
    assert limitbench("results", "prune", root).exception is None
    assert all(os.path.lexists(p) for p in (linked, within / "cell.json", within / "arrays.npz"))
    assert taken.read_text() == "mine"
    after = everything(tmp_path)
    assert {path: after.get(path) for path in kept} == kept


def test_13_a_new_plugin_takes_nobodys_place(tmp_path: Path) -> None:
    (tmp_path / "two_moons.py").symlink_to(tmp_path / "elsewhere.py")
    line = refused("plugins", "new", "task", "two-moons", "--folder", tmp_path)
    assert line == (f"{tmp_path / 'two_moons.py'} exists; choose another name, or remove it first")
    assert not (tmp_path / "elsewhere.py").exists()


# ---------------------------------------------------------------- full disks, read-only folders


@pytest.fixture(params=["open", "write", "replace"])
def failing_disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file system that refuses a file aside, its content, or its final name."""
    if request.param == "write":
        real = os.fdopen

        def fdopen(handle: int, mode: str = "r") -> object:
            if "w" not in mode:
                return real(handle, mode)
            os.close(handle)
            return real(os.open("/dev/full", os.O_WRONLY), mode)

        monkeypatch.setattr("harness.store.files.os.fdopen", fdopen)
        return "No space left on device"

    def fail(path: object, *rest: object) -> int:
        if request.param == "open" and ".limitbench-" not in str(path):
            return real_open(path, *rest)  # type: ignore[arg-type]
        raise OSError(30 if request.param == "open" else 1, "refused")

    real_open = os.open
    monkeypatch.setattr(f"harness.store.files.os.{request.param}", fail)
    return "Read-only file system" if request.param == "open" else "Operation not permitted"


def test_what_cannot_be_written_leaves_what_was_there_and_nothing_hidden(
    tmp_path: Path, failing_disk: str
) -> None:
    path = tmp_path / "scores"
    path.write_text("before")
    with pytest.raises(StoreError) as raised:
        write_text(path, "after", "choose another")
    assert str(raised.value) == f"{path}: cannot be written ({failing_disk}); choose another"
    assert everything(tmp_path) == {"scores": b"before".hex()}


def test_the_leaderboard_is_shown_though_its_scores_cannot_be_kept(
    results: Results, failing_disk: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = everything(results.store.root)
    with caplog.at_level(logging.WARNING):
        rows = kept_scores(results.store).rows
    assert [row.theory for row in rows if row.observable == "output/test"] == ["lazy-ntk"]
    assert caplog.messages == [
        f"{results.store.root / 'scores.parquet'}: cannot be written ({failing_disk}); the"
        " leaderboard is shown all the same"
    ]
    assert everything(results.store.root) == before


def test_a_report_that_cannot_be_written_is_one_line(results: Results, failing_disk: str) -> None:
    before = everything(results.store.root)
    with pytest.raises(StoreError) as raised:
        write_report(results.store, figures=0)
    assert str(raised.value) == (
        f"{results.store.root / 'report.html'}: cannot be written ({failing_disk}); write it"
        " elsewhere with `limitbench report DIR -o FILE`"
    )
    assert everything(results.store.root) == before


def test_scores_of_results_that_are_gone_do_not_stay(results: Results) -> None:
    kept_scores(results.store)
    path = results.store.root / "scores.parquet"
    assert path.is_file()
    for folder in results.store.folders():
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    assert kept_scores(results.store).rows == []
    assert not path.exists()


# ---------------------------------------------------------------- folders that may be used


@pytest.mark.parametrize("made", [[], ["."], ["cells", "steps"]], ids=["new", "empty", "hollow"])
def test_a_new_or_empty_folder_is_marked_and_used(tmp_path: Path, made: list[str]) -> None:
    root = tmp_path / "a" / "results"
    for name in made:
        (root / name).mkdir(parents=True)
    for _ in range(2):
        Store(root).prepare()
        assert json.loads((root / MARK).read_text()) == {
            "limitbench": "results folder",
            "format": 1,
        }
        assert (root / "cells").is_dir()


def test_a_mark_that_was_half_made_is_made_again(tmp_path: Path) -> None:
    aside_in(tmp_path).write_text("{")
    Store(tmp_path).prepare()
    assert (tmp_path / MARK).is_file()


def test_a_worker_marks_no_folder(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no results folder any more"):
        Store(tmp_path, make=False).adopt("0" * 24, {})
    assert list(tmp_path.iterdir()) == []
