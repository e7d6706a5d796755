"""Runs with --fresh that have not ended: the files that they have yet to replace.

A fresh run notes the existing results and steps that it is to replace, by key and checksum, before
it replaces the first. While one of these files is as it was, it counts as missing, so that the next
run that asks for it goes on where the fresh run stopped, whatever names suites and experiments have
by then. Readers of the folder say what is left.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from harness.errors import StoreError
from harness.store.cells import Store
from harness.store.check import UnusableError, checksum
from harness.store.files import not_a_file
from harness.suites.cells import FORMAT

LOG = logging.getLogger("harness.store")
NAME = "fresh.json"
_FILE = re.compile(r"cells/[0-9a-z]+/cell\.json|steps/[0-9a-z]+\.json")


def cell_file(key: str) -> str:
    """Return the path in a results folder of a cell's facts, by which it is noted."""
    return f"cells/{key}/cell.json"


@dataclass(frozen=True)
class FreshRun:
    """One run with --fresh that has not ended.

    Attributes:
        suite: name of its suite; empty if an older limitbench noted it.
        old: SHA-256 of the files that it is to replace, by their path in the folder.
    """

    suite: str
    old: dict[str, str]


@dataclass(frozen=True)
class FreshRuns:
    """All runs with --fresh on a results folder that have not ended."""

    store: Store
    runs: tuple[FreshRun, ...]

    @classmethod
    def read(cls, store: Store) -> FreshRuns:
        """Return the runs noted in a results folder.

        Raises:
            StoreError: if the note cannot be read.
        """
        facts = store.read_json(NAME)
        if facts is None or facts.get("format") != FORMAT:
            return cls(store, ())
        try:
            return cls(store, tuple(_noted(store, run) for run in facts["runs"]))
        except (KeyError, TypeError, AttributeError):
            raise StoreError(
                f"{store.root / NAME}: not written by limitbench; remove it, and run with --fresh"
            ) from None

    def begin(self, suite: str, paths: Iterable[str]) -> FreshRuns:
        """Note that a fresh run is to replace files, as far as they exist; return all runs."""
        old = {}
        for path in paths:
            if found := self._checksum(path):
                old[path] = found
        return FreshRuns.read(self.store)._without(old)._written(FreshRun(suite, old))

    def replaced(self, path: str) -> FreshRuns:
        """Note that a file is written anew, be it with the same content; return the runs left."""
        if not any(path in run.old for run in self.runs):
            return self
        return FreshRuns.read(self.store)._without({path})._written()

    def end(self, suite: str, asked: Iterable[str], whole: bool) -> None:
        """Note that a run has ended.

        Files that are replaced are no longer noted. Those that fresh runs of the suite had yet to
        replace, and that it no longer asks for, are given up: a warning of the logger
        ``harness.store`` counts them.

        Args:
            suite: name of its suite.
            asked: paths of its cells and steps.
            whole: whether it had all experiments of the suite, and their cells are known.
        """
        if not self.runs:
            return
        wanted, runs, given_up = set(asked), [], 0
        for run in FreshRuns.read(self.store).runs:
            old = {path: sha256 for path, sha256 in run.old.items() if self._is_old(path, sha256)}
            if whole and run.suite == suite:
                kept = {path: sha256 for path, sha256 in old.items() if path in wanted}
                given_up += sum(path.startswith("cells/") for path in old.keys() - kept.keys())
                old = kept
            runs.append(FreshRun(run.suite, old))
        FreshRuns(self.store, tuple(runs))._written()
        if given_up:
            LOG.warning(
                "%s: suite %r no longer asks for cells that its run with --fresh had yet to"
                " replace: %d; they stay as they are",
                self.store.root,
                suite,
                given_up,
            )

    def is_outdated(self, path: str) -> bool:
        """Return whether a fresh run has yet to replace a file."""
        return any(path in run.old and self._is_old(path, run.old[path]) for run in self.runs)

    def left(self) -> str:
        """Return in one line what the runs have left of before them; empty if nothing."""
        cells = {p for run in self.runs for p in run.old if p.startswith("cells/")}
        count = sum(self.is_outdated(path) for path in cells)
        if not count:
            return ""
        suites = ", ".join(sorted({repr(run.suite) for run in self.runs if run.suite and run.old}))
        return (
            f"{self.store.root}: a run with --fresh has not ended, and has left cells of before it:"
            f" {count}; run {f'suite {suites}' if suites else 'its suite'} again to replace them"
        )

    def _is_old(self, path: str, sha256: str) -> bool:
        return self._checksum(path) == sha256

    def _checksum(self, path: str) -> str | None:
        """Return the SHA-256 of a file in the folder; None if it is none, or behind a link."""
        place = self.store.root / path
        if not _FILE.fullmatch(path) or place.parent.is_symlink():
            return None
        try:
            return checksum(self.store.folder(path.partition("/")[0]).parent / path)
        except (UnusableError, OSError):
            return None

    def _without(self, paths: Iterable[str]) -> FreshRuns:
        gone = set(paths)
        runs = (
            FreshRun(run.suite, {p: sha256 for p, sha256 in run.old.items() if p not in gone})
            for run in self.runs
        )
        return FreshRuns(self.store, tuple(runs))

    def _written(self, *more: FreshRun) -> FreshRuns:
        found = FreshRuns(self.store, tuple(run for run in (*self.runs, *more) if run.old))
        if found.runs:
            runs = [asdict(run) for run in found.runs]
            self.store.write_json(NAME, {"format": FORMAT, "runs": runs})
        elif not not_a_file(self.store.root / NAME):
            (self.store.root / NAME).unlink(missing_ok=True)
        return found


def say_unfinished(store: Store) -> None:
    """Warn, once a folder, of cells that a fresh run has yet to replace."""
    try:
        line = FreshRuns.read(store).left()
    except StoreError as error:
        line = str(error)
    if line:
        store.say_once(line)


def _noted(store: Store, facts: dict[str, Any]) -> FreshRun:
    """Return a run from its note; an older limitbench noted all files, and experiments by name."""
    old = {str(path): str(sha256) for path, sha256 in facts["old"].items()}
    if "experiments" not in facts:
        return FreshRun(str(facts["suite"]), old)
    names = set(facts["experiments"])
    cells = (path for path in old if path.startswith("cells/") and _FILE.fullmatch(path))
    own = [path for path in cells if (store.read_json(path) or {}).get("experiment") in names]
    return FreshRun("", {path: old[path] for path in own})
