"""Cells, the units of work, and their keys."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from harness.records import TRAINER_VERSION, Dtype
from harness.suites.experiment import Experiment, Spec, Suite

FORMAT = 2
"""Version of the content of cell folders; part of every key."""

OBSERVABLES = "observables"
"""Fact of the identity that cells without observables of one's own do not have."""


@dataclass(frozen=True)
class Solver:
    """A network of one width and seed, or a theory.

    Attributes:
        name: "network", or the theory's name.
        width, seed, dtype: facts of the network; None for a theory.
        theory: the theory's component; None for a network.
    """

    name: str
    width: int | None = None
    seed: int | None = None
    dtype: Dtype | None = None
    theory: Spec | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """Facts that determine its results on a given problem, as plain JSON."""
        return {
            "name": self.name,
            "width": self.width,
            "seed": self.seed,
            "dtype": self.dtype,
            "trainer": TRAINER_VERSION if self.theory is None else None,
            "theory": None if self.theory is None else self.theory.identity,
        }


@dataclass(frozen=True)
class Resolved:
    """Facts of an experiment's problem that are known once its data are made.

    Attributes:
        data: digest of the data: see `TransferData.digest`.
        dts: step of every stage.
    """

    data: str
    dts: tuple[float, ...]


UNRESOLVED = Resolved("", ())
"""Stands for the facts of an experiment without data or steps; none of its cells is computed."""


@dataclass(frozen=True)
class Cell:
    """A problem and a solver: one unit of work.

    Attributes:
        experiment: components of the problem.
        resolved: its data, and the step of every stage.
        solver: solver of the problem.
    """

    experiment: Experiment
    resolved: Resolved
    solver: Solver

    @property
    def identity(self) -> dict[str, Any]:
        """All facts that determine the result, as plain JSON.

        Data enter by their digest: neither the task that made them, nor their source, nor the
        name of an experiment is included. Observables of one's own are included where there are
        any.
        """
        observed = [spec.identity for spec in self.experiment.observables]
        return {
            "format": FORMAT,
            **problem_identity(self.experiment, self.resolved.data),
            "dts": list(self.resolved.dts),
            "solver": self.solver.identity,
            **({OBSERVABLES: observed} if observed else {}),
        }

    @property
    def provenance(self) -> dict[str, Any]:
        """Requested components, and digests of their sources, as plain JSON."""
        experiment = self.experiment
        specs: list[tuple[str, Spec]] = [*experiment.parts.items()]
        if self.solver.theory is not None:
            specs.append(("theory", self.solver.theory))
        specs += [(source_name(spec.name), spec) for spec in experiment.observables]
        return {
            "task": experiment.task.asked,
            "data_seed": experiment.data_seed,
            "unkeyed": {k: spec.unkeyed for k, spec in specs if spec.unkeyed},
            "sources": {kind: spec.source for kind, spec in specs},
        }

    @cached_property
    def problem_key(self) -> str:
        """Hash of the problem alone, the same for every solver of it."""
        found = problem_identity(self.experiment, self.resolved.data)
        return digest({**found, "dts": list(self.resolved.dts)})

    @cached_property
    def shared_key(self) -> str:
        """Hash of all that cells of one job share: the problem, and observables of one's own."""
        observed = [spec.identity for spec in self.experiment.observables]
        return digest({"problem": self.problem_key, OBSERVABLES: observed})

    @cached_property
    def key(self) -> str:
        """Hash of the identity: the name of the cell's folder."""
        return digest(self.identity)

    @property
    def title(self) -> str:
        """Name of the cell in progress output and errors."""
        if self.solver.width is None:
            return f"{self.experiment.name} · {self.solver.name}"
        return f"{self.experiment.name} · width {self.solver.width} seed {self.solver.seed}"


def source_name(observable: str) -> str:
    """Return the name of an observable among the sources of a cell, whose others are kinds."""
    return f"observable {observable}"


def problem_identity(experiment: Experiment, data: str) -> dict[str, Any]:
    """Return the facts that determine a problem, apart from steps that are still "auto".

    Args:
        experiment: components of the problem.
        data: digest of its data.
    """
    return {
        "data": data,
        "architecture": experiment.architecture.identity,
        "regime": experiment.regime.identity,
    }


def task_key(experiment: Experiment) -> str:
    """Return a hash of the requested task, its parameters and its data seed."""
    return digest({**experiment.task.asked, "data_seed": experiment.data_seed})


def digest(identity: dict[str, Any]) -> str:
    """Return 24 hexadecimal digits of the SHA-256 of canonical JSON."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def solvers_of(experiment: Experiment, suite: Suite) -> list[Solver]:
    """Return the solvers of an experiment: networks of every width and seed, and theories."""
    widths = suite.widths if experiment.widths is None else experiment.widths
    seeds = suite.seeds if experiment.seeds is None else experiment.seeds
    networks = [Solver("network", width, seed, suite.dtype) for width in widths for seed in seeds]
    theories = [Solver(spec.name, theory=spec) for spec in experiment.theories]
    return [*networks, *theories]


def cells_of(experiment: Experiment, suite: Suite, resolved: Resolved) -> list[Cell]:
    """Return the cells of an experiment, in the order of `solvers_of`."""
    return [Cell(experiment, resolved, solver) for solver in solvers_of(experiment, suite)]
