"""Whatever a folder holds is read, or named and ignored; nothing else."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from made_results import FUZZ, HOSTILE
from nested import places
from strange_results import Folder, stands

from harness.store.check import TABLES, slug
from harness.store.tables import CURVES


def quick(examples: int) -> settings:
    return settings(
        max_examples=FUZZ * examples,
        derandomize=FUZZ == 1,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


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


def _is_text(text: str) -> bool:
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False
