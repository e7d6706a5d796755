"""Cell folders: written aside and renamed into place, read back as records."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from harness.errors import StoreError
from harness.records import Trajectory
from harness.store.check import (
    TABLES,
    Manifest,
    UnusableError,
    checksum,
    read_cell,
    read_manifest,
    read_object,
    slug,
)
from harness.store.tables import CURVES, array_names, plain_curves, read_arrays, read_curves
from harness.suites.cells import Cell

LOG = logging.getLogger("harness.store")
T = TypeVar("T")
Status = Literal["done", "failed", "not-applicable"]


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
        """Read the tidy table of observables: see `CURVES`.

        Raises:
            StoreError: if the file holds something else.
        """
        return plain_curves(self.columns())

    def columns(self, *names: str) -> pa.Table:
        """Read some columns of the curves, fast: names of observables are dictionary-encoded.

        Raises:
            StoreError: if the file holds something else.
        """
        with _readable():
            return read_curves(self.folder / "curves.parquet", len(self.facts["dts"]), names)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Read kernels and densities: ``stage<k>/<observable>``, and ``.../stderr``.

        Numbers and vectors have ``.../replicates``, (replicates, steps, ...), where a theory
        gives independent estimates.

        Raises:
            StoreError: if the file holds something else.
        """
        with _readable():
            return read_arrays(self.folder / "arrays.npz")

    def array(self, name: str) -> NDArray[Any] | None:
        """Read one of the arrays alone; None where there is none of that name.

        Raises:
            StoreError: if the file holds something else.
        """
        with _readable():
            return read_arrays(self.folder / "arrays.npz", {name}).get(name)

    def array_names(self) -> list[str]:
        """Return the names of the arrays.

        Raises:
            StoreError: if the file holds something else.
        """
        with _readable():
            return array_names(self.folder / "arrays.npz")


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except UnusableError as error:
        raise StoreError(str(error)) from None


class Store:
    """A results folder.

    Args:
        root: the folder.
        make: make the folder when something is written; a worker does not, so that nothing is
            written anew to a folder that was removed.
    """

    def __init__(self, root: str | Path, make: bool = True) -> None:
        self.root = Path(root)
        self._make = make
        self._reported: set[str] = set()

    def write(self, cell: Cell, facts: dict[str, Any], result: Trajectory | None) -> Path:
        """Write a cell's folder aside and rename it into place; replaces an older one.

        Raises:
            StoreError: if the folder cannot be written.
        """
        with self._placing(cell.key) as aside:
            if result is not None:
                pq.write_table(_tidy(cell, result), aside / "curves.parquet")
                np.savez(aside / "arrays.npz", **_arrays(result))  # type: ignore[arg-type]
                facts = facts | {"sha256": {name: checksum(aside / name) for name in TABLES}}
            (aside / "cell.json").write_text(json.dumps(facts, indent=1, allow_nan=False))
        return self.root / "cells" / cell.key

    def adopt(self, key: str, files: Mapping[str, bytes]) -> None:
        """Write a cell that was made elsewhere, from its files' contents by name.

        Raises:
            StoreError: if the folder cannot be written.
        """
        with self._placing(key) as aside:
            for name in files.keys() & {"cell.json", *TABLES}:
                (aside / name).write_bytes(files[name])

    @contextlib.contextmanager
    def _placing(self, key: str) -> Iterator[Path]:
        """Yield a folder aside, and rename it into a cell's place if nothing was raised."""
        target = self.root / "cells" / key
        try:
            if self._make:
                target.parent.mkdir(parents=True, exist_ok=True)
            aside = Path(tempfile.mkdtemp(prefix=f".{key}.", dir=target.parent))
            try:
                yield aside
                aside.chmod(0o755)
                _replace(aside, target)
            finally:
                shutil.rmtree(aside, ignore_errors=True)
        except OSError as error:
            raise StoreError(
                f"{target}: cannot be written ({_cause(error)}); free space or choose"
                " another folder with --results, then run again: finished cells are kept"
            ) from error

    def read(self, key: str) -> CellRecord | None:
        """Return the record of a cell, or None where there is none that can be used.

        A folder that cannot be used is reported once, as a warning of the logger
        ``harness.store``, with its path and the reason.
        """
        folder = self.root / "cells" / key
        if not os.path.lexists(folder):
            return None
        try:
            return CellRecord(key, folder, read_cell(folder))
        except UnusableError as error:
            self._report(str(error))
            return None

    def stamp(self, key: str) -> int | None:
        """Return when a cell was last written, as a number to compare; None if it was not."""
        try:
            return (self.root / "cells" / key / "cell.json").stat().st_mtime_ns
        except OSError:
            return None

    def folders(self) -> list[Path]:
        """Return the folders of cells, usable or not, in the order of the keys.

        Raises:
            StoreError: if this is no results folder.
        """
        folder = self.root / "cells"
        try:
            return sorted(p for p in folder.iterdir() if not p.name.startswith("."))
        except OSError as error:
            if (self.root / "experiments").is_dir():
                return []  # a run in which nothing could start
            reason = "there is no folder 'cells' in it"
            if folder.exists():
                reason = f"its folder 'cells' cannot be read: {error.strerror}"
            raise StoreError(
                f"{self.root}: no results here ({reason}); give the folder that `limitbench run`"
                " wrote"
            ) from None

    def cells(self) -> Iterator[CellRecord]:
        """Yield every usable cell, in the order of the keys; what is not is reported: see `read`.

        Raises:
            StoreError: if this is no results folder.
        """
        for path in self.folders():
            if record := self.read(path.name):
                yield record

    def write_manifest(self, manifest: Manifest) -> None:
        """Note which cells an experiment is made of, or why it has none."""
        name = f"experiments/{slug(manifest.suite, manifest.experiment)}.json"
        facts = manifest.model_dump()
        if self.read_json(name) != facts:
            self.write_json(name, facts)

    def forget_experiments(self, suite: str, named: Collection[str]) -> None:
        """Remove the manifests of experiments that a suite no longer names; cells stay.

        What has another name now would else count twice.
        """
        for manifest in self.manifests():
            if manifest.suite == suite and manifest.experiment not in named:
                name = f"{slug(suite, manifest.experiment)}.json"
                (self.root / "experiments" / name).unlink(missing_ok=True)

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

    def manifests(self) -> list[Manifest]:
        """Return the manifests of all experiments, by suite and position in it."""
        found = []
        for path in sorted((self.root / "experiments").glob("*.json")):
            try:
                found.append(read_manifest(path))
            except UnusableError as error:
                self._report(str(error))
        return sorted(found, key=lambda m: (m.suite, m.position))

    def write_json(self, name: str, facts: dict[str, Any]) -> None:
        """Write a small file, whole or not at all."""
        target = self.root / name
        text = json.dumps(facts, indent=1, allow_nan=False)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, aside = tempfile.mkstemp(".tmp", ".", target.parent)
            try:
                with os.fdopen(handle, "w") as opened:
                    opened.write(text)
                os.chmod(aside, 0o644)
                os.replace(aside, target)
            finally:
                Path(aside).unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"{target}: cannot be written ({error.strerror or error});"
                " choose another folder with --results"
            ) from error

    def read_json(self, name: str) -> dict[str, Any] | None:
        """Read a small file; None where there is none, or none that is JSON."""
        try:
            return read_object(self.root / name)
        except UnusableError:
            return None

    def _report(self, fault: str) -> None:
        if fault not in self._reported:
            self._reported.add(fault)
            LOG.warning("%s; ignored", fault)


def if_readable(read: Callable[[], T]) -> T | None:
    """Return what is read of a cell; None, with a warning, if it holds something else."""
    try:
        return read()
    except StoreError as error:
        LOG.warning("%s; ignored", error)
        return None


def _cause(error: OSError) -> str:
    """Return the system's words for an error, which pyarrow wraps in its own."""
    return os.strerror(error.errno) if error.errno else str(error)


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
    for stage, (observables, dt) in enumerate(zip(result.stages, cell.resolved.dts, strict=True)):
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
