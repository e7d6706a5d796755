"""Cell folders: written aside and renamed into place, read back as records."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from harness.errors import StoreError
from harness.records import Trajectory
from harness.suites.cells import FORMAT, Cell
from harness.suites.expand import Suite

MANIFEST_KEYS = {"suite", "position", "experiment", "cells", "failure", "traceback"}
Status = Literal["done", "failed", "not-applicable"]
CURVES = pa.schema(
    [
        ("stage", pa.int32()),
        ("observable", pa.string()),
        ("step", pa.int64()),
        ("time", pa.float64()),
        ("index", pa.int32()),
        ("value", pa.float64()),
        ("stderr", pa.float64()),
    ]
)


@dataclass(frozen=True)
class CellRecord:
    """A cell as found on disk.

    Attributes:
        key: name of its folder.
        folder: where it lies.
        facts: contents of ``cell.json``.
    """

    key: str
    folder: Path
    facts: dict[str, Any]

    @property
    def status(self) -> Status:
        """Whether it holds a result ("done"), failed, or does not apply."""
        status: Status = self.facts["status"]
        return status

    def curves(self) -> pa.Table:
        """Read the tidy table of observables: see `CURVES`."""
        return pq.read_table(self.folder / "curves.parquet", partitioning=None)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Read kernels and densities: ``stage<k>/<observable>``, and ``.../stderr``.

        Numbers and vectors have ``.../replicates``, (replicates, steps, ...), where a theory
        gives independent estimates.
        """
        with np.load(self.folder / "arrays.npz", allow_pickle=False) as found:
            return {name: found[name] for name in found.files}

    def array(self, name: str) -> NDArray[Any] | None:
        """Read one of the arrays alone; None where there is none of that name."""
        with np.load(self.folder / "arrays.npz", allow_pickle=False) as found:
            return found[name] if name in found.files else None


class Store:
    """A results folder.

    Args:
        root: the folder; made when something is written.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def write(self, cell: Cell, facts: dict[str, Any], result: Trajectory | None) -> Path:
        """Write a cell's folder aside and rename it into place; replaces an older one.

        Raises:
            StoreError: if the folder cannot be written.
        """
        target = self.root / "cells" / cell.key
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            aside = Path(tempfile.mkdtemp(prefix=f".{cell.key}.", dir=target.parent))
            try:
                if result is not None:
                    pq.write_table(_tidy(cell, result), aside / "curves.parquet")
                    np.savez(aside / "arrays.npz", **_arrays(result))  # type: ignore[arg-type]
                (aside / "cell.json").write_text(json.dumps(facts, indent=1, allow_nan=False))
                aside.chmod(0o755)
                _replace(aside, target)
            finally:
                shutil.rmtree(aside, ignore_errors=True)
        except OSError as error:
            raise StoreError(
                f"{target}: cannot be written ({error.strerror or error}); free space or choose"
                " another folder with --results, then run again: finished cells are kept"
            ) from error
        return target

    def read(self, key: str) -> CellRecord | None:
        """Return the record of a cell, or None where there is none that can be used."""
        folder = self.root / "cells" / key
        try:
            facts = json.loads((folder / "cell.json").read_text())
            usable = facts["format"] == FORMAT and facts["key"] == key
            usable = usable and facts["status"] in get_args(Status)
            if facts["status"] == "done":
                usable = usable and _is_whole(folder)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return CellRecord(key, folder, facts) if usable else None

    def cells(self) -> Iterator[CellRecord]:
        """Yield every usable cell, in the order of the keys.

        Raises:
            StoreError: if this is no results folder.
        """
        folder = self.root / "cells"
        if not folder.is_dir():
            if (self.root / "experiments").is_dir():
                return  # a run in which nothing could start
            raise StoreError(
                f"{self.root}: no results here (there is no folder 'cells' in it); give the folder"
                " that `limitbench run` wrote"
            )
        for path in sorted(folder.iterdir()):
            if not path.name.startswith(".") and (record := self.read(path.name)):
                yield record

    def write_manifest(
        self,
        suite: Suite,
        position: int,
        experiment: str,
        keys: list[str],
        failure: str = "",
        trace: str = "",
    ) -> None:
        """Note which cells an experiment is made of, or why it has none."""
        name = experiment_slug(experiment)
        facts = {
            "format": FORMAT,
            "suite": suite.name,
            "position": position,
            "experiment": experiment,
            "cells": keys,
            "failure": failure,
            "traceback": trace,
        }
        if self.read_json(f"experiments/{name}.json") != facts:
            self.write_json(f"experiments/{name}.json", facts)

    def is_newer_than_results(self, path: Path) -> bool:
        """Return whether a file was derived from the results as they are now."""
        try:
            made = path.stat().st_mtime_ns
            folders = [self.root / name for name in ("cells", "experiments")]
            folders = [folder for folder in folders if folder.is_dir()]
            entries = [entry for folder in folders for entry in folder.iterdir()]
            return all(entry.stat().st_mtime_ns <= made for entry in (*folders, *entries))
        except OSError:
            return False

    def manifests(self) -> list[dict[str, Any]]:
        """Return the manifests of all experiments, by suite and position in it."""
        found = []
        for path in sorted((self.root / "experiments").glob("*.json")):
            facts = self.read_json(f"experiments/{path.name}")
            if facts and facts.get("format") == FORMAT and facts.keys() >= MANIFEST_KEYS:
                found.append(facts)
        return sorted(found, key=lambda m: (m["suite"], m["position"]))

    def write_json(self, name: str, facts: dict[str, Any]) -> None:
        """Write a small file, whole or not at all."""
        target = self.root / name
        text = json.dumps(facts, indent=1, allow_nan=False)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", dir=target.parent, prefix=".", suffix=".tmp", delete=False
            ) as aside:
                aside.write(text)
            os.chmod(aside.name, 0o644)
            os.replace(aside.name, target)
        except OSError as error:
            raise StoreError(
                f"{target}: cannot be written ({error.strerror or error});"
                " choose another folder with --results"
            ) from error

    def read_json(self, name: str) -> dict[str, Any] | None:
        """Read a small file; None where there is none, or none that is JSON."""
        try:
            facts = json.loads((self.root / name).read_text())
        except (OSError, ValueError):
            return None
        return facts if isinstance(facts, dict) else None


def _is_whole(folder: Path) -> bool:
    """Return whether a cell's tables end as their formats do: they were not cut short."""
    with (folder / "curves.parquet").open("rb") as curves:
        begins = curves.read(4)
        curves.seek(-4, os.SEEK_END)
        ends = curves.read(4)
    return begins == ends == b"PAR1" and zipfile.is_zipfile(folder / "arrays.npz")


def experiment_slug(name: str) -> str:
    """Return a file name for an experiment: readable, safe and unique."""
    import hashlib

    readable = "".join(c if c.isalnum() or c in "-_." else "-" for c in name)[:60].strip(".-")
    return f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _replace(aside: Path, target: Path) -> None:
    """Rename a folder into place; a folder that is there already makes way first."""
    try:
        aside.rename(target)
    except OSError:
        if not target.exists():
            raise
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
        target.rename(old / "cell")
        aside.rename(target)
        shutil.rmtree(old, ignore_errors=True)


def _tidy(cell: Cell, result: Trajectory) -> pa.Table:
    """Return numbers and vectors of all stages as one tidy table."""
    parts = []
    for stage, (observables, dt) in enumerate(zip(result.stages, cell.dts, strict=True)):
        for name, found in observables.items():
            if found.values.ndim > 2:
                continue
            count = found.values[0].size
            steps = np.repeat(found.steps, count)
            index = np.tile(np.arange(count), len(found.steps))
            columns = {
                "stage": pa.array(np.full(len(steps), stage), pa.int32()),
                "observable": pa.array([name] * len(steps), pa.string()),
                "step": pa.array(steps, pa.int64()),
                "time": pa.array(steps * dt, pa.float64()),
                "index": pa.array(index, pa.int32())
                if found.values.ndim == 2
                else pa.nulls(len(steps), pa.int32()),
                "value": pa.array(found.values.ravel().astype(np.float64)),
                "stderr": pa.nulls(len(steps), pa.float64())
                if found.stderr is None
                else pa.array(found.stderr.ravel().astype(np.float64)),
            }
            parts.append(pa.table(columns, schema=CURVES))
    return pa.concat_tables(parts)


def _arrays(result: Trajectory) -> dict[str, NDArray[Any]]:
    """Return kernels and densities, and replicates of the rest, by ``stage<k>/<observable>``."""
    found = {}
    for stage, observables in enumerate(result.stages):
        for name, observable in observables.items():
            if observable.values.ndim > 2:
                found[f"stage{stage}/{name}"] = observable.values[-1]
                if observable.stderr is not None:
                    found[f"stage{stage}/{name}/stderr"] = observable.stderr[-1]
            elif observable.replicates is not None:
                found[f"stage{stage}/{name}/replicates"] = observable.replicates
    return found
