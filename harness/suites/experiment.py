"""Suites and experiments, and the components with their parameters that these are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from harness.errors import PluginError
from harness.records import Dtype
from harness.records.cell import ProblemKind
from harness.registry import Component, Registry
from harness.registry.component import PROBLEM_KINDS


@dataclass(frozen=True)
class Spec:
    """A component as an experiment names it: enough to make it again, anywhere.

    Attributes:
        name, version: of the component.
        parameters: that determine results; complete (defaults filled in) and plain JSON.
        unkeyed: the others, such as the memory that a theory may take.
        source: digest of the component's source, by which a change of it is noticed.
    """

    name: str
    version: str
    parameters: dict[str, Any]
    unkeyed: dict[str, Any] = field(default_factory=dict)
    source: str = ""

    @property
    def identity(self) -> dict[str, Any]:
        """What determines results, as plain JSON."""
        return {"name": self.name, "version": self.version, "parameters": self.parameters}

    @property
    def asked(self) -> dict[str, Any]:
        """All that was asked for, as plain JSON."""
        return self.identity | {"parameters": self.parameters | self.unkeyed}

    def make(self, registry: Registry, component: Component, *rest: Any) -> Any:
        """Make what the component makes, with these parameters.

        Args:
            registry: that has the component.
            component: of this name.
            rest: further arguments, such as the seed of a task.

        Raises:
            PluginError: if the component is of another version, or its source has changed.
        """
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
        return component.make(component.parse(self.parameters | self.unkeyed), *rest)


@dataclass(frozen=True)
class Experiment:
    """One point of a suite: a task, an architecture, a regime, and the theories to test.

    `widths` and `seeds` are of its own networks; None where they are the suite's.
    """

    name: str
    task: Spec
    data_seed: int
    architecture: Spec
    regime: Spec
    theories: tuple[Spec, ...]
    widths: tuple[int, ...] | None = None
    seeds: tuple[int, ...] | None = None

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
