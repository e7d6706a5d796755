"""Plans of runs: wanted experiments, and their missing cells."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from harness.execution.calls import Inspected, Spent
from harness.execution.outcomes import JobFailure
from harness.suites import Cell, Experiment, Globs, Resolved, Suite, cells_of, matching


@dataclass
class Plan:
    """Cells that a suite asks for, finished and missing.

    Attributes:
        suite: suite with the wanted experiments alone.
        named: names of all experiments of the suite, wanted or not.
        fresh: whether earlier results are computed again.
        data: digests and sizes of data that could be made, by experiment name.
        dts: resolved steps by experiment name; None while a pilot run must find them.
        failed: reason why an experiment has no cells, by its name.
        missing: cells without a result, for experiments whose data and steps are known.
        finished: number of cells that have a result.
        stamps: `Store.stamp` of cells, taken before they were read.
        again: numbers of cells that have a result and are computed again, by the reason.
        spent: time and programs of the run's pilots and jobs.
    """

    suite: Suite
    named: tuple[str, ...] = ()
    fresh: bool = False
    data: dict[str, Inspected] = field(default_factory=dict)
    dts: dict[str, tuple[float, ...] | None] = field(default_factory=dict)
    failed: dict[str, JobFailure] = field(default_factory=dict)
    missing: list[Cell] = field(default_factory=list)
    finished: int = 0
    stamps: dict[str, int | None] = field(default_factory=dict)
    again: dict[str, int] = field(default_factory=dict)
    spent: Spent = field(default_factory=Spent)

    def resolved(self, experiment: Experiment) -> Resolved | None:
        """Return the data and steps of an experiment; None while one of them is not known."""
        data, dts = self.data.get(experiment.name), self.dts.get(experiment.name)
        return None if data is None or dts is None else Resolved(data.digest, dts)

    def cells(self, experiment: Experiment) -> list[Cell]:
        """Return the cells of an experiment; empty while its data or steps are not known."""
        resolved = self.resolved(experiment)
        return [] if resolved is None else cells_of(experiment, self.suite, resolved)


def plan_suite(suite: Suite, fresh: bool = False, only: Globs = None) -> Plan:
    """Return a plan without data, steps and cells; `look_up` and `run_suite` complete it.

    Args:
        suite: suite to run.
        fresh: ignore earlier results.
        only: glob for the names of wanted experiments, or several; all by default.

    Raises:
        SuiteError: if a glob matches no experiment.
    """
    names = tuple(experiment.name for experiment in suite.experiments)
    wanted = matching(names, only, f"of suite {suite.name!r}")
    chosen = tuple(e for e in suite.experiments if e.name in wanted)
    return Plan(replace(suite, experiments=chosen), names, fresh)
