"""What cells take: plain counts of their work, at the rates of jobs that this machine finished."""

from __future__ import annotations

import json
import logging
import math
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cache import cache_folder
from harness.errors import StoreError
from harness.execution.programs import processor_key
from harness.records import TRAINER_VERSION, ProblemSize, Work
from harness.registry import Registry
from harness.store.files import write_file
from harness.suites import Cell
from harness.suites.cells import Solver, digest

if TYPE_CHECKING:
    from harness.execution.calls import Spent

LOG = logging.getLogger("harness.execution")

FLOP, ELEMENT, CALL, PROGRAM = 2e-11, 1.5e-9, 4e-4, 0.3
"""Seconds for a unit of each kind of work, and to compile a program, on a server's processor."""

LOADING = 0.3
"""Share of the time of compiling a program that taking up a kept one needs."""

IDLE_WORKER_BYTES = 350 * 2**20
"""Memory of a worker before its first job."""

NEAREST = 9
"""Finished jobs, those of the most similar work and then the last ones, that a prediction takes."""

NETWORK, PILOT = f"network {TRAINER_VERSION}", f"pilot {TRAINER_VERSION}"
"""The kinds of networks and of pilot runs: see `kind`."""

KEPT = 500
"""Jobs that are remembered, the last ones; the file is cut when it has twice as many."""


@dataclass(frozen=True)
class Finished:
    """What a job took.

    Attributes:
        kind: of its solver: what is mispredicted alike.
        cells: that it computed.
        counts: seconds that plain counts say of one of them; 0 if its work is not known.
        seconds: that one of them took, compilation aside.
        compiling: seconds of the job.
        compiled, loaded: programs that it compiled, and that it took from those that are kept.
    """

    kind: str
    cells: int
    counts: float
    seconds: float
    compiling: float
    compiled: int
    loaded: int

    @classmethod
    def of(cls, kind: str, cells: int, counts: float, spent: Spent) -> Finished:
        """Return what there is to remember of a job, or of a pilot run, which has no cells."""
        each = spent.seconds / max(1, cells)
        return cls(kind, cells, counts, each, spent.compiling, spent.compiled, spent.loaded)


@dataclass(frozen=True)
class Cost:
    """What a cell takes.

    Attributes:
        seconds: on one worker, compilation aside; None if that is not known.
        compiling: seconds that its job spends on compiling, or on loading programs.
        bytes: memory of its worker; None if that is not known.
    """

    seconds: float | None
    compiling: float
    bytes: float | None


@dataclass
class Estimates:
    """What is known of the cost of a plan's cells.

    Attributes:
        history: jobs that finished on this machine; they say how far counts are off.
        works: by experiment and `solver_name`, as far as they are known.
    """

    history: Sequence[Finished] = ()
    works: dict[tuple[str, str], Work | None] = field(default_factory=dict)
    _known: dict[tuple[str, Work | None], Cost] = field(default_factory=dict)

    def add_works(
        self, experiment: str, solvers: Iterable[Solver], works: Iterable[Work | None]
    ) -> None:
        """Take in what solving an experiment takes."""
        for solver, work in zip(solvers, works, strict=True):
            self.works[experiment, solver_name(solver)] = work

    def work(self, cell: Cell) -> Work | None:
        """Return the work of a cell; None if it is not known."""
        return self.works.get((cell.experiment.name, solver_name(cell.solver)))

    def of(self, cell: Cell) -> Cost:
        """Return what a cell takes."""
        return self.cost(kind(cell.solver), self.work(cell))

    def cost(self, name: str, work: Work | None) -> Cost:
        """Return what work of a kind takes, by jobs of that kind, the last of them first."""
        if (name, work) not in self._known:
            alike = [job for job in reversed(self.history) if job.kind == name]
            self._known[name, work] = Cost(
                _seconds(alike, _counts(work)),
                _compiling(alike, _counts(work), PROGRAM * work.programs if work else 0.0),
                None if work is None else IDLE_WORKER_BYTES + work.bytes,
            )
        return self._known[name, work]

    def finished(self, cells: Sequence[Cell], spent: Spent) -> Finished:
        """Return what there is to remember of a job that computed cells."""
        counts = _counts(self.work(cells[0]))
        return Finished.of(kind(cells[0].solver), len(cells), counts, spent)


def _counts(work: Work | None) -> float:
    return FLOP * work.flops + ELEMENT * work.elements + CALL * work.calls if work else 0.0


def _seconds(alike: Sequence[Finished], counts: float) -> float | None:
    known = [job for job in alike if bool(job.counts) == bool(counts)]
    if not known:
        return counts or None
    if not counts:
        return statistics.median(job.seconds for job in known[:NEAREST])
    known.sort(key=lambda job: abs(math.log(job.counts / counts)))
    return counts * statistics.median(job.seconds / job.counts for job in known[:NEAREST])


def _compiling(alike: Sequence[Finished], counts: float, programs: float) -> float:
    cold = [job.compiling for job in alike if job.compiled][:NEAREST]
    usual = statistics.median(cold) if cold else programs
    if not any(math.isclose(job.counts, counts) for job in alike):
        return usual
    warm = [job.compiling for job in alike if job.loaded and not job.compiled][:NEAREST]
    return statistics.median(warm) if warm else LOADING * usual


def works_of(
    size: ProblemSize, solvers: Iterable[Solver], registry: Registry
) -> tuple[Work | None, ...]:
    """Return the work of each solver of a problem; None where it is not known.

    That of networks is known for dense layers, that of theories where they have a method `cost`.
    A `cost` that fails is reported on the logger ``harness.execution`` and costs nothing else.
    """
    return tuple(_work(size, solver, registry) for solver in solvers)


def _work(size: ProblemSize, solver: Solver, registry: Registry) -> Work | None:
    if solver.theory is None:
        if size.connectivity != "dense" or solver.width is None:
            return None
        return size.training(solver.width, itemsize=8 if solver.dtype == "float64" else 4)
    component = registry.get("theory", solver.theory.name)
    try:
        cost = getattr(solver.theory.make(registry, component), "cost", None)
        found = None if cost is None else cost(size)
    except Exception as error:  # whatever a plugin raised: a prediction is not worth a run
        LOG.warning("theory %r: cost: %s: %s", solver.name, type(error).__name__, error)
        return None
    return found if isinstance(found, Work) else None


def solver_name(solver: Solver) -> str:
    """Return a name that is the same for all seeds of a width."""
    if solver.theory is None:
        return f"network {solver.width} {solver.dtype}"
    return f"theory {digest(solver.theory.asked)}"


def kind(solver: Solver) -> str:
    """Return what a solver is, whatever its sizes: cells of one kind are mispredicted alike."""
    if solver.theory is None:
        return NETWORK
    return f"{solver.theory.name} {solver.theory.version}"


def distinct(solvers: Iterable[Solver]) -> tuple[Solver, ...]:
    """Return solvers, one seed for each width."""
    return tuple({solver_name(s): s for s in solvers}.values())


def history_file() -> Path:
    """Return where this machine's history is kept."""
    name = f"{platform.node()}-{processor_key()}-{os.environ.get('JAX_PLATFORMS') or 'any'}"
    safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in name)
    return cache_folder() / "history" / f"{safe}.jsonl"


def read_history(path: Path | None) -> tuple[Finished, ...]:
    """Return what is remembered, the last jobs at the end; a damaged line is left out.

    Without a file nothing is remembered.
    """
    try:
        lines = path.read_bytes().split(b"\n") if path is not None else []
    except OSError:  # there is none yet
        return ()
    found = (_parsed(line) for line in lines[-2 * KEPT :])
    return tuple(f for f in found if f is not None)[-KEPT:]


def remember(path: Path | None, job: Finished) -> None:
    """Add a job: one write at the end, as other runs may add theirs at the same time."""
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as opened:
            opened.write(_line(job))
        if path.read_bytes().count(b"\n") > 2 * KEPT:  # a line of another run may be lost
            lines = b"".join(map(_line, read_history(path)))
            write_file(path, lambda opened: opened.write(lines), "")
    except (OSError, StoreError):  # a forecast is not worth a run
        return


def _line(job: Finished) -> bytes:
    """Return a line; its break comes first, so that one that was cut short costs itself alone."""
    return b"\n" + json.dumps(asdict(job)).encode()


def _parsed(line: bytes) -> Finished | None:
    try:
        told: dict[str, Any] = json.loads(line)
        name = told.pop("kind")
        known = isinstance(name, str) and all(0 <= number < math.inf for number in told.values())
        return Finished(name, **told) if known else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
