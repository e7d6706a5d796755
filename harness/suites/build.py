"""From an experiment to its problem: making data, architecture and protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.errors import PluginError, SuiteError
from harness.processes import one_thread
from harness.records import Problem, Protocol, TransferData, UnitObservable
from harness.records.cell import ProblemKind
from harness.records.protocol import ProtocolError
from harness.registry import Component, Registry
from harness.registry.declare import unit_observable
from harness.suites.experiment import Experiment


def build_problem(
    experiment: Experiment,
    registry: Registry,
    enter: Callable[[Component], None] = lambda _: None,
    data: TransferData | None = None,
) -> Problem:
    """Make an experiment's data, architecture and protocol.

    Args:
        experiment: the experiment.
        registry: the components.
        enter: called with each component before the component is called.
        data: data of the experiment, if already made.

    Raises:
        LimitbenchError: if a component of that version is missing, or the parts do not fit.
    """
    protocol = build_protocol(experiment, registry, enter)
    architecture = _make("architecture", experiment, registry, enter)
    made = build_data(experiment, registry, enter) if data is None else data
    try:
        return Problem(made, architecture, protocol)
    except ValueError as error:
        raise SuiteError(f"experiment {experiment.name!r}: {error}") from None


def build_protocol(
    experiment: Experiment,
    registry: Registry,
    enter: Callable[[Component], None] = lambda _: None,
) -> Protocol:
    """Make an experiment's stages; arguments and errors as for `build_problem`."""
    try:
        stages = _make("regime", experiment, registry, enter)
        return stages if isinstance(stages, Protocol) else Protocol(tuple(stages))
    except ProtocolError as error:
        raise SuiteError(
            f"experiment {experiment.name!r}: regime {experiment.regime.name!r}: {error}"
        ) from None


def build_observables(experiment: Experiment, registry: Registry) -> tuple[UnitObservable, ...]:
    """Return the observables of one's own that an experiment asks for, with their parameters.

    Raises:
        PluginError: if one is missing, of another version, or its source has changed.
    """
    found = []
    for spec in experiment.observables:
        component = registry.get("observable", spec.name)
        found.append(unit_observable(component, spec.parsed(registry, component)))
    return tuple(found)


def build_data(
    experiment: Experiment,
    registry: Registry,
    enter: Callable[[Component], None] = lambda _: None,
) -> TransferData:
    """Make an experiment's data; arguments and errors as for `build_problem`.

    Raises:
        PluginError: if the task does not return `TransferData`.
    """
    with one_thread():
        made = _make("task", experiment, registry, enter, experiment.data_seed)
    if not isinstance(made, TransferData):
        raise PluginError(
            f"task {experiment.task.name!r} returned {type(made).__name__}; harness.TransferData is"
            " needed"
        )
    return made


def _make(
    kind: ProblemKind,
    experiment: Experiment,
    registry: Registry,
    enter: Callable[[Component], None],
    *rest: Any,
) -> Any:
    spec = experiment.parts[kind]
    component = registry.get(kind, spec.name)
    enter(component)
    return spec.make(registry, component, *rest)
