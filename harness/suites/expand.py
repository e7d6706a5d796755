"""From a suite file to experiments: names looked up, parameters checked, sweeps expanded."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import tomllib
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeGuard

from pydantic import ValidationError

from harness.errors import PluginError, SuiteError, nearest
from harness.records import Problem, Protocol, TransferData
from harness.registry import Registry
from harness.registry.component import Component, Kind, as_json
from harness.registry.parameters import plain, round_trip_fault, unkeyed_names
from harness.suites import bounds
from harness.suites.faults import KEPT, Faults, Sound, explain, meant, short, sound_experiments
from harness.suites.names import DRAWS
from harness.suites.repeats import distinct_points, repeated, repeated_numbers
from harness.suites.schema import (
    SWEPT,
    ComponentTable,
    Dtype,
    ExperimentTable,
    SuiteFile,
    SweptKind,
    bundled_suites,
)


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


@dataclass(frozen=True)
class Suite:
    """Experiments, and the networks with which each is tested."""

    name: str
    widths: tuple[int, ...]
    seeds: tuple[int, ...]
    dtype: Dtype
    experiments: tuple[Experiment, ...]


def load_suite(source: str | Path, registry: Registry) -> Suite:
    """Read a suite from a file, or a bundled one by name.

    Raises:
        SuiteError: if anything in it cannot be run; a line for each fault, with file, dotted path,
            value, what is allowed, and the nearest valid name.
    """
    path = _find(source)
    faults = Faults()
    with faults.gathered():
        table = _parse(_read(path))
        parsed, tables = _shape(table, faults)
        faults.add(repeated_numbers(table))
        _refuse_excess(parsed, tables)
        experiments: list[Experiment] = []
        names: list[str] = []
        for i, each in tables.items():
            found = _expand(each, f"experiment.{i}", registry, faults)
            names += found if each.table.name else []
            experiments += [e for e in found.values() if e is not None]
        faults.add(
            f"experiment: duplicate name {name!r}; names of experiments must be unique"
            for name in repeated(names)
        )
        if parsed is not None and not faults:
            s = parsed.suite
            widths, seeds = tuple(sorted(s.widths)), _listed(s.seeds)
            return Suite(s.name, widths, seeds, s.dtype, tuple(experiments))
    raise faults.error(path)


def build_problem(
    experiment: Experiment,
    registry: Registry,
    enter: Callable[[Component], None] = lambda _: None,
    data: TransferData | None = None,
) -> Problem:
    """Make an experiment's data, architecture and protocol.

    Args:
        experiment: what to make.
        registry: the components.
        enter: told of each component before it is called.
        data: of the experiment, if they are made already.

    Raises:
        LimitbenchError: if a component of that version is not there, or the parts do not fit.
    """
    protocol = build_protocol(experiment, registry, enter)
    architecture = _make("architecture", experiment.architecture, registry, enter)
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
    stages = _make("regime", experiment.regime, registry, enter)
    return stages if isinstance(stages, Protocol) else Protocol(tuple(stages))


def build_data(
    experiment: Experiment,
    registry: Registry,
    enter: Callable[[Component], None] = lambda _: None,
) -> TransferData:
    """Make an experiment's data; arguments and errors as for `build_problem`.

    Raises:
        PluginError: if the task returns something else.
    """
    made = _make("task", experiment.task, registry, enter, experiment.data_seed)
    if not isinstance(made, TransferData):
        raise PluginError(
            f"task {experiment.task.name!r} returned {type(made).__name__}; harness.TransferData is"
            " needed"
        )
    return made


def _make(
    kind: Kind, spec: Spec, registry: Registry, enter: Callable[[Component], None], *rest: Any
) -> Any:
    component = registry.get(kind, spec.name)
    enter(component)
    return spec.make(registry, component, *rest)


def _find(source: str | Path) -> Path:
    path = Path(source)
    bundled = bundled_suites()
    with contextlib.suppress(OSError):  # a name too long for a file is no file
        if path.is_file():
            return path
    if path.suffix == ".toml":
        raise SuiteError(f"{path}: no such file; a suite is a TOML file or one of {_list(bundled)}")
    if str(source) in bundled:
        return bundled[str(source)]
    with contextlib.suppress(OSError):
        if path.is_dir():
            raise SuiteError(f"{path}: a folder; give the TOML file of a suite in it")
    hint = nearest(str(source), list(bundled))
    raise SuiteError(f"unknown suite {str(source)!r}{hint}; bundled are {_list(bundled)}")


def _read(path: Path) -> str:
    """Return the text of a file of bounded size."""
    try:
        with path.open("rb") as opened:
            content = opened.read(bounds.FILE + 1)
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(f"cannot be read as text ({error}); give a TOML file") from None
    if len(content) > bounds.FILE:
        raise SuiteError(f"more than {bounds.FILE:,} bytes, which is the most; make several suites")
    return text


def _parse(text: str) -> dict[str, Any]:
    """Return what TOML says, within bounds."""
    bounds.refuse_long_keys(text)
    try:
        table = tomllib.loads(text)
    except RecursionError:
        raise SuiteError(f"nested too deeply; at most {bounds.DEPTH} tables or lists") from None
    except tomllib.TOMLDecodeError as error:
        raise SuiteError(f"not valid TOML: {error}") from None
    except ValueError:  # Python's own limit of the digits of an integer, or a date out of range
        raise SuiteError(
            "not valid TOML: a whole number of more than 64 bits, or a date that does not exist"
        ) from None
    if lines := list(itertools.islice(bounds.excess(table), KEPT)):
        raise SuiteError("\n".join(lines))
    return table


def _shape(table: dict[str, Any], faults: Faults) -> tuple[SuiteFile | None, dict[int, Sound]]:
    """Return a suite, None if its shape is wrong, and what is right of its experiments."""
    try:
        parsed = SuiteFile.model_validate_json(as_json(table))
    except ValidationError as error:
        wrong = explain(error, table, SuiteFile)
        faults.add(fault.line("") for fault in wrong)
        return None, sound_experiments(table, [fault.place for fault in wrong])
    return parsed, {i: Sound(each) for i, each in enumerate(parsed.experiment)}


def _refuse_excess(parsed: SuiteFile | None, tables: Mapping[int, Sound]) -> None:
    """Refuse too many experiments or cells before any is made."""
    experiments = cells = 0
    for i, sound in tables.items():
        table = sound.table
        points = [len(values) for values in table.sweep.values()]
        points += [] if table.data_seeds is None else [len(_listed(table.data_seeds))]
        bounds.refuse_sweep(points, f"experiment.{i}.sweep")
        experiments += math.prod(points)
        if parsed is not None:
            widths = parsed.suite.widths if table.widths is None else table.widths
            seeds = _listed(parsed.suite.seeds if table.seeds is None else table.seeds)
            cells += math.prod(points) * (len(widths) * len(seeds) + len(table.theories))
    bounds.refuse_cells(experiments, cells)


def _list(names: Any) -> str:
    return ", ".join(sorted(names))


def _expand(
    sound: Sound, where: str, registry: Registry, faults: Faults
) -> dict[str, Experiment | None]:
    """Return the experiments of one table by name, one for each point of its sweep.

    Those that are wrong are None: their names are taken all the same.
    """
    table = sound.table
    named: dict[SweptKind, Component] = {}
    for kind in SWEPT:
        with faults.gathered():
            if (part := getattr(table, kind, None)) is not None:
                named[kind] = _get(registry, kind, part.name, where)
    swept, lost = _sweep(sound, named, where, faults)
    theories = _theories(table, registry, where, faults)
    names: dict[str, Experiment | None] = {}
    found = []
    for at in itertools.product(*(range(len(values)) for values in swept.values())):
        point = {path: values[i] for (path, values), i in zip(swept.items(), at, strict=True)}
        suffix = ",".join(f"{path}={_plain(value)}" for path, value in point.items())
        name = f"{table.name}[{suffix}]" if suffix else table.name
        names[name] = None
        made = _experiment(table, name, registry, named, point, where, lost, faults)
        found += [] if made is None else [(at, replace(made, theories=theories))]
    return names | {e.name: e for e in distinct_points(found, swept, where, faults)}


def _sweep(
    sound: Sound, named: Mapping[SweptKind, Component], where: str, faults: Faults
) -> tuple[dict[str, list[Any]], frozenset[str]]:
    """Return the values of a sweep by dotted parameter, and parameters that a wrong one meant."""
    table = sound.table
    swept, lost = dict(table.sweep), set(sound.lost)
    for path in table.sweep:
        kind, _, parameter = path.partition(".")
        if not _is_swept(kind) or not parameter:
            del swept[path]
            faults.add(
                [
                    f"{where}.sweep: {path!r} is no parameter{nearest(kind, list(SWEPT))}; a sweep"
                    f" names task., architecture. or regime. and a parameter, as in"
                    f' "regime.source_richness"'
                ]
            )
            lost.add(f"{meant(kind, SWEPT)}.{parameter}")
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
        swept[DRAWS] = list(_listed(table.data_seeds))
    return swept, frozenset(lost)


def _theories(
    table: ExperimentTable, registry: Registry, where: str, faults: Faults
) -> tuple[Spec, ...]:
    """Return the theories of an experiment; each has a name of its own."""
    theories = []
    for i, entry in enumerate(getattr(table, "theories", [])):
        if entry is None:  # its shape is wrong, which is told already
            continue
        named = ComponentTable(name=entry) if isinstance(entry, str) else entry
        at = f"{where}.theories.{i}"
        with faults.gathered():
            try:
                component = registry.get("theory", named.name)
            except PluginError as error:
                raise SuiteError(f"{at}: {error}") from None
            theories.append(_spec(registry, component, named.parameters, at))
    faults.add(
        f"{where}.theories: {name!r} is listed twice; each theory runs once in an experiment"
        for name in repeated(t.name for t in theories)
    )
    return tuple(theories)


def _point(
    table: ExperimentTable, kind: SweptKind, point: Mapping[str, Any], where: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a component's parameters at a point of a sweep, and where those of the sweep are."""
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
    named: Mapping[SweptKind, Component],
    point: Mapping[str, Any],
    where: str,
    lost: frozenset[str],
    faults: Faults,
) -> Experiment | None:
    """Return the experiment at a point of a sweep, without its theories; None if it is wrong."""
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
            specs[kind] = _spec(registry, component, values, f"{where}.{kind}", places, lost)
    if len(specs) < len(SWEPT) or type(data_seed) is not int or data_seed < 0:
        return None
    return Experiment(
        name=name,
        data_seed=data_seed,
        theories=(),
        widths=None if table.widths is None else tuple(sorted(table.widths)),
        seeds=None if table.seeds is None else _listed(table.seeds),
        **specs,
    )


def _get(registry: Registry, kind: SweptKind, name: str, where: str) -> Component:
    try:
        return registry.get(kind, name)
    except PluginError as error:
        raise SuiteError(f"{where}.{kind}.name: {error}") from None


def _spec(
    registry: Registry,
    component: Component,
    table: dict[str, Any],
    where: str,
    places: Mapping[str, str] = {},
    lost: Container[str] = (),
) -> Spec:
    """Return a component with its parameters, defaults filled in.

    Args:
        registry: that has the component.
        component: which.
        table: parameters as written.
        where: the dotted path of the table.
        places: where else parameters stand, such as in a sweep.
        lost: parameters, as ``kind.name``, whose absence is told already.

    Raises:
        SuiteError: a line for each fault.
    """
    try:
        parsed = component.parse(table)
    except ValidationError as error:
        raise SuiteError(
            "\n".join(
                fault.line(places.get(str(fault.place[0]), where) if fault.place else where)
                for fault in explain(error, table, component.params)
                if not (fault.missing and f"{component.kind}.{fault.place[0]}" in lost)
            )
        ) from None
    except Exception as error:  # a validator of a plugin raised what is no ValueError
        raise SuiteError(
            f"{where}: {component.kind} {component.name!r} raised {type(error).__name__} on its"
            f" parameters ({' '.join(str(error).split())[:200]}); mend the plugin"
        ) from error
    if fault := round_trip_fault(parsed):
        raise SuiteError(
            f"{where}: parameters of {component.kind} {component.name!r} do not survive being"
            f" written and read: {fault}; mend its parameter model (`limitbench plugins check`)"
        )
    written, apart = plain(parsed), unkeyed_names(component.params)
    return Spec(
        component.name,
        component.version,
        {name: value for name, value in written.items() if name not in apart},
        {name: value for name, value in written.items() if name in apart},
        registry.source(component),
    )


def _listed(seeds: int | list[int]) -> tuple[int, ...]:
    return tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _is_swept(kind: str) -> TypeGuard[SweptKind]:
    return kind in SWEPT
