"""Checks of a submission: of every cell without training, and of some by running them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.errors import StoreError
from harness.execution.pool import Watcher
from harness.registry import Registry
from harness.store import CellRecord, Store, listed_experiments
from harness.store.care import verify
from harness.submissions.again import Problems, problem_of, run_again
from harness.submissions.comparison import Comparison, compare
from harness.submissions.consistency import Consistency
from harness.submissions.draw import Place, draw


@dataclass(frozen=True)
class Checked:
    """Outcome of the checks.

    Attributes:
        cells: number of cells.
        seed: seed of the draw.
        faults: faults found without running anything, each with the key of its cell.
        unchecked: number of cells whose problem cannot be made here, by the reason.
        again: cells that were drawn, with their comparison.
    """

    cells: int
    seed: int
    faults: list[tuple[str, str]] = field(default_factory=list)
    unchecked: dict[str, int] = field(default_factory=dict)
    again: list[tuple[CellRecord, Comparison]] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether there are no faults, and every drawn cell came out the same."""
        return not self.faults and all(
            found.verdict in {"same bits", "same within errors"} for _, found in self.again
        )


def check(
    store: Store,
    registry: Registry,
    watcher: Watcher,
    *,
    cells: int,
    seed: int,
    plugin_dirs: Sequence[str] = (),
    workers: int | None = None,
    timeout: float | None = None,
) -> Checked:
    """Check every cell of a results folder, and run some again.

    Args:
        store: results folder.
        registry: components that are installed here.
        watcher: receives progress.
        cells: number of cells to draw: see `harness.submissions.draw.draw`; none if 0.
        seed: seed of the draw.
        plugin_dirs: folders of plugins, as for `harness.execution.run_suite`.
        workers: processes.
        timeout: seconds after which a job is stopped.

    Raises:
        StoreError: if this is no results folder.
    """
    faults: list[tuple[str, str]] = []
    for line in verify(store):
        path, _, reason = line.partition(": ")
        faults.append((path.removeprefix(f"{store.root}").lstrip("/\\"), reason))
    records = {record.key: record for record in store.cells()}
    problems = Problems(registry)
    consistency = Consistency(problems)
    for record in records.values():
        try:
            faults += [(record.key, fault) for fault in consistency.faults(record)]
        except StoreError:
            continue  # `verify` has named it
    places = {k: _place(r) for k, r in records.items() if r.status != "failed"}
    drawn = [records[key] for key in draw(places, cells, seed)] if cells else []
    own: dict[str, set[str]] = {}
    for experiment in listed_experiments(store):
        for key in experiment.keys:
            own.setdefault(key, set()).update(experiment.scored)
    possible = [record for record in drawn if record.key not in consistency.unchecked]
    again: list[tuple[CellRecord, Comparison]] = []
    with run_again(
        possible, problems, watcher, plugin_dirs=plugin_dirs, workers=workers, timeout=timeout
    ) as made:
        for record in drawn:
            new = made.get(record.key) or consistency.unchecked[record.key]
            again.append((record, _compared(record, new, own.get(record.key, set()))))
    unchecked: dict[str, int] = {}
    for reason in consistency.unchecked.values():
        unchecked[reason] = unchecked.get(reason, 0) + 1
    return Checked(len(records), seed, faults, unchecked, again)


def _compared(record: CellRecord, new: CellRecord | str, own: set[str]) -> Comparison:
    if isinstance(new, str):
        return Comparison("cannot be re-run", new)
    try:
        return compare(record, new, own)
    except StoreError as error:
        return Comparison("differs", str(error))


def _place(record: CellRecord) -> Place:
    solver = record.facts.solver
    network = solver.network
    group = solver.name if network is None else f"{network.width} {network.dtype}"
    return Place(problem_of(record.facts), group, network is not None)
