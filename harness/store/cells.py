"""Cell folders: written aside and renamed into place, read back as records."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from harness.errors import StoreError
from harness.records import Trajectory
from harness.records.cell import CellFacts, Status
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
from harness.store.files import (
    CELL_FILES,
    aside_in,
    cause,
    clear,
    replace_folder,
    strangers,
    write_text,
)
from harness.store.mark import MARK, check_place, claim, marked, plain_folder
from harness.store.tables import (
    Keep,
    array_names,
    curve_batches,
    plain_curves,
    read_arrays,
    read_curves,
)
from harness.store.written import named_arrays, tidy
from harness.suites.cells import Cell

LOG = logging.getLogger("harness.store")
T = TypeVar("T")


@dataclass(frozen=True)
class CellRecord:
    """A cell as found on disk.

    Attributes:
        key: key of the cell, the name of its folder.
        folder: path of its folder.
        facts: facts from its ``cell.json``.
    """

    key: str
    folder: Path
    facts: CellFacts

    @property
    def status(self) -> Status:
        """Whether the cell holds a result ("done"), failed, or does not apply."""
        return self.facts.status

    def curves(self) -> pa.Table:
        """Read the tidy table of observables: see `CURVES`.

        Raises:
            StoreError: if the file holds something else.
        """
        return plain_curves(self.columns())

    def columns(self, *names: str, keep: Keep | None = None) -> pa.Table:
        """Read some columns of the curves, fast: names of observables are dictionary-encoded.

        Args:
            names: the columns; all if there are none.
            keep: takes part of the table and returns the wanted rows; others take no memory.

        Raises:
            StoreError: if the file holds something else.
        """
        with _readable():
            path = self.folder / "curves.parquet"
            return read_curves(path, len(self.facts.dts), names, keep)

    def parts(self) -> Iterator[pa.Table]:
        """Yield the tidy table in parts of a bounded size, names of observables encoded.

        Raises:
            StoreError: if the file holds something else; before the first part.
        """
        path, stages = self.folder / "curves.parquet", len(self.facts.dts)
        with _readable():
            read = curve_batches(path, stages)
            found = [part for part in (next(read, None), next(read, None)) if part is not None]
            for _ in read:  # a fault may lie in a later part
                continue
            yield from found if len(found) < 2 else curve_batches(path, stages)

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
        """Read one array; None if there is none of that name.

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


def read_record(folder: Path) -> CellRecord | str | None:
    """Return the record of a cell, the reason why it is unusable, or None if there is none."""
    if not os.path.lexists(folder):
        return None
    try:
        return CellRecord(folder.name, folder, read_cell(folder))
    except UnusableError as error:
        return str(error)


class Store:
    """A results folder.

    Args:
        root: the folder; it may be a link, but no link below it is followed.
        make: whether writing makes the folder; a worker does not make it, so that a folder that
            was removed stays removed.
    """

    def __init__(self, root: str | Path, make: bool = True) -> None:
        self.root = Path(root)
        self._make = make
        self._reported: set[str] = set()

    def write(self, cell: Cell, facts: dict[str, Any], result: Trajectory | None) -> Path:
        """Write a cell's folder aside and rename it into place, replacing an older one.

        Raises:
            StoreError: if the folder cannot be written.
        """
        with self._placing(cell.key) as aside:
            if result is not None:
                pq.write_table(tidy(cell, result), aside / "curves.parquet")
                np.savez(aside / "arrays.npz", **named_arrays(result))  # type: ignore[arg-type]
                facts = facts | {"sha256": {name: checksum(aside / name) for name in TABLES}}
            (aside / "cell.json").write_text(json.dumps(facts, indent=1, allow_nan=False))
        return self.root / "cells" / cell.key

    def adopt(self, key: str, files: Mapping[str, bytes]) -> None:
        """Write a cell that was made elsewhere, from its files' contents by name.

        Raises:
            StoreError: if the folder cannot be written.
        """
        with self._placing(key) as aside:
            for name in files.keys() & set(CELL_FILES):
                (aside / name).write_bytes(files[name])

    @contextlib.contextmanager
    def _placing(self, key: str) -> Iterator[Path]:
        """Yield a temporary folder, and rename it into a cell's place unless an error is raised."""
        self.prepare()
        target = self.root / "cells" / key
        if reason := _taken(target):
            raise StoreError(
                f"{target}: cannot be written ({reason}); move that away, then run again: finished"
                " cells are kept"
            )
        aside = aside_in(target.parent)
        try:
            aside.mkdir()
            try:
                yield aside
                replace_folder(aside, target)
            finally:
                with contextlib.suppress(OSError):  # leftovers are swept later
                    clear(aside)
        except OSError as error:
            raise StoreError(
                f"{target}: cannot be written ({cause(error)}); free space or choose"
                " another folder with --results, then run again: finished cells are kept"
            ) from error

    def check(self) -> None:
        """Refuse a folder to which no results may be written, without making it.

        Raises:
            StoreError: if it is neither new, nor empty, nor a results folder.
        """
        check_place(self.root)

    def prepare(self) -> None:
        """Make the folder, or check that it is a results folder, before anything is written.

        Raises:
            StoreError: if it holds anything else, or cannot be written.
        """
        if self._make:
            claim(self.root)
        elif not marked(self.root):
            raise StoreError(f"{self.root}: no results folder any more (it has no {MARK})")
        self.folder("cells")

    def folder(self, name: str) -> Path:
        """Return a folder below this one.

        Raises:
            StoreError: if it is a link.
        """
        return plain_folder(self.root, name)

    def read(self, key: str) -> CellRecord | None:
        """Return the record of a cell, or None if there is no usable one.

        A folder that cannot be used is reported once, as a warning of the logger
        ``harness.store``, with its path and the reason.
        """
        found = read_record(self.folder("cells") / key)
        if isinstance(found, str):
            self.report(found)
            return None
        return found

    def stamp(self, key: str) -> int | None:
        """Return the time of a cell's last writing, as a number to compare; None if never."""
        try:
            return (self.folder("cells") / key / "cell.json").lstat().st_mtime_ns
        except OSError:
            return None

    def folders(self) -> list[Path]:
        """Return the folders of cells, usable or not, in the order of the keys.

        Raises:
            StoreError: if this is no results folder.
        """
        folder = self.folder("cells")
        try:
            names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
        except OSError as error:
            if not os.path.lexists(folder):
                if marked(self.root) and self.folder("experiments").is_dir():
                    return []  # a run in which nothing could start
                raise self._no_results("there is no folder 'cells' in it") from None
            raise self._no_results(f"its folder 'cells' cannot be read: {error.strerror}") from None
        if names:
            self.require_mark()
        return [folder / name for name in names]

    def require_mark(self) -> None:
        """Refuse a folder without the mark of a results folder.

        Raises:
            StoreError: if there is no mark.
        """
        if not marked(self.root):
            raise self._no_results(f"it has no {MARK}, which marks a results folder")

    def _no_results(self, reason: str) -> StoreError:
        return StoreError(
            f"{self.root}: no results here ({reason}); give the folder that `limitbench run` wrote"
        )

    def cells(self) -> Iterator[CellRecord]:
        """Yield usable cells in the order of the keys; unusable ones are reported: see `read`.

        Raises:
            StoreError: if this is no results folder.
        """
        for path in self.folders():
            if record := self.read(path.name):
                yield record

    def write_manifest(self, manifest: Manifest) -> None:
        """Write the cells of an experiment, or the reason why it has none."""
        name = f"experiments/{slug(manifest.suite, manifest.experiment)}.json"
        facts = manifest.model_dump(exclude_defaults=True)
        if self.read_json(name) != facts:
            self.write_json(name, facts)

    def forget_experiments(self, suite: str, named: Collection[str]) -> None:
        """Remove the manifests of a suite's experiments, apart from the named ones; cells stay."""
        for manifest in self.manifests():
            if manifest.suite == suite and manifest.experiment not in named:
                name = f"{slug(suite, manifest.experiment)}.json"
                (self.folder("experiments") / name).unlink(missing_ok=True)

    def manifests(self) -> list[Manifest]:
        """Return the manifests of all experiments, by suite and position in it."""
        found = []
        for path in sorted(self.folder("experiments").glob("*.json")):
            try:
                found.append(read_manifest(path))
            except UnusableError as error:
                self.report(str(error))
        return sorted(found, key=lambda m: (m.suite, m.position))

    def write_json(self, name: str, facts: dict[str, Any]) -> None:
        """Write a small file, whole or not at all."""
        text = json.dumps(facts, indent=1, allow_nan=False)
        self.prepare()
        target = self._small_file(name)
        remedy = "choose another folder with --results"
        try:
            target.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise StoreError(f"{target}: cannot be written ({cause(error)}); {remedy}") from error
        write_text(target, text, remedy)

    def read_json(self, name: str) -> dict[str, Any] | None:
        """Read a small file; None if it does not exist or is no JSON."""
        try:
            return read_object(self._small_file(name))
        except UnusableError:
            return None

    def _small_file(self, name: str) -> Path:
        folder, _, file = name.rpartition("/")
        return self.folder(folder) / file

    def report(self, fault: str) -> None:
        """Warn, once, that something in the folder is unusable and ignored."""
        self.say_once(f"{fault}; ignored")

    def say_once(self, line: str) -> None:
        """Warn of something in the folder, unless the same was said before."""
        if line not in self._reported:
            self._reported.add(line)
            LOG.warning("%s", line)


def if_readable(read: Callable[[], T]) -> T | None:
    """Return the result of reading a cell; None, with a warning, if the cell is invalid."""
    try:
        return read()
    except StoreError as error:
        LOG.warning("%s; ignored", error)
        return None


def _taken(target: Path) -> str:
    """Return a description of a foreign obstacle in a cell's place, or an empty string."""
    if target.is_symlink():
        return "a link, which is not followed"
    if not target.is_dir():
        return "not a folder" if os.path.lexists(target) else ""
    try:
        found = set(strangers(target)) & set(CELL_FILES)
    except OSError:
        return ""  # reported on writing
    return f"its {min(found)} is a link, or no file" if found else ""
