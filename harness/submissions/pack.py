"""Results folders packed into one file, and such a file unpacked into a results folder."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import json
import re
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from harness.errors import StoreError
from harness.store import CellRecord, Manifest, Store, listed_experiments
from harness.store.check import UnusableError, read_object
from harness.store.mark import check_outside
from harness.store.tables import CURVES, plain_curves
from harness.submissions.file import FORMAT, Header, read_header, read_rows, write_rows
from harness.submissions.rows import Row, checked_row
from harness.submissions.thin import scored_part
from harness.suites.schema import bundled_suites

HELD = 2**28
"""Largest number of bytes of rows that are kept in memory between checking and writing them."""

_LOCAL = ("sha256", "log", "traceback")
"""Facts that are of the machine where a cell was computed, or of its files."""

_PATH = re.compile(r"(?<![\w/.:])(?:~|[A-Za-z]:)?(?:[/\\][^\s/\\:'\"]+)+[/\\](?=[^\s/\\])")
"""The folders of an absolute path."""

_REMEDY = "choose another file with -o"


def pack(stores: Sequence[Store], file: str | Path, full: bool = False) -> Header:
    """Write the cells of results folders as a submission.

    It holds the cells that the experiments of the folders name: finished ones, and the facts of
    those that failed or do not apply. Facts name no folder of this machine.

    Args:
        stores: results folders; of a cell that several have, a finished one is taken, provided that
            its components have one source.
        file: path of the file; an older submission is replaced, and nothing else.
        full: whether cells are kept whole; else the part that scoring needs: see `scored_part`.

    Returns:
        The header of the file.

    Raises:
        StoreError: if a folder holds no results, folders differ in the task of an experiment or
            the source of a cell's component, or the file cannot be written, or lies in a results
            folder.
    """
    path = Path(file)
    check_outside(path, _REMEDY)
    records, environments = dict[str, CellRecord](), dict[str, dict[str, Any]]()
    scored: dict[str, set[str]] = {}
    for store in stores:
        for experiment in listed_experiments(store):
            for key in experiment.keys:
                scored.setdefault(key, set()).update(experiment.scored)
                record = store.read(key)
                if record is None:
                    continue
                known = records.get(key)
                if known:
                    _check_sources(known, record)
                if known is None or known.status != "done":
                    records[key] = record
    if not records:
        names = ", ".join(str(store.root) for store in stores)
        raise StoreError(f"{names}: no cell to pack; give a folder that `limitbench run` wrote")
    manifests = _manifests(stores)

    def rows() -> Iterator[Row]:
        for key, record in records.items():
            row = _row(record, scored[key], full)
            about = _environment(row)
            environments[json.dumps(about, sort_keys=True)] = about
            yield row

    def header(count: int, digest: str) -> Header:
        return Header(
            submission=FORMAT,
            made=datetime.now(UTC).date().isoformat(),
            limitbench=importlib.metadata.version("limitbench"),
            full=full,
            cells=count,
            environments=[environments[text] for text in sorted(environments)],
            suites=_suites(manifests),
            manifests=manifests,
            sha256=digest,
        )

    try:
        return write_rows(path, rows(), header, _REMEDY)
    except UnusableError as error:
        raise StoreError(str(error)) from None


def unpack(file: str | Path, folder: str | Path) -> Store:
    """Write the cells of a submission as a results folder, all of them or none.

    Args:
        file: the submission.
        folder: the results folder, new or empty.

    Raises:
        StoreError: if the file is no submission, or the folder holds anything.
    """
    header, store = read_header(file), Store(folder)
    if store.root.exists() and any(store.root.iterdir()):
        raise StoreError(f"{folder}: is not empty; unpack {file} into a new or empty folder")
    held, size = list[Row](), 0
    for row in read_rows(file):  # every row is checked before the first one is written
        size += row.nbytes
        if size <= HELD:
            held.append(row)
    for row in held if size <= HELD else read_rows(file):
        store.adopt(row.key, _files(row))
    for manifest in header.manifests:
        store.write_manifest(manifest)
    return store


@contextlib.contextmanager
def results_of(path: str | Path) -> Iterator[Store]:
    """Yield a results folder, or a submission as a folder that is removed afterwards.

    Raises:
        StoreError: if it is neither.
    """
    if Path(path).is_dir():
        yield Store(path)
        return
    with tempfile.TemporaryDirectory(prefix="limitbench-") as folder:
        yield unpack(path, Path(folder) / "results")


def _check_sources(one: CellRecord, other: CellRecord) -> None:
    """Refuse two results of a cell whose components differ in source; that of its data may.

    Raises:
        StoreError: if they differ.
    """
    if "failed" in {one.status, other.status}:
        return
    sources, others = one.facts.sources, other.facts.sources
    for part in sorted((sources.keys() | others.keys()) - {"task"}):
        if sources.get(part) != others.get(part):
            facts = one.facts
            named: dict[str, str] = {
                kind: f"{kind} {spec.name!r}" for kind, spec in facts.components.items()
            }
            raise StoreError(
                f"{named.get(part, part)} has another source in {other.folder.parents[1]} than in"
                f" {one.folder.parents[1]} under the same version (cell {one.key} of experiment"
                f" {facts.experiment!r}); run one of them again, or pack these apart"
            )


def _row(record: CellRecord, own: set[str], full: bool) -> Row:
    facts = read_object(record.folder / "cell.json")
    text = json.dumps(_without_places(facts), separators=(",", ":"), allow_nan=False)
    curves = CURVES.empty_table()
    arrays: dict[str, NDArray[Any]] = {}
    if record.status == "done":
        found, arrays = (record.columns(), record.arrays()) if full else scored_part(record, own)
        curves = plain_curves(found)
    return checked_row(str(record.folder), record.key, text, curves.combine_chunks(), arrays)


def _without_places(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return a cell's facts without folders of this machine; those of its key stay as they are."""
    found = {name: value for name, value in facts.items() if name not in _LOCAL}
    for name in ("message", "notes", "environment"):
        if name in found:
            found[name] = _shortened(found[name])
    for name in ("task", "unkeyed"):
        if name in found:
            found[name] = _placeless(found[name])
    return found


def _shortened(value: Any) -> Any:
    """Return a value whose texts have paths without their folders."""
    if isinstance(value, str):
        return _PATH.sub("", value)
    if isinstance(value, dict):
        return {name: _shortened(inner) for name, inner in value.items()}
    return [_shortened(inner) for inner in value] if isinstance(value, list) else value


def _placeless(value: Any) -> Any:
    """Return parameters without those that are absolute paths, such as folders of data sets."""
    if not isinstance(value, dict):
        return value
    return {
        name: _placeless(inner)
        for name, inner in value.items()
        if not (isinstance(inner, str) and _PATH.match(inner))
    }


def _environment(row: Row) -> dict[str, Any]:
    found = row.facts.environment.model_dump()
    return {k: found[k] for k in ("python", "platform", "devices", "versions") if k in found}


def _manifests(stores: Sequence[Store]) -> list[Manifest]:
    """Return the experiments of several folders; one that several have gets the cells of all."""
    found: dict[tuple[str, str], Manifest] = {}
    for each in (manifest for store in stores for manifest in store.manifests()):
        task = each.task.model_copy(update={"parameters": _placeless(each.task.parameters)})
        new = each.model_copy(
            update={"task": task, "failure": _shortened(each.failure), "traceback": ""}
        )
        known = found.setdefault((each.suite, each.experiment), new)
        if (known.task, known.data_seed) != (new.task, new.data_seed):
            raise StoreError(
                f"experiment {each.experiment!r} of suite {each.suite!r} has another task in one"
                " folder than in another; pack these apart"
            )
        cells = list(dict.fromkeys([*known.cells, *new.cells]))
        failure = "" if cells else known.failure
        found[each.suite, each.experiment] = known.model_copy(
            update={"cells": cells, "failure": failure}
        )
    return sorted(found.values(), key=lambda m: (m.suite, m.position))


def _suites(manifests: Sequence[Manifest]) -> dict[str, str]:
    """Return the TOML of bundled suites whose experiments the manifests list."""
    found = {}
    named = {manifest.suite for manifest in manifests}
    for name, path in bundled_suites().items():
        if name not in named:
            continue
        text = path.read_text(encoding="utf-8")
        known = {each["name"] for each in tomllib.loads(text)["experiment"]}
        if {m.experiment.partition("[")[0] for m in manifests if m.suite == name} <= known:
            found[name] = text
    return found


def _files(row: Row) -> dict[str, bytes]:
    """Return the files of a cell's folder, by name."""
    facts, files = json.loads(row.text), dict[str, bytes]()
    if row.facts.status == "done":
        table, arrays = pa.BufferOutputStream(), io.BytesIO()
        pq.write_table(row.curves, table)
        np.savez(arrays, **row.arrays)  # type: ignore[arg-type]
        files = {"curves.parquet": table.getvalue().to_pybytes(), "arrays.npz": arrays.getvalue()}
        facts["sha256"] = {name: sha256(content).hexdigest() for name, content in files.items()}
    files["cell.json"] = json.dumps(facts, indent=1, allow_nan=False).encode()
    return files
