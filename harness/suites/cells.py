"""Cells, the units of work, and their keys."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from harness.suites.expand import Experiment, Spec, Suite
from harness.suites.schema import Dtype

FORMAT = 1
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


@dataclass(frozen=True)
class Cell:
    """A problem and a solver: one unit of work.

    Attributes:
        experiment: what the problem is made of.
        dts: the resolved step of every stage.
        solver: who solves it.
    """

    experiment: Experiment
    dts: tuple[float, ...]
    solver: Solver

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that determines the result, as plain JSON; names of experiments do not."""
        return {
            "format": FORMAT,
            **problem_identity(self.experiment),
            "dts": list(self.dts),
            "solver": asdict(self.solver),
        }

    @cached_property
    def problem_key(self) -> str:
        """Hash of the problem alone, the same for every solver of it."""
        return digest({**problem_identity(self.experiment), "dts": list(self.dts)})

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


def problem_identity(experiment: Experiment) -> dict[str, Any]:
    """Return what determines a problem but for steps that are still "auto"."""
    return {
        "task": asdict(experiment.task),
        "data_seed": experiment.data_seed,
        "architecture": asdict(experiment.architecture),
        "regime": asdict(experiment.regime),
    }


def digest(identity: dict[str, Any]) -> str:
    """Return 24 hexadecimal digits of the SHA-256 of canonical JSON."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def cells_of(experiment: Experiment, suite: Suite, dts: tuple[float, ...]) -> list[Cell]:
    """Return the cells of an experiment: every width and seed, and every theory."""
    widths = suite.widths if experiment.widths is None else experiment.widths
    seeds = suite.seeds if experiment.seeds is None else experiment.seeds
    networks = [Solver("network", width, seed, suite.dtype) for width in widths for seed in seeds]
    theories = [Solver(spec.name, theory=spec) for spec in experiment.theories]
    return [Cell(experiment, dts, solver) for solver in (*networks, *theories)]
