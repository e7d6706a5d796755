"""Experiments read back from a results folder, and the export of all their values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from harness.errors import StoreError
from harness.store.cells import LOG, CellRecord, Store
from harness.store.check import Manifest
from harness.store.fresh import say_unfinished
from harness.store.tables import CURVES


@dataclass(frozen=True)
class ExperimentResults:
    """The cells of one experiment.

    Attributes:
        name: name of the experiment in the suite.
        suite: name of the suite that was run.
        records: cells on disk, whatever their status, networks by width and seed first.
        absent: keys of the cells that the suite names and the folder lacks.
        failure: reason why it has no cells: its problem could not be made, or no step was found.
        scored: observables of one's own that are scored.
    """

    name: str
    suite: str
    records: list[CellRecord] = field(default_factory=list)
    absent: tuple[str, ...] = ()
    failure: str = ""
    scored: tuple[str, ...] = ()

    @property
    def missing(self) -> int:
        """Number of cells that the suite names and the folder lacks."""
        return len(self.absent)

    @property
    def theories_alone(self) -> bool:
        """Whether theories alone were run, without networks, and no cell is missing."""
        widths = [record.facts.solver.width for record in self.records]
        whole = not self.absent and not self.failure and not self.with_status("failed")
        return bool(widths) and whole and all(width is None for width in widths)

    def with_status(self, status: str) -> list[CellRecord]:
        """Return the cells of a status."""
        return [r for r in self.records if r.status == status]

    def networks(self) -> dict[int, list[CellRecord]]:
        """Return finished networks by width, seeds in order."""
        found: dict[int, list[CellRecord]] = {}
        for record in sorted(self.with_status("done"), key=lambda r: r.facts.solver.seed or 0):
            if network := record.facts.solver.network:
                found.setdefault(network.width, []).append(record)
        return dict(sorted(found.items()))

    def theories(self) -> dict[str, CellRecord]:
        """Return finished theories by name."""
        done = self.with_status("done")
        return {r.facts.solver.name: r for r in done if r.facts.solver.width is None}


@dataclass(frozen=True)
class ListedExperiment:
    """An experiment of a results folder, before its cells are read.

    Attributes:
        name: name of the experiment in the suite.
        suite: name of the suite that was run; empty if no manifest names the experiment.
        keys: keys of its cells.
        asked: requested facts, which replace those that its cells were computed for.
        failure: reason why it has no cells.
        scored: observables of one's own that are scored.
    """

    name: str
    suite: str
    keys: tuple[str, ...]
    asked: dict[str, Any] = field(default_factory=dict)
    failure: str = ""
    scored: tuple[str, ...] = ()

    def filled(self, cells: Mapping[str, CellRecord]) -> ExperimentResults:
        """Return the experiment with those of its cells that are among the given ones."""
        records = [cells[key] for key in self.keys if key in cells]
        if self.asked:
            records = [replace(r, facts=r.facts.model_copy(update=self.asked)) for r in records]
        absent = tuple(key for key in self.keys if key not in cells)
        return ExperimentResults(self.name, self.suite, records, absent, self.failure, self.scored)


def experiments(store: Store) -> list[ExperimentResults]:
    """Return the experiments of a results folder, in the order of their suites.

    An experiment consists of the cells that its last run named; these carry the task that it
    asked for, although another task with the same data may have made them. Cells that no manifest
    names, of experiments that none names, now or formerly, are grouped by the experiment that they
    were computed for. A warning tells of cells that a run with --fresh has yet to replace.

    Raises:
        StoreError: if this is no results folder.
    """
    say_unfinished(store)
    cells = {record.key: record for record in store.cells()}
    return [each.filled(cells) for each in _listed(store.manifests(), cells, cells.get)]


def listed_experiments(store: Store) -> list[ListedExperiment]:
    """Return the experiments as `experiments` does, without reading cells named by a manifest.

    Raises:
        StoreError: if this is no results folder.
    """
    say_unfinished(store)
    return _listed(store.manifests(), [path.name for path in store.folders()], store.read)


def _listed(
    manifests: Iterable[Manifest],
    keys: Iterable[str],
    read: Callable[[str], CellRecord | None],
) -> list[ListedExperiment]:
    found, named = [], set[str]()
    taken: set[str] = set()
    for each in manifests:
        own = tuple(dict.fromkeys(each.cells))
        asked = {"task": each.task, "data_seed": each.data_seed}
        scored = tuple(each.scored)
        found.append(
            ListedExperiment(each.experiment, each.suite, own, asked, each.failure, scored)
        )
        named.update((each.experiment, *each.formerly))
        taken.update(own)
    orphans: dict[str, list[str]] = {}
    for key in keys:
        if key not in taken and (record := read(key)) and record.facts.experiment not in named:
            orphans.setdefault(record.facts.experiment, []).append(key)
    return found + [ListedExperiment(n, "", tuple(k)) for n, k in sorted(orphans.items())]


TIDY = pa.schema(
    [
        ("experiment", pa.string()),
        ("solver", pa.string()),
        ("width", pa.int64()),
        ("seed", pa.int64()),
        *CURVES,
    ]
)
"""Columns of an export, and their types."""

COLUMNS = tuple(TIDY.names)


Marks = Mapping[tuple[str, str], tuple[str, str]]
"""Experiment and solver as tables name them, by experiment and key of a cell."""


def tidy_table(experiment: str, record: CellRecord) -> pa.Table:
    """Return every recorded value of a finished cell, in the columns `COLUMNS`."""
    names = experiment, record.facts.solver.name
    parts = [_named(names, record, part).cast(TIDY) for part in record.parts()]
    return pa.concat_tables(parts) if parts else TIDY.empty_table()


def _named(names: tuple[str, str], record: CellRecord, curves: pa.Table) -> pa.Table:
    """Return a cell's recorded values with columns that identify the cell; text is encoded."""
    solver, count = record.facts.solver, len(curves)
    whose = {
        "experiment": _repeated(names[0], count),
        "solver": _repeated(names[1], count),
        "width": pa.repeat(pa.scalar(solver.width, pa.int64()), count),
        "seed": pa.repeat(pa.scalar(solver.seed, pa.int64()), count),
    }
    return pa.table({**whose, **{name: curves[name] for name in curves.column_names}})


def _repeated(text: str, count: int) -> pa.DictionaryArray:
    codes = np.zeros(count, np.int32)
    return pa.DictionaryArray.from_arrays(codes, pa.array([text], pa.string()))


def readable_tables(
    records: Iterable[tuple[str, CellRecord]], marks: Marks | None = None
) -> Iterator[tuple[CellRecord, pa.Table]]:
    """Yield each cell with its experiment and its `tidy_table`; a large table comes in parts.

    Text is dictionary-encoded. A cell whose curves cannot be read is left out, with a warning of
    the logger ``harness.store``.
    """
    for experiment, record in records:
        names = (marks or {}).get((experiment, record.key), (experiment, record.facts.solver.name))
        try:
            for part in record.parts():
                yield record, _named(names, record, part)
        except StoreError as error:
            LOG.warning("%s; ignored", error)


def export_tables(store: Store, marks: Marks | None = None) -> Iterator[pa.Table]:
    """Yield tidy tables, with `COLUMNS`, of every finished cell of every experiment.

    A table holds a cell, or a part of a large one, so that a folder of any size can be exported.

    Args:
        store: the results folder.
        marks: as `harness.scoring.distinct.marks` returns them; without them, problems of one
            name are not told apart.
    """
    found = experiments(store)
    done = ((e.name, record) for e in found for record in e.with_status("done"))
    return (table.cast(TIDY) for _, table in readable_tables(done, marks))


def gathered(tables: Iterable[pa.Table], rows: int = 2**18) -> Iterator[pa.Table]:
    """Yield tables joined into larger ones; all but the last have at least so many rows."""
    held: list[pa.Table] = []
    for table in tables:
        held.append(table)
        if sum(map(len, held)) >= rows:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)


def export_rows(store: Store, marks: Marks | None = None) -> Iterator[dict[str, Any]]:
    """Yield every recorded value of every finished cell, with `COLUMNS` as keys.

    Arguments as for `export_tables`.
    """
    for table in export_tables(store, marks):
        yield from table.to_pylist()
