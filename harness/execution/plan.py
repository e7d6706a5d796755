"""Plans of runs: the experiments that are wanted, and the cells of theirs that are missing."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field

from harness.errors import SuiteError, nearest
from harness.execution.calls import Inspected, Spent
from harness.execution.outcomes import JobFailure
from harness.suites import Cell, Experiment, Resolved, Suite, cells_of


@dataclass
class Plan:
    """What a suite asks for, and what of it is there already.

    Attributes:
        suite: with the experiments that are wanted.
        named: names of all experiments of the suite, wanted or not.
        fresh: whether earlier results are computed again.
        data: what is known of the data by experiment name, of those that could be made.
        dts: resolved steps by experiment name; None while a pilot run must find them.
        failed: why an experiment has no cells, by its name.
        missing: cells without a result, of the experiments whose data and steps are known.
        finished: number of cells that have one.
        stamps: when cells were last written, as `Store.stamp` says, before they were looked at.
        again: numbers of cells that have a result and are computed again, by the reason.
        spent: by pilot runs and jobs of a run.
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
        """Return what is known of an experiment's problem; None while it is not all known."""
        data, dts = self.data.get(experiment.name), self.dts.get(experiment.name)
        return None if data is None or dts is None else Resolved(data.digest, dts)

    def cells(self, experiment: Experiment) -> list[Cell]:
        """Return the cells of an experiment; none while it is not all known."""
        resolved = self.resolved(experiment)
        return [] if resolved is None else cells_of(experiment, self.suite, resolved)


def select(suite: Suite, pattern: str | None) -> Suite:
    """Return the suite with the experiments whose names match a glob.

    Raises:
        SuiteError: if none does.
    """
    if pattern is None:
        return suite
    # brackets in names come from sweeps, so they stand for themselves
    literal = pattern.replace("[", "[[]")
    wanted = tuple(e for e in suite.experiments if fnmatch.fnmatchcase(e.name, literal))
    if not wanted:
        names = [e.name for e in suite.experiments]
        raise SuiteError(
            f"--only {pattern!r} matches no experiment of suite {suite.name!r}"
            f"{nearest(pattern, names)}; there are {', '.join(names)}"
        )
    return Suite(suite.name, suite.widths, suite.seeds, suite.dtype, wanted)


def plan_suite(suite: Suite, fresh: bool = False, only: str | None = None) -> Plan:
    """Return a plan of which nothing is known yet; `look_up` and `run_suite` complete it.

    Args:
        suite: what to run.
        fresh: take no earlier result.
        only: a glob of the experiments that are wanted.

    Raises:
        SuiteError: if no experiment matches.
    """
    return Plan(select(suite, only), tuple(e.name for e in suite.experiments), fresh)
