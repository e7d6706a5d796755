"""Facts of a cell, as in its ``cell.json``: its problem, its solver and its outcome."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness.records.data import TaskName

Status = Literal["done", "failed", "not-applicable"]
"""Whether a cell holds a result, failed, or lies outside the domain of its theory."""

ProblemKind = Literal["task", "architecture", "regime"]
"""Kinds of the components of a problem."""

ExperimentKind = Literal[ProblemKind, "theory"]
"""Kinds of the components of an experiment."""

ComponentName = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=200)]
ObservableName = Annotated[
    str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*(/[a-z0-9]+(-[a-z0-9]+)*)?$", max_length=100)
]
Whole = Annotated[int, Field(ge=0, lt=2**63)]
Width = Annotated[int, Field(ge=1, lt=2**31)]
Seconds = Annotated[float, Field(ge=0)]
Short = Annotated[str, Field(max_length=200)]
Title = Annotated[str, Field(max_length=10_000)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False, frozen=True)


class SpecFacts(_Strict):
    """A component as a cell names it.

    Attributes:
        name, version: name and version of the component.
        parameters: parameters as plain JSON.
    """

    name: ComponentName
    version: Short
    parameters: dict[Short, Any]


class ObservableFacts(SpecFacts):
    """An observable of one's own as a cell names it; its name may have two parts."""

    name: ObservableName


class NetworkFacts(NamedTuple):
    """A network: its width, its seed and its precision."""

    width: int
    seed: int
    dtype: str


class SolverFacts(_Strict):
    """Solver of a cell's problem.

    Attributes:
        name: "network", or the theory's name.
        width, seed, dtype, trainer: facts of the network; None for a theory.
        theory: the theory's component; None for a network.
    """

    name: ComponentName
    width: Width | None
    seed: Whole | None
    dtype: Literal["float32", "float64"] | None
    trainer: Short | None
    theory: SpecFacts | None

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> SolverFacts:
        network = (self.width is None, self.seed is None, self.dtype is None)
        if self.theory is not None and (not all(network) or self.theory.name != self.name):
            raise ValueError("a theory has its own name, and neither width, seed nor dtype")
        if self.theory is None and (any(network) or self.name != "network"):
            raise ValueError("a network has width, seed and dtype, and the name network")
        return self

    @property
    def network(self) -> NetworkFacts | None:
        """The network, if the solver is one."""
        if self.width is None or self.seed is None or self.dtype is None:
            return None
        return NetworkFacts(self.width, self.seed, self.dtype)


class EnvironmentFacts(_Strict):
    """Environment in which a cell was computed; there may be further facts.

    Attributes:
        versions: versions of limitbench and of the packages that numbers depend on.
        settings: of the compiler, from environment variables.
    """

    model_config = ConfigDict(extra="allow")
    versions: dict[str, str] = {}
    settings: dict[str, str] = {}


class CellFacts(_Strict):
    """Facts of a cell; further facts in ``cell.json`` are not read.

    Attributes:
        experiment: name of the experiment for which it was computed.
        data: digest of the data.
        rounded: `TransferData.rounded` of the data; empty if it was not recorded.
        task, data_seed: component and seed that made the data.
        sources: digests of the components' source, by kind.
        unkeyed: parameters that change no result, by kind.
        architecture, regime, dts, solver: together with the data, these determine the result.
        observables: observables of one's own that were asked for, which are recorded as well.
        stages: task of every stage, where there is a result.
        status: whether there is a result.
        message, phase, traceback, log: reason why there is none, and place of the failure.
        started, seconds: start and duration.
        notes: notes of the solver.
        environment: environment in which it was computed.
        sha256: checksums of its tables, by file name.
    """

    experiment: Title
    data: Short
    rounded: Short = ""
    task: SpecFacts
    data_seed: Whole
    sources: dict[Short, Short]
    unkeyed: dict[Short, dict[Short, Any]] = {}
    architecture: SpecFacts
    regime: SpecFacts
    dts: Annotated[list[Seconds], Field(min_length=1, max_length=1000)]
    solver: SolverFacts
    observables: Annotated[list[ObservableFacts], Field(max_length=1000)] = []
    stages: Annotated[list[TaskName], Field(max_length=1000)] = []
    status: Status
    message: str = ""
    phase: str = ""
    traceback: str = ""
    log: str = ""
    started: str = ""
    seconds: Seconds = 0.0
    notes: dict[str, float | int | str] = {}
    environment: EnvironmentFacts = EnvironmentFacts()
    sha256: dict[str, str] = {}

    @property
    def components(self) -> dict[ExperimentKind, SpecFacts]:
        """The components of the cell, by kind; that of a theory only if the solver is one."""
        found: dict[ExperimentKind, SpecFacts] = {
            "task": self.task,
            "architecture": self.architecture,
            "regime": self.regime,
        }
        if self.solver.theory is not None:
            found["theory"] = self.solver.theory
        return found
