"""Results of strangers: whatever a folder holds is read, or named and ignored; nothing else."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import struct
import tempfile
import tracemalloc
import warnings
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from made_results import FUZZ, HOSTILE, Results
from nested import places

from harness import load
from harness.cli.export_ import command as export_command
from harness.cli.leaderboard_ import command as leaderboard_command
from harness.cli.results_ import command as results_command
from harness.errors import StoreError
from harness.records.cell import SolverFacts
from harness.report.page import render
from harness.scoring import score_folders
from harness.store import Store, experiments
from harness.store.check import IDENTITY, TABLES, checksum, slug
from harness.store.tables import CURVES
from harness.suites.cells import digest


def quick(examples: int) -> settings:
    return settings(
        max_examples=FUZZ * examples,
        derandomize=FUZZ == 1,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Results(tmp_path_factory.mktemp("made") / "results")
    made.add("e", {"lazy-ntk": 0.0, "mean-field": "failed <b>"}, widths=(16, 64), seeds=(0, 1))
    return made.store.root


class Folder:
    """A copy of a results folder, of which one cell is changed."""

    def __init__(self, template: Path, root: Path, theory: bool) -> None:
        self.root = root / "results"
        shutil.copytree(template, self.root)
        (self.cell,) = [
            r.folder
            for r in Store(self.root).cells()
            if (r.facts.solver.name == "lazy-ntk" if theory else _first(r.facts.solver))
        ]
        self.facts: Any = json.loads((self.cell / "cell.json").read_text())

    def sign(self) -> None:
        """Write facts, checksums, key and manifest such that they fit: a stranger can do so."""
        key = self.cell.name
        if isinstance(self.facts, dict):
            if self.facts.get("status") == "done":
                self.facts["sha256"] = {name: checksum(self.cell / name) for name in TABLES}
            with contextlib.suppress(KeyError, ValueError):  # a part is missing, or NaN
                key = self.facts["key"] = digest({name: self.facts[name] for name in IDENTITY})
        (self.cell / "cell.json").write_text(json.dumps(self.facts))
        for path in (self.root / "experiments").glob("*.json"):
            path.write_text(path.read_text().replace(self.cell.name, key))
        self.cell = self.cell.rename(self.cell.parent / key)


def _first(solver: SolverFacts) -> bool:
    return (solver.width, solver.seed) == (64, 0)


def stands(root: Path, figures: int = 0) -> str:
    """Check that every reader ends well; return the page."""

    def call(command: Any, *arguments: str) -> str:
        done = CliRunner().invoke(command, list(arguments), standalone_mode=False)
        if done.exception is not None:
            raise done.exception
        assert all(line.isprintable() for line in done.output.splitlines())
        return done.stdout

    call(results_command, "verify", str(root))
    call(leaderboard_command, str(root), "--observable", "all")
    json.loads(call(export_command, str(root)))
    found = load(root)
    assert set(found.scores.get("verdict", ())) <= {"agrees", "disagrees", "undecided"}
    assert found.cells.index.is_unique
    assert np.isfinite(found.curves["value"].astype(float)).all()
    for key, arrays in found.arrays.items():
        try:
            dict(arrays)
        except StoreError as error:
            assert key in str(error)
    page = render(Store(root), figures=figures)
    Safe(page)
    return page


class Safe(HTMLParser):
    """Checks that a page holds no markup but its own."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.scripts = 0
        self.feed(page)
        assert self.scripts == 1

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        assert tag not in {"iframe", "object", "embed", "link", "base", "b", "i"}
        assert not any(name.startswith("on") for name, _ in attrs)
        for name, value in attrs:
            if name in ("href", "src", "xlink:href"):
                assert (value or "").startswith(("#", "data:image/png;base64,"))


TEXTS = st.sampled_from([HOSTILE, "", "\x1b[2J", "a\nb", "</script><b>", "../../x", "x" * 300]) | (
    st.text(max_size=8)  # halves of a character too: JSON can say them
)
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([2**31, 2**63, 10**400, 1e300, 5e-324])
    | TEXTS
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


def mutate(value: Any, data: st.DataObject) -> None:
    """Replace, remove or add something in nested objects and lists."""
    *parents, last = data.draw(st.sampled_from(places(value)))
    for part in parents:
        value = value[part]
    action = data.draw(st.sampled_from(["replace", "remove", "add"]))
    if action == "remove":
        del value[last]
    elif action == "add" and isinstance(value, dict):
        value[data.draw(TEXTS)] = data.draw(VALUES)
    else:
        value[last] = data.draw(VALUES)


# ---------------------------------------------------------------- any content


@quick(10)
@given(data=st.data(), theory=st.booleans())
def test_facts_may_say_anything(template: Path, data: st.DataObject, theory: bool) -> None:
    with tempfile.TemporaryDirectory() as at:
        folder = Folder(template, Path(at), theory)
        for _ in range(data.draw(st.integers(1, 3))):
            if folder.facts:
                mutate(folder.facts, data)
        folder.sign()
        stands(folder.root)


@quick(5)
@given(data=st.data())
def test_manifests_may_say_anything(template: Path, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as at:
        root = Folder(template, Path(at), False).root
        (path,) = (root / "experiments").glob("*.json")
        facts = json.loads(path.read_text())
        mutate(facts, data)
        path.write_text(json.dumps(facts))
        if isinstance(name := facts.get("experiment"), str) and _is_text(name):
            path.rename(path.with_name(f"{slug(name)}.json"))
        stands(root)


@quick(12)
@given(
    data=st.data(),
    name=st.sampled_from(["cell.json", *TABLES]),
    theory=st.booleans(),
    signed=st.booleans(),
)
def test_files_may_be_cut_or_overwritten(
    template: Path, data: st.DataObject, name: str, theory: bool, signed: bool
) -> None:
    with tempfile.TemporaryDirectory() as at:
        folder = Folder(template, Path(at), theory)
        whole = (folder.cell / name).read_bytes()
        start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(whole))] * 2)))
        if data.draw(st.booleans()):
            end = min(end, start + 8)
        put = data.draw(st.binary(max_size=16))
        (folder.cell / name).write_bytes(whole[:start] + put + whole[end:])
        if signed and name != "cell.json":
            folder.sign()
        stands(folder.root)


@quick(8)
@given(data=st.data(), theory=st.booleans())
def test_curves_may_hold_any_rows(template: Path, data: st.DataObject, theory: bool) -> None:
    with tempfile.TemporaryDirectory() as at:
        folder = Folder(template, Path(at), theory)
        rows = pq.read_table(folder.cell / "curves.parquet").to_pylist()
        for _ in range(data.draw(st.integers(1, 4))):
            where = data.draw(st.integers(0, len(rows) - 1))
            action = data.draw(st.sampled_from(["cut", "repeat", "change", "change all"]))
            if action == "cut":
                del rows[where + 1 :]
            elif action == "repeat":
                rows.append(dict(rows[where]))
            else:
                column, value = data.draw(CELLS)
                of = rows[where]["observable"]
                for row in rows if action == "change all" else [rows[where]]:
                    if row["observable"] == of:
                        row[column] = value
        pq.write_table(pa.Table.from_pylist(rows, CURVES), folder.cell / "curves.parquet")
        folder.sign()
        stands(folder.root)


NUMBERS = st.floats() | st.sampled_from([0.0, 1e300, -1e-300, 1e154, 5e-324]) | st.none()
CELLS = st.one_of(
    st.tuples(st.sampled_from(["value", "stderr", "time"]), NUMBERS),
    st.tuples(st.sampled_from(["stage", "index"]), st.integers(-(2**31), 2**31 - 1) | st.none()),
    st.tuples(st.just("step"), st.integers(-(2**63), 2**63 - 1) | st.none()),
    st.tuples(st.just("observable"), st.text(st.characters(codec="utf-8"), max_size=5)),
)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
ARRAYS = st.one_of(
    hnp.arrays(st.sampled_from(["f8", "f4", ">f8", "i2", "?", "u8"]), SHAPES),
    hnp.arrays(st.sampled_from(["c16", "U3", "S2", "M8[s]"]), SHAPES),
)
PARTS = st.sampled_from(
    ["kernel/feature", "preactivation/density", "output/test/replicates", "loss/test/replicates"]
)


@quick(8)
@given(data=st.data(), theory=st.booleans())
def test_arrays_may_have_any_shape(template: Path, data: st.DataObject, theory: bool) -> None:
    with tempfile.TemporaryDirectory() as at:
        folder = Folder(template, Path(at), theory)
        with np.load(folder.cell / "arrays.npz") as found:
            arrays = dict(found)
        name = f"stage{data.draw(st.integers(0, 1))}/{data.draw(PARTS)}"
        arrays[name] = data.draw(ARRAYS)
        np.savez(folder.cell / "arrays.npz", **arrays)
        folder.sign()
        stands(folder.root)


@quick(2)
@given(data=st.data(), theory=st.booleans())
def test_figures_of_any_arrays_are_drawn_or_left_out(
    template: Path, data: st.DataObject, theory: bool
) -> None:
    with tempfile.TemporaryDirectory() as at:
        folder = Folder(template, Path(at), theory)
        with np.load(folder.cell / "arrays.npz") as found:
            arrays = dict(found)
        arrays[f"stage1/{data.draw(PARTS)}"] = data.draw(ARRAYS)
        np.savez(folder.cell / "arrays.npz", **arrays)
        rows = pq.read_table(folder.cell / "curves.parquet").to_pylist()
        column, value = data.draw(CELLS)
        rows[-1][column] = value
        pq.write_table(pa.Table.from_pylist(rows, CURVES), folder.cell / "curves.parquet")
        folder.sign()
        stands(folder.root, figures=1)


# ---------------------------------------------------------------- each fault by itself


def npy(shape: str, data: bytes = b"", descr: str = "'<f8'") -> bytes:
    """Return an array file that declares any shape."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def archive(*members: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", compression) as opened:
        warnings.filterwarnings("ignore", "Duplicate name")
        for name, content in members:
            opened.writestr(name, content)
    return buffer.getvalue()


def lying(content: bytes, declared: int) -> bytes:
    """Return an archive of one member whose size is said to be another, in both of its headers."""
    size = struct.pack("<I", zipfile.ZipFile(io.BytesIO(content)).infolist()[0].file_size)
    central = content.rindex(b"PK\x01\x02")
    spoilt = bytearray(content)
    for at in (22, central + 24):
        assert content[at : at + 4] == size
        spoilt[at : at + 4] = struct.pack("<I", declared)
    return bytes(spoilt)


BOMB = b"\0" * 2**20
ODD_ARRAYS: dict[str, tuple[bytes, str]] = {
    "terabytes declared": (
        archive(("a.npy", npy("(10**12,)".replace("10**12", "1000000000000")))),
        "declares an array of shape (1000000000000,), and has another size",
    ),
    "shape that overflows": (
        archive(("a.npy", npy("(4294967296, 4294967296)"))),
        "declares an array of shape (4294967296, 4294967296), and has another size",
    ),
    "negative shape": (archive(("a.npy", npy("(-1,)"))), "declares an array of shape (-1,)"),
    "no shape": (archive(("a.npy", npy("{}"))), "shape is not valid"),
    "nested header": (archive(("a.npy", npy("(" * 3000))), ""),
    "objects": (archive(("a.npy", npy("(1,)", BOMB[:8], "'|O'"))), "an array of object"),
    "records": (archive(("a.npy", npy("(1,)", BOMB[:8], "[('a', '<f8')]"))), "an array of"),
    "sub-arrays of a terabyte": (
        archive(("a.npy", npy("(1,)", b"", "('<f8', (1000, 1000000000))"))),
        "",
    ),
    "text": (archive(("a.npy", npy("(1,)", BOMB[:4], "'<U1'"))), "an array of <U1"),
    "compressed zeros": (
        archive(("a.npy", npy("(131072,)", BOMB)), compression=zipfile.ZIP_DEFLATED),
        "compressed; numpy.savez writes arrays as they are",
    ),
    "gigabytes declared": (
        lying(archive(("a.npy", npy("(1,)", BOMB[:8]))), 2**31),
        "declares more than the file has",
    ),
    "two of one name": (archive(*[("a.npy", npy("(1,)", BOMB[:8]))] * 2), "two of one name"),
    "an array with an archive behind it": (
        npy("(1,)", BOMB[:8]) + archive(("a.npy", b"")),
        "",
    ),
    "infinite": (
        archive(("a.npy", npy("(1,)", struct.pack("<d", float("inf"))))),
        "a: has values that are not finite",
    ),
    "not an array": (archive(("a.npy", b"PK")), ""),
    "nothing": (b"", ""),
}


@pytest.mark.parametrize(("content", "reason"), ODD_ARRAYS.values(), ids=ODD_ARRAYS)
def test_odd_arrays_are_refused_in_little_memory(
    template: Path, tmp_path: Path, content: bytes, reason: str
) -> None:
    folder = Folder(template, tmp_path, True)
    (folder.cell / "arrays.npz").write_bytes(content)
    folder.sign()
    record = Store(folder.root).read(folder.cell.name)
    assert record is not None
    tracemalloc.start()
    try:
        with pytest.raises(StoreError) as raised:
            record.arrays()
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()
    line = str(raised.value)
    assert line.startswith(f"{folder.cell / 'arrays.npz'}: ") and reason in line
    assert line.isprintable()
    stands(folder.root)


def test_names_of_arrays_lead_nowhere(template: Path, tmp_path: Path) -> None:
    folder = Folder(template, tmp_path, True)
    name = "../../../../outside"
    (folder.cell / "arrays.npz").write_bytes(archive((f"{name}.npy", npy("(1,)", BOMB[:8]))))
    folder.sign()
    record = Store(folder.root).read(folder.cell.name)
    assert record is not None and list(record.arrays()) == [name]
    before = set(tmp_path.rglob("*"))
    stands(folder.root)
    assert {p for p in tmp_path.rglob("*") if "outside" in p.name} == set()
    assert before <= set(tmp_path.rglob("*"))


def curves(**columns: Any) -> pa.Table:
    """Return one row of curves, or as many as a column has."""
    rows = max((len(v) for v in columns.values()), default=1)
    plain: dict[str, Any] = {
        "stage": [0],
        "observable": ["output/test"],
        "step": [100],
        "time": [1.0],
        "index": [0],
        "value": [1.0],
        "stderr": [None],
    }
    filled = {k: v if len(v) == rows else v * rows for k, v in (plain | columns).items()}
    return pa.table(filled, schema=CURVES)


ODD_CURVES: dict[str, tuple[pa.Table, str]] = {
    "not a number": (curves(value=[float("nan")]), "value: has values that are not finite"),
    "infinite error": (curves(stderr=[float("inf")]), "stderr: has values that are not finite"),
    "negative error": (curves(stderr=[-1.0]), "stderr: has values that are not finite"),
    "no value": (curves(value=[None]), "value: has no value in places"),
    "no name": (curves(observable=[None]), "observable: has no value in places"),
    "a stage that is not there": (curves(stage=[2]), "stage: has values that are not finite"),
    "negative step": (curves(step=[-1]), "step: has values that are not finite, or out of range"),
    "long names": (curves(observable=["a" * 201]), "observable: has names of more than 200"),
    "other columns": (curves().drop_columns(["stderr"]), "not the columns of curves"),
    "millions of rows in few bytes": (
        pa.concat_tables([curves(value=[0.0] * 2**20)] * 20),
        "20,971,520 values; at most 20,000,000",
    ),
}


@pytest.mark.parametrize(("table", "reason"), ODD_CURVES.values(), ids=ODD_CURVES)
def test_odd_curves_are_refused(
    template: Path, tmp_path: Path, table: pa.Table, reason: str
) -> None:
    folder = Folder(template, tmp_path, True)
    pq.write_table(table, folder.cell / "curves.parquet")
    folder.sign()
    record = Store(folder.root).read(folder.cell.name)
    assert record is not None
    with pytest.raises(StoreError) as raised:
        record.columns()
    path = folder.cell / "curves.parquet"
    assert str(raised.value).startswith(f"{path}: {reason}")
    found = CliRunner().invoke(results_command, ["verify", str(folder.root)], standalone_mode=False)
    assert found.stdout.splitlines() == [str(raised.value)]
    stands(folder.root)


def test_an_odd_network_is_named_and_costs_no_other_cell_its_score(
    template: Path, tmp_path: Path
) -> None:
    folder = Folder(template, tmp_path, False)
    path = folder.cell / "curves.parquet"
    whole = pq.read_table(path)
    for table, said in (
        (curves(value=[float("nan")]), "curves.parquet: value: has values that are not finite"),
        (whole.slice(0, len(whole) - 1), "has other points or steps than most networks; ignored"),
    ):
        pq.write_table(table, path)
        folder.sign()
        path = folder.cell / "curves.parquet"
        scores = score_folders([Store(folder.root)])
        assert [row.seeds for row in scores.rows] == [1] * 3
        assert [row.widths for row in scores.rows] == [[16, 64]] * 3
        (note,) = scores.notes
        assert str(folder.cell) in note and said in note


@pytest.mark.parametrize("size", [1e300, 1e-300])
def test_what_has_no_square_is_not_scored(template: Path, tmp_path: Path, size: float) -> None:
    folder = Folder(template, tmp_path, True)
    path = folder.cell / "curves.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(5, "value", pa.array([size] * len(table))), path)
    folder.sign()
    scores = score_folders([Store(folder.root)])
    assert scores.rows == []
    assert all("beyond what squares can be taken of" in note for note in scores.notes)
    stands(folder.root)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (0, 3), (2, 3, 4), None])
def test_replicates_of_any_shape_are_read_or_left(
    template: Path, tmp_path: Path, shape: tuple[int, ...] | None
) -> None:
    folder = Folder(template, tmp_path, True)
    rows = pq.read_table(folder.cell / "curves.parquet").to_pylist()
    if shape is None:  # the one that fits
        shape = (3, sum(r["stage"] == 1 and r["observable"] == "loss/test" for r in rows))
    with np.load(folder.cell / "arrays.npz") as found:
        arrays = dict(found)
    arrays |= {f"stage{k}/loss/test/replicates": np.zeros(shape, np.float32) for k in (0, 1)}
    np.savez(folder.cell / "arrays.npz", **arrays)
    stated = [row | {"stderr": 0.1} for row in rows]
    pq.write_table(pa.Table.from_pylist(stated, CURVES), folder.cell / "curves.parquet")
    folder.sign()
    stands(folder.root)


def test_a_network_whose_curves_were_cut_costs_the_others_no_measure(
    template: Path, tmp_path: Path
) -> None:
    folder = Folder(template, tmp_path, False)
    path = folder.cell / "curves.parquet"
    rows = pq.read_table(path).to_pylist()
    last = [row["stage"] == 1 and row["observable"] == "loss/test" for row in rows]
    assert sum(last) > 1
    del rows[len(last) - 1 - last[::-1].index(True)]
    pq.write_table(pa.Table.from_pylist(rows, CURVES), path)
    before = load(template).transfer.set_index(["solver", "width"])["estimates"]
    folder.sign()
    after = load(folder.root).transfer.set_index(["solver", "width"])["estimates"]
    assert (before.sort_index() - after.sort_index()).sort_values().tolist()[-1] == 1
    stands(folder.root)


def test_a_list_with_nothing_in_it_is_written_as_toml(template: Path, tmp_path: Path) -> None:
    folder = Folder(template, tmp_path, True)
    folder.facts["solver"]["theory"]["parameters"]["samples"] = [None, {"a": None, "b": [1, None]}]
    folder.sign()
    assert "b = [" in stands(folder.root)


ODD_FACTS: dict[str, tuple[dict[str, Any], str]] = {
    "half a character": ({"experiment": "\ud800"}, "not JSON, or cut short"),
    "nested": ({"notes": {"a": json.loads("[" * 40 + "]" * 40)}}, "nested too deeply; at most 32"),
    "network without a seed": ({"seed": None}, "solver: Value error, a network has width"),
    "network of no width": ({"width": 0}, "solver.width: Input should be greater than"),
    "theory with a width": ({"theory": {"name": "network", "version": "1", "parameters": {}}}, ""),
    "solver with markup": ({"name": "<b>"}, "solver.name: String should match pattern"),
    "no stages": ({"dts": []}, "dts: List should have at least 1 item"),
    "versions that are none": ({"environment": {"versions": [1]}}, "environment.versions: Input"),
    "negative seconds": ({"seconds": -1.0}, "seconds: Input should be greater than or equal to 0"),
}


@pytest.mark.parametrize(("changes", "reason"), ODD_FACTS.values(), ids=ODD_FACTS)
def test_odd_facts_are_refused(
    template: Path, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    folder = Folder(template, tmp_path, False)
    for name, value in changes.items():
        (folder.facts["solver"] if name in folder.facts["solver"] else folder.facts)[name] = value
    folder.sign()
    found = CliRunner().invoke(results_command, ["verify", str(folder.root)], standalone_mode=False)
    (line,) = found.stdout.splitlines()
    assert line.startswith(f"{folder.cell / 'cell.json'}: {reason}")
    stands(folder.root)


def test_a_manifest_counts_a_cell_once_and_speaks_for_its_own_experiment(
    template: Path, tmp_path: Path
) -> None:
    root = Folder(template, tmp_path, False).root
    (path,) = (root / "experiments").glob("*.json")
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"cells": facts["cells"] * 3}))
    path.with_name("another.json").write_text(json.dumps(facts))
    (found,) = experiments(Store(root))
    assert len(found.records) == 6
    assert len(found.networks()[16]) == 2


def test_the_terminal_shows_no_control_characters(template: Path, tmp_path: Path) -> None:
    folder = Folder(template, tmp_path, True)
    folder.facts |= {"status": "failed", "message": "a\x1b[2J\nb", "experiment": "\x1b[31m"}
    folder.sign()
    for command, *arguments in (
        (leaderboard_command, str(folder.root)),
        (results_command, "prune", "--dry-run", str(folder.root)),
    ):
        done = CliRunner().invoke(command, arguments, standalone_mode=False)
        assert "a\ufffd[2J b" in done.output
        assert all(line.isprintable() for line in done.output.splitlines())


def test_markdown_holds_no_html(template: Path, tmp_path: Path) -> None:
    made = Results(tmp_path / "results")
    made.add("<img src=x onerror=alert(1)> | &", {"lazy-ntk": 0.0}, stages=1)
    done = CliRunner().invoke(
        leaderboard_command, ["--markdown", str(made.store.root)], standalone_mode=False
    )
    assert "| &lt;img src=x onerror=alert(1)> \\| &amp; |" in done.stdout


def _is_text(text: str) -> bool:
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False
