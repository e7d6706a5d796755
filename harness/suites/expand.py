"""From a table of a suite to experiments: names, parameters and sweeps."""

from __future__ import annotations

import itertools
import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple, TypeGuard

from pydantic import ValidationError

from harness.errors import PluginError, SuiteError, nearest
from harness.records.cell import ProblemKind
from harness.registry import Component, Registry
from harness.registry.component import PROBLEM_KINDS
from harness.registry.parameters import difference, plain, round_trip_fault, unkeyed_names
from harness.suites.experiment import Experiment, Spec
from harness.suites.faults import Faults, explain, meant, short
from harness.suites.names import DRAWS
from harness.suites.repeats import distinct_points, repeated, repeated_entries, repeated_points
from harness.suites.schema import ComponentTable, ExperimentTable, ObservableTable, listed
from harness.suites.sound import Sound

_LISTS: Mapping[str, tuple[str, str]] = {
    "theory": ("theories", "each theory runs once in an experiment"),
    "observable": ("observables", "each observable is recorded once"),
}
"""Key of a list in a suite, and the reason why an entry may not be repeated, by kind."""


class Observed(NamedTuple):
    """Observables of one's own that are recorded, and the names of those that are scored."""

    observables: tuple[Spec, ...] = ()
    scored: tuple[str, ...] = ()


NOTHING = Observed()


def expand(
    sound: Sound,
    where: str,
    registry: Registry,
    faults: Faults,
    theories: tuple[Spec, ...] = (),
    observed: Observed = NOTHING,
) -> dict[str, Experiment | None]:
    """Return the experiments of one table by name, one for each point of its sweep.

    Invalid experiments are None: their names count all the same.

    Args:
        sound: the table.
        where: its dotted path.
        registry: the components.
        faults: collects faults.
        theories: theories of the suite, for an experiment without its own.
        observed: observables of the suite, likewise.
    """
    table = sound.table
    named: dict[ProblemKind, Component] = {}
    for kind in PROBLEM_KINDS:
        with faults.gathered():
            if (part := getattr(table, kind, None)) is not None:
                named[kind] = _get(registry, kind, part.name, where)
    swept, lost = _sweep(sound, named, where, faults)
    if table.theories is not None:
        theories = listed_theories(table.theories, registry, where, faults)
    if table.observables is not None:
        observed = observables(table.observables, registry, where, faults)
    beside: dict[str, Any] = {"theories": theories, **observed._asdict()}
    names: dict[str, Experiment | None] = {}
    found = []
    for at in itertools.product(*(range(len(values)) for values in swept.values())):
        point = {path: values[i] for (path, values), i in zip(swept.items(), at, strict=True)}
        suffix = ",".join(f"{path}={_plain(value)}" for path, value in point.items())
        name = f"{table.name}[{suffix}]" if suffix else table.name
        names[name] = None
        made = _experiment(table, name, registry, named, point, where, lost, faults)
        found += [] if made is None else [(at, replace(made, **beside))]
    return names | {e.name: e for e in distinct_points(found, swept, where, faults)}


def _sweep(
    sound: Sound, named: Mapping[ProblemKind, Component], where: str, faults: Faults
) -> tuple[dict[str, list[Any]], frozenset[str]]:
    """Return the values of a sweep by dotted parameter, and parameters meant by faulty ones."""
    table = sound.table
    swept, lost = dict(table.sweep), set(sound.lost)
    faults.add(repeated_points(table.sweep, where))
    for path in table.sweep:
        kind, _, parameter = path.partition(".")
        if not _is_swept(kind) or not parameter:
            del swept[path]
            hint = "" if _is_swept(kind) else nearest(kind, PROBLEM_KINDS)
            faults.add(
                [
                    f"{where}.sweep: {path!r} is no parameter{hint}; a"
                    f" sweep names {', '.join(f'{k}.' for k in PROBLEM_KINDS[:-1])} or"
                    f" {PROBLEM_KINDS[-1]}. and a parameter, as in"
                    f' "regime.source_richness"'
                ]
            )
            lost.add(f"{meant(kind, PROBLEM_KINDS)}.{parameter}")
        elif kind in named:
            known = sorted(named[kind].params.model_fields)
            known += ["data_seed"] if kind == "task" else []
            if parameter in known:
                continue
            del swept[path]
            faults.add(
                [
                    f"{where}.sweep: {named[kind].name!r} has no parameter {parameter!r}"
                    f"{nearest(parameter, known)}; allowed are {', '.join(known)}"
                ]
            )
            lost.add(f"{kind}.{meant(parameter, known)}")
    if table.data_seeds is not None:
        if DRAWS in swept:
            faults.add(
                [
                    f"{where}.sweep: {DRAWS!r} is swept by data_seeds = {_plain(table.data_seeds)}"
                    " too; leave out one of the two"
                ]
            )
        swept[DRAWS] = list(listed(table.data_seeds))
    return swept, frozenset(lost)


def listed_theories(
    entries: Sequence[str | ComponentTable | None], registry: Registry, where: str, faults: Faults
) -> tuple[Spec, ...]:
    """Return the theories of a suite or an experiment; arguments as for `observables`."""
    return _listed(entries, "theory", registry, where, faults)


def observables(
    entries: Sequence[str | ObservableTable | None], registry: Registry, where: str, faults: Faults
) -> Observed:
    """Return the observables of a suite or an experiment, sorted by name.

    Args:
        entries: as the table lists them; None for one whose shape is wrong.
        registry: the components.
        where: dotted path of the table.
        faults: collects faults.
    """
    found = _listed(entries, "observable", registry, where, faults)
    tables = [entry for entry in entries if isinstance(entry, ObservableTable)]
    return Observed(
        tuple(sorted(found, key=lambda spec: spec.name)),
        tuple(sorted(table.name for table in tables if table.scored)),
    )


def _listed(
    entries: Sequence[str | ComponentTable | None],
    kind: Literal["theory", "observable"],
    registry: Registry,
    where: str,
    faults: Faults,
) -> tuple[Spec, ...]:
    """Return the theories or observables of a list; each has a name of its own."""
    plural, use = _LISTS[kind]
    found = []
    for i, entry in enumerate(entries):
        if entry is None:  # its shape is wrong, as already reported
            continue
        named = ComponentTable(name=entry) if isinstance(entry, str) else entry
        at = f"{where}.{plural}.{i}"
        with faults.gathered():
            try:
                component = registry.get(kind, named.name)
            except PluginError as error:
                raise SuiteError(f"{at}: {error}") from None
            found.append(spec_of(registry, component, named.parameters, at))
    faults.add(
        f"{where}.{plural}: {name!r} is listed twice; {use}"
        for name in repeated(spec.name for spec in found)
    )
    return tuple(found)


def _point(
    table: ExperimentTable, kind: ProblemKind, point: Mapping[str, Any], where: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a component's parameters at a point of a sweep, and the places of swept ones."""
    values, places = dict(getattr(table, kind).parameters), {}
    for path, value in point.items():
        of, _, parameter = path.partition(".")
        if of == kind:
            values[parameter] = value
            places[parameter] = f"{where}.sweep.{kind}"
    return values, places


def _experiment(
    table: ExperimentTable,
    name: str,
    registry: Registry,
    named: Mapping[ProblemKind, Component],
    point: Mapping[str, Any],
    where: str,
    lost: frozenset[str],
    faults: Faults,
) -> Experiment | None:
    """Return the experiment at a point of a sweep, without its theories; None if it is invalid."""
    specs: dict[str, Spec] = {}
    data_seed: Any = 0
    for kind, component in named.items():
        values, places = _point(table, kind, point, where)
        if kind == "task":
            data_seed = values.pop("data_seed", 0)
            if type(data_seed) is not int or data_seed < 0:
                at = places.get("data_seed", f"{where}.task")
                faults.add([f"{at}.data_seed = {short(data_seed)}: a whole number of at least 0"])
        with faults.gathered():
            specs[kind] = spec_of(registry, component, values, f"{where}.{kind}", places, lost)
    if len(specs) < len(PROBLEM_KINDS) or type(data_seed) is not int or data_seed < 0:
        return None
    return Experiment(
        name=name,
        data_seed=data_seed,
        theories=(),
        widths=None if table.widths is None else tuple(sorted(table.widths)),
        seeds=None if table.seeds is None else listed(table.seeds),
        task=specs["task"],
        architecture=specs["architecture"],
        regime=specs["regime"],
    )


def _get(registry: Registry, kind: ProblemKind, name: str, where: str) -> Component:
    try:
        return registry.get(kind, name)
    except PluginError as error:
        raise SuiteError(f"{where}.{kind}.name: {error}") from None


def spec_of(
    registry: Registry,
    component: Component,
    table: dict[str, Any],
    where: str,
    places: Mapping[str, str] = {},
    lost: Container[str] = (),
) -> Spec:
    """Return a component with its parameters, defaults filled in.

    Args:
        registry: registry with the component.
        component: the component.
        table: parameters as written.
        where: dotted path of the table.
        places: other places of parameters, such as in a sweep.
        lost: parameters, as ``kind.name``, whose absence is already reported.

    Raises:
        SuiteError: a line for each fault.
    """
    try:
        parsed, again = component.parse(table), component.parse(table)
    except ValidationError as error:
        raise SuiteError(
            "\n".join(
                fault.line(places.get(str(fault.place[0]), where) if fault.place else where)
                for fault in explain(error, table, component.params)
                if not (fault.missing and f"{component.kind}.{fault.place[0]}" in lost)
            )
        ) from None
    except Exception as error:  # a plugin's validator raised something other than ValueError
        raise SuiteError(
            f"{where}: {component.kind} {component.name!r} raised {type(error).__name__} on its"
            f" parameters ({' '.join(str(error).split())[:200]}); mend the plugin"
        ) from error
    if twice := list(repeated_entries(parsed, table)):
        raise SuiteError("\n".join(f"{places.get(name, where)}.{fault}" for name, fault in twice))
    written, apart = plain(parsed), unkeyed_names(component.params)
    if fault := difference(written, plain(again)):
        raise SuiteError(
            f"{where}: parameters of {component.kind} {component.name!r} are new at every reading:"
            f" {fault}; set them in the suite, or give them a fixed default in the plugin"
        )
    if fault := round_trip_fault(parsed):
        raise SuiteError(
            f"{where}: parameters of {component.kind} {component.name!r} do not survive being"
            f" written and read: {fault}; mend its parameter model (`limitbench plugins check`)"
        )
    return Spec(
        component.name,
        component.version,
        {name: value for name, value in written.items() if name not in apart},
        {name: value for name, value in written.items() if name in apart},
        registry.source(component),
    )


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _is_swept(kind: str) -> TypeGuard[ProblemKind]:
    return kind in PROBLEM_KINDS
