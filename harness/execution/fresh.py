"""Interrupted runs with --fresh: the files that they have yet to replace.

Before it begins, a fresh run notes the existing results and steps. Until it ends, these files
count as missing for its experiments, so that the next run goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, replace

from harness.errors import StoreError
from harness.store import Store
from harness.store.check import checksum
from harness.store.files import not_a_file
from harness.suites.cells import FORMAT

NAME = "fresh.json"


@dataclass(frozen=True)
class FreshRun:
    """One run with --fresh that has not ended.

    Attributes:
        experiments: names of the experiments that it computes again.
        old: SHA-256 of the files that existed when it began, by their path in the folder.
    """

    experiments: tuple[str, ...]
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
            runs = tuple(
                FreshRun(
                    tuple(str(name) for name in run["experiments"]),
                    {str(path): str(digest) for path, digest in run["old"].items()},
                )
                for run in facts["runs"]
            )
        except (KeyError, TypeError, AttributeError):
            raise StoreError(
                f"{store.root / NAME}: not written by limitbench; remove it, and run with --fresh"
            ) from None
        return cls(store, runs)

    def begin(self, experiments: Iterable[str]) -> FreshRuns:
        """Note that a fresh run of experiments begins; return the runs noted then."""
        root = self.store.root
        paths = [*self.store.folder("cells").glob("*/cell.json")]
        paths += self.store.folder("steps").glob("*.json")
        old = {
            path.relative_to(root).as_posix(): checksum(path)
            for path in paths
            if not path.is_symlink() and not path.parent.is_symlink()
        }
        names = tuple(experiments)
        return self._without(names)._written(FreshRun(names, old))

    def end(self, experiments: Iterable[str]) -> None:
        """Note that experiments are computed completely."""
        left = self._without(tuple(experiments))
        if left.runs != self.runs:
            left._written()

    def is_outdated(self, experiment: str, path: str) -> bool:
        """Return whether a fresh run of an experiment has yet to replace a file."""
        expected = [
            run.old[path] for run in self.runs if experiment in run.experiments and path in run.old
        ]
        if not expected:
            return False
        try:
            return checksum(self.store.root / path) in expected
        except OSError:
            return False

    def _without(self, names: Collection[str]) -> FreshRuns:
        runs = (
            replace(run, experiments=tuple(e for e in run.experiments if e not in names))
            for run in self.runs
        )
        return replace(self, runs=tuple(run for run in runs if run.experiments))

    def _written(self, *more: FreshRun) -> FreshRuns:
        found = replace(self, runs=(*self.runs, *more))
        if found.runs:
            runs = [asdict(run) for run in found.runs]
            self.store.write_json(NAME, {"format": FORMAT, "runs": runs})
        elif not not_a_file(self.store.root / NAME):
            (self.store.root / NAME).unlink(missing_ok=True)
        return found
