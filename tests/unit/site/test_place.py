"""A site is written to a folder of its own, and no other file is touched."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from made_results import Results

from harness.cli.site_ import command
from harness.errors import LimitbenchError, StoreError
from harness.site import names, write_site
from harness.site.names import experiment_page
from harness.site.place import MARK, write_files
from harness.store.check import slug
from harness.store.files import write_file

PAGES = {"index.html": b"new", "theory/a.html": b"a"}


def refused(*arguments: str | Path) -> str:
    done = CliRunner().invoke(command, list(map(str, arguments)), standalone_mode=False)
    assert isinstance(done.exception, LimitbenchError), done.exception
    assert done.exception.exit_code == 2
    (line,) = str(done.exception).splitlines()
    return line


def test_an_earlier_site_is_replaced_and_foreign_files_stay(tmp_path: Path) -> None:
    write_files(tmp_path, PAGES | {"data/old.csv": b"1"})
    (tmp_path / "CNAME").write_text("example.org")
    (tmp_path / "data/mine.csv").write_text("2")
    write_files(tmp_path, PAGES | {"index.html": b"newer"})
    kept = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert kept == {*PAGES, MARK, "CNAME", "data/mine.csv"}
    assert (tmp_path / "index.html").read_text() == "newer"


def test_a_mark_removes_nothing_outside_and_no_other_kind(tmp_path: Path) -> None:
    site, outside = tmp_path / "site", tmp_path / "outside.csv"
    write_files(site, PAGES)
    outside.write_text("kept")
    (site / "notes.txt").write_text("kept")
    (site / "data").rmdir()
    (site / "deep").mkdir()
    (site / "deep/x.html").write_text("kept")
    mark = json.loads((site / MARK).read_text())
    mark["files"] += ["../outside.csv", "notes.txt", str(outside), "deep/x.html", ".", 3]
    (site / MARK).write_text(json.dumps(mark))
    write_files(site, PAGES)
    assert outside.exists() and (site / "notes.txt").exists() and (site / "deep/x.html").exists()


def test_a_file_that_is_not_of_the_site_is_not_overwritten(tmp_path: Path) -> None:
    write_files(tmp_path, PAGES)
    (tmp_path / "theory/b.html").write_text("mine")
    with pytest.raises(LimitbenchError, match=r"b\.html: is no file of the site"):
        write_files(tmp_path, PAGES | {"theory/b.html": b"b"})
    assert (tmp_path / "theory/b.html").read_text() == "mine"


@pytest.mark.parametrize("fails", range(7))
def test_a_site_that_is_cut_short_anywhere_can_be_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: int
) -> None:
    calls, whole, make = itertools.count(), write_file, Path.mkdir

    def full() -> None:
        if next(calls) == fails:
            raise StoreError("no space left on device")

    def write(*given: Any) -> None:
        full()
        whole(*given)

    def mkdir(path: Path, *given: Any, **options: Any) -> None:
        full()
        make(path, *given, **options)

    with monkeypatch.context() as patch, pytest.raises(StoreError):
        patch.setattr("harness.site.place.write_file", write)
        patch.setattr(Path, "mkdir", mkdir)
        write_files(tmp_path / "site", PAGES)
    write_files(tmp_path / "site", PAGES)
    assert (tmp_path / "site/theory/a.html").read_bytes() == b"a"


def test_links_are_not_followed(tmp_path: Path) -> None:
    site, other = tmp_path / "site", tmp_path / "other"
    for folder in (site, other):
        folder.mkdir()
    write_files(site, PAGES | {"data/x.csv": b"1"})
    (other / "x.csv").write_text("kept")
    (site / "data/x.csv").unlink()
    (site / "data").rmdir()
    (site / "data").symlink_to(other)
    with pytest.raises(LimitbenchError, match="is a link"):
        write_files(site, PAGES)
    assert (other / "x.csv").read_text() == "kept"


def test_other_folders_and_inputs_are_refused_in_one_line(tmp_path: Path) -> None:
    results = Results(tmp_path / "results")
    results.add("one", {"good": 0.0}, widths=(16, 64), seeds=(0, 1))
    root = results.store.root
    assert "it holds 'cells', and no limitbench-site.json" in refused(root, "-o", root)
    for place in ("cells/site", "site", "experiments"):
        assert "it lies in the results folder" in refused(root, "-o", root / place)
    site = tmp_path / "site"
    assert "no-such" in refused(tmp_path / "no-such", "-o", site)
    (tmp_path / "text").write_text("no submission")
    assert "not a submission" in refused(tmp_path / "text", "-o", site)
    assert "cannot be written" in refused(root, "-o", tmp_path / "text")
    assert "not the address" in refused(root, "-o", site, "--docs", "javascript:alert(1)")
    assert not site.exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / MARK).write_text('{"limitbench": "results folder", "format": 1, "files": []}')
    assert "does not mark a site" in refused(root, "-o", other)
    (other / MARK).write_text('{"limitbench": "site", "format": 99, "files": []}')
    assert "of a newer limitbench" in refused(root, "-o", other)


def test_pages_of_experiments_that_are_gone_are_removed(tmp_path: Path) -> None:
    made = {}
    for name in ("one", "two"):
        made[name] = Results(tmp_path / name)
        made[name].add(name, {"good": 0.0}, widths=(16, 64), seeds=(0, 1))
    both = [each.store.root for each in made.values()]
    site = write_site(both, tmp_path / "site").parent
    assert (site / experiment_page("two")).exists()
    write_site(both[:1], site)
    assert not (site / experiment_page("two")).exists()
    assert (site / experiment_page("one")).exists()


@pytest.mark.parametrize("letter", ["x", "é", "漢", "\U00020000"])
def test_every_name_gives_names_of_files_that_are_not_too_long(letter: str, tmp_path: Path) -> None:
    name, other = letter * 200, letter * 199
    for path_of in (names.theory_page, names.experiment_page):
        assert path_of(name) != path_of(other)
        (tmp_path / Path(path_of(name)).name).write_text("")
    for form in ("svg", "json"):
        for file_of in (names.convergence_file, names.rows_file):
            assert file_of(name, form) != file_of(other, form)
            (tmp_path / Path(file_of(name, form)).name).write_text("")
    assert names.convergence_file("é" * 60, "svg") == f"figures/convergence-{slug('é' * 60)}.svg"
