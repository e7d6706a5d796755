"""A results folder under suspicion: faults are named by path, and only what is of no use goes."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from made_results import Results

from harness import Registry
from harness.cli.results_ import command
from harness.errors import StoreError
from harness.store import Store
from harness.store.care import verify
from harness.store.check import DEPTH, IDENTITY, UnusableError, read_object
from harness.suites.cells import FORMAT, digest

Spoil = Callable[[Path], Path]
"""Spoils a cell's folder and returns the path that must be named."""


@pytest.fixture
def results(tmp_path: Path) -> Results:
    made = Results(tmp_path / "results")
    made.add("e", {"lazy-ntk": 0.0}, widths=(16,), seeds=(0, 1), task="image-pairs", stages=1)
    return made


def network(results: Results) -> Path:
    return next(r.folder for r in results.store.cells() if r.facts.solver.seed == 0)


def edit(folder: Path, **changes: Any) -> Path:
    path = folder / "cell.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return path


def flip_a_byte(name: str) -> Spoil:
    def spoil(folder: Path) -> Path:
        whole = bytearray((folder / name).read_bytes())
        whole[len(whole) // 2] ^= 1
        (folder / name).write_bytes(whole)
        return folder / name

    return spoil


def truncate(name: str) -> Spoil:
    def spoil(folder: Path) -> Path:
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) // 2])
        return folder / name

    return spoil


def link_out_of_the_folder(folder: Path) -> Path:
    path = folder / "curves.parquet"
    outside = folder.parents[2] / "outside.parquet"
    path.rename(outside)
    path.symlink_to(outside)
    return path


def pipe(folder: Path) -> Path:
    (folder / "cell.json").unlink()
    os.mkfifo(folder / "cell.json")
    return folder / "cell.json"


def another_cell(folder: Path) -> Path:
    """Put a cell under another's name."""
    return edit(folder, data="0" * 64)


def huge(folder: Path) -> Path:
    path = folder / "cell.json"
    with path.open("r+b") as opened:
        opened.truncate(2**40)
    return path


def deep(folder: Path) -> Path:
    path = folder / "cell.json"
    path.write_text('{"a":' * 100_000)
    return path


SPOILT = {
    "flipped bit in curves": flip_a_byte("curves.parquet"),
    "flipped bit in arrays": flip_a_byte("arrays.npz"),
    "truncated curves": truncate("curves.parquet"),
    "truncated arrays": truncate("arrays.npz"),
    "truncated facts": truncate("cell.json"),
    "link out of the folder": link_out_of_the_folder,
    "pipe": pipe,
    "another cell": another_cell,
    "future format": lambda folder: edit(folder, format=FORMAT + 1),
    "older format": lambda folder: edit(folder, format=FORMAT - 1),
    "wrong type": lambda folder: edit(folder, solver=[1]),
    "not a number": lambda folder: edit(folder, seconds=float("nan")),
    "a terabyte": huge,
    "nested": deep,
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_spoilt_cell_is_ignored_reported_and_found_by_verify(
    results: Results, spoil: Spoil, caplog: pytest.LogCaptureFixture
) -> None:
    folder = network(results)
    path = spoil(folder)
    store = Store(results.store.root)
    with caplog.at_level(logging.WARNING):
        assert folder.name not in [r.key for r in store.cells()]
        assert store.read(folder.name) is None
    (report,) = caplog.messages
    assert report.startswith(f"{path}: ") and "\n" not in report
    found = CliRunner().invoke(command, ["verify", str(store.root)], standalone_mode=False)
    assert found.return_value == 1
    (line,) = found.stdout.splitlines()
    assert report == f"{line}; ignored"
    assert found.stderr == "3 cells checked, 1 fault found\n"


def test_verify_finds_nothing_in_a_sound_folder(results: Results) -> None:
    root = results.store.root
    found = CliRunner().invoke(command, ["verify", str(root)], standalone_mode=False)
    assert (found.return_value, found.stdout) == (0, "")


def test_verify_reads_small_files_and_foreign_ones(results: Results) -> None:
    root = results.store.root
    (root / "steps").mkdir()
    paths = [root / "experiments" / "a.json", root / "steps" / "b.json", root / "cells" / "notes"]
    for path in paths:
        path.write_text("mine")
    found = CliRunner().invoke(command, ["verify", str(root)], standalone_mode=False)
    assert {line.partition(": ")[0] for line in found.stdout.splitlines()} == set(map(str, paths))


def test_checksums_do_not_vouch_for_the_wrong_columns(results: Results) -> None:
    """A stranger can write a checksum too."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from harness.store.check import checksum

    folder = network(results)
    path = folder / "curves.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    sums = {name: checksum(folder / name) for name in ("curves.parquet", "arrays.npz")}
    edit(folder, sha256=sums)
    record = results.store.read(folder.name)
    assert record is not None
    with pytest.raises(StoreError, match=r"curves\.parquet: not the columns of curves"):
        record.curves()


class Payload:
    """Unpickling this would be seen."""

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return os.putenv, ("LIMITBENCH_UNPICKLED", "yes")


def test_nothing_is_unpickled(results: Results) -> None:
    from harness.store.check import checksum

    folder = network(results)
    np.savez(folder / "arrays.npz", a=np.array([Payload()], dtype=object))
    sums = {name: checksum(folder / name) for name in ("curves.parquet", "arrays.npz")}
    edit(folder, sha256=sums)
    record = results.store.read(folder.name)
    assert record is not None
    with pytest.raises(StoreError, match=r"arrays\.npz: not arrays \(an array of object"):
        record.arrays()


def test_cells_of_before_there_were_checksums_are_read(results: Results) -> None:
    folder = network(results)
    facts = json.loads((folder / "cell.json").read_text())
    del facts["sha256"]
    (folder / "cell.json").write_text(json.dumps(facts))
    record = results.store.read(folder.name)
    assert record is not None and record.curves().num_rows > 0


# ---------------------------------------------------------------- prune


def prune(root: Path, *options: str) -> list[str]:
    done = CliRunner().invoke(command, ["prune", str(root), *options], standalone_mode=False)
    assert done.exception is None, done.exception
    return done.stdout.splitlines()


def version(folder: Path, **versions: str) -> Path:
    """Write a cell as if components of these versions had computed it."""
    facts = json.loads((folder / "cell.json").read_text())
    for kind, wanted in versions.items():
        facts[kind]["version"] = wanted
    facts["key"] = digest({name: facts[name] for name in IDENTITY})
    (folder / "cell.json").write_text(json.dumps(facts))
    return folder.rename(folder.parent / facts["key"])


def test_prune_removes_what_failed_is_broken_or_of_other_versions(tmp_path: Path) -> None:
    root = tmp_path / "results"
    made = Results(root)
    made.add("e", {"foreign": "boom"}, widths=(16,), seeds=(0, 1), stages=1)
    registry = Registry.load()
    now = {
        "architecture": registry.get("architecture", "mlp").version,
        "regime": registry.get("regime", "fine-tune").version,
    }
    failed = next(r.folder for r in made.store.cells() if r.status == "failed")
    old, kept = (
        version(r.folder, **now | {"architecture": v})
        for r, v in zip(
            [r for r in made.store.cells() if r.status == "done"],
            ["0", now["architecture"]],
            strict=True,
        )
    )
    broken = root / "cells" / digest({"a": 1})
    broken.mkdir()

    listed = prune(root, "--dry-run")
    assert len(made.store.folders()) == 4, "a dry run removes nothing"
    assert prune(root) == listed
    assert sorted(listed) == sorted(
        [
            f"{failed}: failed: boom",
            f"{broken}: cell.json: No such file or directory",
            f"{old}: architecture mlp is version {now['architecture']} now; this is of 0",
        ]
    )
    assert list((root / "cells").iterdir()) == [kept], "its task is not installed: it may be good"
    assert prune(root) == []


def test_prune_keeps_what_a_newer_version_wrote_and_what_is_not_a_cell(results: Results) -> None:
    root = results.store.root
    folder = network(results)
    edit(folder, format=FORMAT + 1)
    (root / "cells" / "notes").write_text("mine")
    prune(root)
    assert folder.exists()
    assert (root / "cells" / "notes").read_text() == "mine"


def test_an_older_format_is_refused_by_name_and_pruned(results: Results) -> None:
    folder = network(results)
    edit(folder, format=FORMAT - 1)
    lines = " ".join(" ".join(prune(results.store.root)).split())
    words = f"format {FORMAT - 1} is of an older limitbench (this one reads format {FORMAT})"
    assert words in lines
    assert not folder.exists()


HOLD = """
import sys
from harness.store import Store
from harness.store.reservations import Reservations

with Reservations(Store(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_prune_leaves_a_folder_alone_in_which_a_run_is_going_on(results: Results) -> None:
    root = results.store.root
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
    try:
        with pytest.raises(StoreError, match="a run is going on here"):
            command.main(["prune", str(root)], standalone_mode=False)
    finally:
        holder.communicate()
    assert prune(root), "the made-up theory is of an older version"


def test_sources_of_one_version_are_compared_in_the_pass_that_reads_the_cells(
    results: Results,
) -> None:
    assert list(verify(results.store)) == []
    edit(network(results), sources={"architecture": "f" * 64, "theory": "1", "unheard-of": "2"})
    (fault,) = verify(results.store)
    assert fault.startswith(f"{results.store.root}: architecture 'mlp', version 1, had several")
    assert f"1 cells, such as {network(results).name}, of ffffffff" in fault


@pytest.mark.parametrize(("depth", "taken"), [(DEPTH, True), (DEPTH + 1, False)])
def test_a_file_may_be_nested_so_deeply(tmp_path: Path, depth: int, taken: bool) -> None:
    path = tmp_path / "cell.json"
    path.write_text('{"a": ' + "[" * (depth - 1) + "]" * (depth - 1) + "}")
    if taken:
        assert read_object(path)
    else:
        with pytest.raises(UnusableError, match=f"at most {DEPTH} objects or lists"):
            read_object(path)


def test_a_folder_that_cannot_be_pruned_is_told_without_options_of_other_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Results(tmp_path / "results")
    made.add("one", {"good": "broke"}, widths=(16,), seeds=(0,))
    whole = os.open

    def read_only(path: Any, flags: int, *given: Any, **options: Any) -> int:
        if flags & os.O_RDWR:
            raise OSError(30, "Read-only file system")
        return whole(path, flags, *given, **options)

    monkeypatch.setattr("os.open", read_only)
    done = CliRunner().invoke(command, ["prune", str(made.store.root)], standalone_mode=False)
    assert isinstance(done.exception, StoreError)
    assert "make it writable" in str(done.exception) and "--results" not in str(done.exception)
