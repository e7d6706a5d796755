"""Cells as jobs of this machine: their experiments, made from their facts, and their data.

Facts name components and numbers. The components are those that are installed here.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.errors import LimitbenchError, PluginError
from harness.execution import plan_suite, run_suite
from harness.execution.driver import keep_steps
from harness.execution.pool import Watcher
from harness.records import TRAINER_VERSION, Problem
from harness.records.cell import CellFacts
from harness.registry import Registry
from harness.store import CellRecord, Store
from harness.suites import Cell, Resolved, build_problem, cells_of
from harness.suites.cells import digest, source_name
from harness.suites.experiment import Experiment, Suite
from harness.suites.recorded import recorded_experiment, recorded_spec


@dataclass
class Problems:
    """Problems of cells, with data made here; one is kept for all cells that share it.

    Attributes:
        registry: components that are installed here.
    """

    registry: Registry
    _known: dict[str, Problem | str] = field(default_factory=dict)

    def find(self, facts: CellFacts) -> Problem | str:
        """Return the problem of a cell, or the reason why it cannot be made here."""
        parts = facts.model_dump(include={"task", "data_seed", "architecture", "regime"})
        key = digest({**parts, "dts": facts.dts, "data": facts.data})
        if key not in self._known:
            self._known[key] = self._made(facts)
        return self._known[key]

    def _made(self, facts: CellFacts) -> Problem | str:
        try:
            problem = build_problem(experiment_of(facts, self.registry), self.registry)
            found = replace(problem, protocol=problem.protocol.with_steps(facts.dts))
        except LimitbenchError as error:
            return str(error).partition("\n")[0]
        except Exception as error:  # a task's code may raise anything
            return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        if found.data.digest != facts.data and found.data.rounded != facts.rounded:
            return f"its task makes other data here (digest {found.data.digest[:8]})"
        return found


def problem_of(facts: CellFacts) -> str:
    """Return a hash of a cell's problem, the same for all solvers of it."""
    names = {"data", "architecture", "regime", "dts", "observables"}
    return digest(facts.model_dump(include=names))


def experiment_of(facts: CellFacts, registry: Registry) -> Experiment:
    """Return the experiment of one cell, with the components that are installed here.

    Raises:
        LimitbenchError: if a component is missing, or of another version or source. The task may
            have any source, as its data tell.
    """
    trainer = facts.solver.trainer
    if trainer not in {None, TRAINER_VERSION}:
        raise PluginError(f"networks are trained by version {TRAINER_VERSION} here; not {trainer}")

    network, theory = facts.solver.network, facts.solver.theory
    made = replace(
        recorded_experiment(facts.experiment, facts, registry),
        theories=() if theory is None else (recorded_spec("theory", theory, registry),),
        widths=() if network is None else (network.width,),
        seeds=() if network is None else (network.seed,),
    )
    specs = [("architecture", made.architecture), ("regime", made.regime)]
    specs += [("theory", spec) for spec in made.theories]
    specs += [(source_name(spec.name), spec) for spec in made.observables]
    for kind, spec in specs:
        if (known := facts.sources.get(kind, "")) and spec.source != known:
            raise PluginError(f"{kind} {spec.name!r}, version {spec.version}, is other code here")
    return made


@contextmanager
def run_again(
    records: Sequence[CellRecord],
    problems: Problems,
    watcher: Watcher,
    *,
    plugin_dirs: Sequence[str] = (),
    workers: int | None = None,
    timeout: float | None = None,
) -> Iterator[dict[str, CellRecord | str]]:
    """Run cells again in worker processes, in a folder that is removed afterwards.

    Args:
        records: the cells, whose problems can be made here.
        problems: makes them.
        watcher: receives progress.
        plugin_dirs: folders of plugins, as for `run_suite`.
        workers: processes.
        timeout: seconds after which a job is stopped.

    Yields:
        For every key, the new record, or the reason why the cell cannot be run here.
    """
    found: dict[str, CellRecord | str] = {}
    keys: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="limitbench-") as folder:
        store = Store(Path(folder) / "results")
        for dtype in ("float32", "float64"):
            # theories have no precision of their own, and go with the first
            alike = [r for r in records if (r.facts.solver.dtype or "float32") == dtype]
            experiments = list(_experiments(alike, problems, found, keys))
            if not experiments:
                continue
            suite = Suite("again", (), (), dtype, tuple(e for e, _ in experiments))
            for experiment, resolved in experiments:
                keep_steps(store, experiment, suite, resolved.data, resolved.dts)
            reports = run_suite(
                plan_suite(suite),
                store,
                watcher,
                plugin_dirs=plugin_dirs,
                workers=workers,
                timeout=timeout,
            )
            failed = {c.key: r.message for c, r in reports if r.status == "failed"}
            found |= {key: failed[here] for key, here in keys.items() if here in failed}
        for record in records:
            made = store.read(keys.get(record.key, record.key))
            found.setdefault(record.key, made or "it was not run here")
        yield found


def _experiments(
    records: Iterable[CellRecord],
    problems: Problems,
    refused: dict[str, CellRecord | str],
    keys: dict[str, str],
) -> Iterator[tuple[Experiment, Resolved]]:
    """Yield experiments whose cells are the given ones: one for each problem and width or theory.

    A cell that cannot be one of theirs is refused, with the reason. `keys` takes the keys of the
    others here, where data may differ by rounding errors.
    """
    grouped: dict[str, tuple[Experiment, Resolved]] = {}
    for record in records:
        facts, resolved = record.facts, Resolved(record.facts.data, tuple(record.facts.dts))
        try:
            experiment = experiment_of(facts, problems.registry)
            suite = Suite("again", (), (), facts.solver.dtype or "float32", (experiment,))
            (cell,) = cells_of(experiment, suite, resolved)
        except LimitbenchError as error:
            refused[record.key] = str(error).partition("\n")[0]
            continue
        if cell.key != record.key:
            refused[record.key] = "its facts name parameters that components here do not have"
            continue
        problem = problems.find(facts)
        if isinstance(problem, Problem):
            resolved = Resolved(problem.data.digest, resolved.dts)
        keys[record.key] = replace(cell, resolved=resolved).key
        group = json.dumps([_of(cell), experiment.theories and experiment.theories[0].identity])
        if group in grouped:
            known = grouped[group][0]
            experiment = replace(known, seeds=(*(known.seeds or ()), *(experiment.seeds or ())))
        grouped[group] = experiment, resolved
    names: set[str] = set()
    for number, (experiment, resolved) in enumerate(grouped.values()):
        name = experiment.name if experiment.name not in names else f"{experiment.name} ({number})"
        names.add(name)
        yield replace(experiment, name=name), resolved


def _of(cell: Cell) -> list[object]:
    """Return all that cells of one job share."""
    return [cell.shared_key, cell.solver.width]
