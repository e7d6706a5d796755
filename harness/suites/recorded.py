"""Experiments from the facts of cells, made of the components that are installed here."""

from __future__ import annotations

from harness.errors import PluginError
from harness.records.cell import CellFacts, SpecFacts
from harness.registry import Registry
from harness.registry.component import Kind
from harness.suites.expand import spec_of
from harness.suites.experiment import Experiment, Spec


def recorded_experiment(name: str, facts: CellFacts, registry: Registry) -> Experiment:
    """Return the experiment of a cell, without theories.

    Args:
        name: name of the experiment.
        facts: facts of one of its cells.
        registry: the components.

    Raises:
        LimitbenchError: if a component is missing or of another version, or takes other
            parameters.
    """
    observed = [recorded_spec("observable", each, registry) for each in facts.observables]
    return Experiment(
        name=name,
        task=recorded_spec("task", facts.task, registry),
        data_seed=facts.data_seed,
        architecture=recorded_spec("architecture", facts.architecture, registry),
        regime=recorded_spec("regime", facts.regime, registry),
        theories=(),
        observables=tuple(observed),
    )


def recorded_spec(kind: Kind, facts: SpecFacts, registry: Registry) -> Spec:
    """Return a component of a cell; errors as for `recorded_experiment`."""
    component = registry.get(kind, facts.name)
    if component.version != facts.version:
        raise PluginError(
            f"{kind} {facts.name!r} is version {component.version} here, and {facts.version} in the"
            " results"
        )
    return spec_of(registry, component, dict(facts.parameters), f"{kind} {facts.name!r}")
