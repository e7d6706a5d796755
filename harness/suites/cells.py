"""Cells, the units of work, and their keys."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from harness.records import TRAINER_VERSION, Dtype
from harness.records.cell import ExperimentKind
from harness.suites.experiment import Experiment, Spec, Suite

FORMAT = 2
"""Version of what a cell's folder holds; part of every key."""


@dataclass(frozen=True)
class Solver:
    """A network of one width and seed, or a theory.

    Attributes:
        name: "network", or the theory's name.
        width, seed, dtype: of the network; None for a theory.
        theory: of the theory; None for a network.
    """

    name: str
    width: int | None = None
    seed: int | None = None
    dtype: Dtype | None = None
    theory: Spec | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What determines its results on a given problem, as plain JSON."""
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
    """What is known of an experiment's problem once its data are made.

    Attributes:
        data: digest of the data, as `TransferData.digest` has it.
        dts: the step of every stage.
    """

    data: str
    dts: tuple[float, ...]


UNRESOLVED = Resolved("", ())
"""Of an experiment whose data, or steps, cannot be found; none of its cells is computed."""


@dataclass(frozen=True)
class Cell:
    """A problem and a solver: one unit of work.

    Attributes:
        experiment: what the problem is made of.
        resolved: its data, and the step of every stage.
        solver: who solves it.
    """

    experiment: Experiment
    resolved: Resolved
    solver: Solver

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that determines the result, as plain JSON.

        The data stand for themselves: neither the task that made them, nor the place they came
        from, nor the name of an experiment is a part.
        """
        return {
            "format": FORMAT,
            **problem_identity(self.experiment, self.resolved.data),
            "dts": list(self.resolved.dts),
            "solver": self.solver.identity,
        }

    @property
    def provenance(self) -> dict[str, Any]:
        """What was asked for, and digests of the source that answered, as plain JSON."""
        experiment = self.experiment
        specs: list[tuple[ExperimentKind, Spec]] = [*experiment.parts.items()]
        if self.solver.theory is not None:
            specs.append(("theory", self.solver.theory))
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
    def key(self) -> str:
        """Hash of the identity: the name of the cell's folder."""
        return digest(self.identity)

    @property
    def title(self) -> str:
        """What progress and errors call it."""
        if self.solver.width is None:
            return f"{self.experiment.name} · {self.solver.name}"
        return f"{self.experiment.name} · width {self.solver.width} seed {self.solver.seed}"


def problem_identity(experiment: Experiment, data: str) -> dict[str, Any]:
    """Return what determines a problem but for steps that are still "auto".

    Args:
        experiment: what it is made of.
        data: digest of its data.
    """
    return {
        "data": data,
        "architecture": experiment.architecture.identity,
        "regime": experiment.regime.identity,
    }


def task_key(experiment: Experiment) -> str:
    """Return a hash of the task that is asked for, its parameters and the seed of its data."""
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
