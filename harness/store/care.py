"""Care of a results folder: its broken files, and cells that can be removed."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

from harness.errors import PluginError, StoreError
from harness.records import TRAINER_VERSION
from harness.records.cell import CellFacts, SpecFacts
from harness.registry import Registry
from harness.registry.component import Kind
from harness.store.cells import CellRecord, Store
from harness.store.check import UnusableError, read_cell, read_manifest, read_object
from harness.store.files import aside_in, cause, clear, strangers
from harness.store.fresh import NAME, FreshRuns
from harness.suites.cells import FORMAT, source_name

LOG = logging.getLogger("harness.store")
KEY = re.compile(r"[0-9a-f]{24}")


def verify(store: Store, sources: Sources | None = None) -> Iterator[str]:
    """Yield the faults of a results folder, one line each that begins with the path.

    Every cell's facts, checksums, curves and arrays are read, and every small file. A warning of
    the logger ``harness.store`` tells of cells that a run with --fresh has yet to replace.

    Args:
        store: the results folder.
        sources: collects the sources of every cell.

    Raises:
        StoreError: if this is no results folder.
    """
    sources = Sources() if sources is None else sources
    for path in store.folders():
        try:
            record = CellRecord(path.name, path, read_cell(path))
            sources.add(record)
            if record.status == "done":
                record.columns(keep=lambda part: part.slice(0, 0))
                record.arrays()
        except (UnusableError, StoreError) as error:
            yield str(error)
    for path in sorted(store.folder("experiments").glob("*.json")):
        try:
            read_manifest(path)
        except UnusableError as error:
            yield str(error)
    for fault in sources.several():
        yield f"{store.root}: {fault}"
    for path in sorted(store.folder("steps").glob("*.json")):
        try:
            read_object(path)
        except UnusableError as error:
            yield str(error)
    if os.path.lexists(store.root / NAME):
        try:
            read_object(store.root / NAME)
            if line := FreshRuns.read(store).left():
                store.say_once(line)
        except (UnusableError, StoreError) as error:
            yield str(error)


class Sources:
    """The sources of cells' components, gathered while cells are read."""

    def __init__(self) -> None:
        self._found: dict[tuple[Kind, str, str], dict[str, list[str]]] = {}

    def add(self, record: CellRecord) -> None:
        """Add the sources of a cell."""
        facts = record.facts
        parts: list[tuple[Kind, str, SpecFacts]] = [
            *((kind, kind, spec) for kind, spec in facts.components.items()),
            *(("observable", source_name(spec.name), spec) for spec in facts.observables),
        ]
        for kind, source, spec in parts:
            if source in facts.sources:
                found = self._found.setdefault((kind, spec.name, spec.version), {})
                found.setdefault(facts.sources[source], []).append(record.key)

    def several(self) -> Iterator[str]:
        """Yield components with several sources under one version."""
        for (kind, name, version), found in sorted(self._found.items()):
            if len(found) > 1:
                counts = ", ".join(
                    f"{len(keys)} cells, such as {keys[0]}, of {digest[:8] or 'unknown source'}"
                    for digest, keys in sorted(found.items())
                )
                yield (
                    f"{kind} {name!r}, version {version}, had several sources: {counts}; give a"
                    " change of source a new version, and run the suite again"
                )

    def changed(self, registry: Registry) -> Iterator[str]:
        """Yield components whose source differs here under the same version."""
        for (kind, name, version), found in sorted(self._found.items()):
            others = sum(
                len(keys)
                for digest, keys in found.items()
                if registry.differs(kind, name, version, digest)
            )
            if others:
                yield (
                    f"{kind} {name!r}, version {version}, has another source here than for cells in"
                    f" the folder ({others} of them); `limitbench run` computes these again"
                )


def stale(store: Store, registry: Registry) -> Iterator[tuple[Path, str]]:
    """Yield the folders of useless cells, with the reason.

    These are cells that failed, that are broken or of an older format, or that another version of
    an installed component computed. Folders of a newer limitbench, folders not named as a cell, and
    cells of components that are not installed stay. So does a folder that holds foreign files: a
    warning of the logger ``harness.store`` says so.

    Raises:
        StoreError: if this is no results folder.
    """
    for path in store.folders():
        if not KEY.fullmatch(path.name) or path.is_symlink() or not path.is_dir():
            continue
        if reason := _of_no_use(path, registry):
            try:
                others = strangers(path)
            except OSError as error:
                raise StoreError(f"{path}: cannot be read ({cause(error)})") from error
            if others:
                LOG.warning(
                    "%s: stays, as %s in it is not limitbench's; move that away to prune it",
                    path,
                    others[0],
                )
            else:
                yield path, reason


def remove(path: Path) -> None:
    """Remove a cell's folder; a reader sees all of it or nothing.

    Raises:
        StoreError: if it cannot be removed.
    """
    aside = aside_in(path.parent)
    try:
        aside.mkdir()
        try:
            path.rename(aside / "cell")
        finally:
            clear(aside)
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be removed ({cause(error)}); make the folder writable"
        ) from error


def _of_no_use(folder: Path, registry: Registry) -> str:
    """Return the reason why a cell can be removed, or an empty string."""
    try:
        facts = read_cell(folder)
    except UnusableError as error:
        return "" if _is_newer(folder) else str(error).removeprefix(f"{folder}").lstrip("/: ")
    if facts.status == "failed":
        return f"failed: {facts.message}"
    return _other_version(facts, registry)


def _is_newer(folder: Path) -> bool:
    try:
        found = read_object(folder / "cell.json").get("format")
    except UnusableError:
        return False
    return type(found) is int and found > FORMAT


def _other_version(facts: CellFacts, registry: Registry) -> str:
    """Return the component of a cell that has another version now, or an empty string.

    The version of its task does not count, as the data are in the key.
    """
    if (trainer := facts.solver.trainer) not in {None, TRAINER_VERSION}:
        return f"networks are trained by version {TRAINER_VERSION} now; this is of {trainer}"
    parts: list[tuple[Kind, SpecFacts]] = [
        *((kind, spec) for kind, spec in facts.components.items() if kind != "task"),
        *(("observable", spec) for spec in facts.observables),
    ]
    for kind, spec in parts:
        try:
            installed = registry.get(kind, spec.name).version
        except PluginError:
            continue
        if installed != spec.version:
            return f"{kind} {spec.name} is version {installed} now; this is of {spec.version}"
    return ""
