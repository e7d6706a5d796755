"""Suites, experiments, and their components with parameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from harness.errors import PluginError
from harness.records import Dtype
from harness.records.cell import ProblemKind
from harness.registry import Component, Params, Registry
from harness.registry.component import PROBLEM_KINDS


@dataclass(frozen=True)
class Spec:
    """A component as an experiment names it, with all facts for making it on any machine.

    Attributes:
        name, version: name and version of the component.
        parameters: parameters that determine results; complete (defaults filled in), plain JSON.
        unkeyed: other parameters, such as the memory that a theory may take.
        source: digest of the component's source, to detect its changes.
    """

    name: str
    version: str
    parameters: dict[str, Any]
    unkeyed: dict[str, Any] = field(default_factory=dict)
    source: str = ""

    @property
    def identity(self) -> dict[str, Any]:
        """Facts that determine results, as plain JSON."""
        return {"name": self.name, "version": self.version, "parameters": self.parameters}

    @property
    def asked(self) -> dict[str, Any]:
        """All requested facts, as plain JSON."""
        return self.identity | {"parameters": self.parameters | self.unkeyed}

    def make(self, registry: Registry, component: Component, *rest: Any) -> Any:
        """Call the component with these parameters, and return its product.

        Args:
            registry: registry with the component.
            component: component of this name.
            rest: further arguments, such as the seed of a task.

        Raises:
            PluginError: if the component is of another version, or its source has changed.
        """
        return component.make(self.parsed(registry, component), *rest)

    def parsed(self, registry: Registry, component: Component) -> Params:
        """Return the parameters for a component; arguments and errors as for `make`."""
        called = f"{component.kind} {self.name!r}"
        if component.version != self.version:
            raise PluginError(
                f"{called} is version {component.version} here, but the cell needs {self.version};"
                " run with the same plugins everywhere"
            )
        if self.source and registry.source(component) != self.source:
            raise PluginError(
                f"{called} is other code here than where the run was planned, under one version"
                f" ({self.version}); leave plugins alone while a run goes on, then run again"
            )
        return component.parse(self.parameters | self.unkeyed)


@dataclass(frozen=True)
class Experiment:
    """One point of a suite: a task, an architecture, a regime, and the theories to test.

    `widths` and `seeds` apply to its networks; None stands for those of the suite. `observables`
    are recorded beside those of every solver, sorted by name, and `scored` names those that are
    scored.
    """

    name: str
    task: Spec
    data_seed: int
    architecture: Spec
    regime: Spec
    theories: tuple[Spec, ...]
    widths: tuple[int, ...] | None = None
    seeds: tuple[int, ...] | None = None
    observables: tuple[Spec, ...] = ()
    scored: tuple[str, ...] = ()

    @property
    def parts(self) -> dict[ProblemKind, Spec]:
        """The components of its problem, by kind."""
        return {kind: getattr(self, kind) for kind in PROBLEM_KINDS}


@dataclass(frozen=True)
class Suite:
    """Experiments, and the networks with which each is tested."""

    name: str
    widths: tuple[int, ...]
    seeds: tuple[int, ...]
    dtype: Dtype
    experiments: tuple[Experiment, ...]
