"""From a suite file to experiments: names looked up, parameters checked, sweeps expanded."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from pydantic import ValidationError

from harness.errors import PluginError, SuiteError, nearest
from harness.records import Problem, Protocol, TransferData
from harness.registry import Registry
from harness.registry.component import Component, Kind, as_json, explain
from harness.registry.parameters import plain, round_trip_fault, unkeyed_names
from harness.suites import bounds
from harness.suites.names import DRAWS
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
        SuiteError: if anything in it cannot be run; one line with file, dotted path, value, what
            is allowed, and the nearest valid name.
    """
    path = _find(source)
    try:
        parsed = _parse(_read(path))
        _refuse_excess(parsed)
        experiments = [
            e
            for i, table in enumerate(parsed.experiment)
            for e in _expand(table, f"experiment.{i}", registry)
        ]
        for name in _repeated(e.name for e in experiments):
            raise SuiteError(f"experiment: two are called {name!r}; names are unique in a suite")
    except (SuiteError, PluginError) as error:
        raise SuiteError(f"{path}: {error}") from None
    s = parsed.suite
    return Suite(s.name, tuple(sorted(s.widths)), _listed(s.seeds), s.dtype, tuple(experiments))


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
    stages = _make("regime", experiment.regime, registry, enter)
    protocol = stages if isinstance(stages, Protocol) else Protocol(tuple(stages))
    architecture = _make("architecture", experiment.architecture, registry, enter)
    made = build_data(experiment, registry, enter) if data is None else data
    try:
        return Problem(made, architecture, protocol)
    except ValueError as error:
        raise SuiteError(f"experiment {experiment.name!r}: {error}") from None


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


def _parse(text: str) -> SuiteFile:
    """Return what TOML says, within bounds and of the shape of a suite."""
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
    bounds.refuse_excess(table)
    try:
        return SuiteFile.model_validate_json(as_json(table))
    except ValidationError as error:
        raise SuiteError(explain(error, "", SuiteFile)) from None


def _refuse_excess(parsed: SuiteFile) -> None:
    """Refuse too many experiments or cells before any is made."""
    experiments = cells = 0
    for i, table in enumerate(parsed.experiment):
        points = [len(values) for values in table.sweep.values()]
        points += [] if table.data_seeds is None else [len(_listed(table.data_seeds))]
        bounds.refuse_sweep(points, f"experiment.{i}.sweep")
        widths = parsed.suite.widths if table.widths is None else table.widths
        seeds = _listed(parsed.suite.seeds if table.seeds is None else table.seeds)
        experiments += math.prod(points)
        cells += math.prod(points) * (len(widths) * len(seeds) + len(table.theories))
    bounds.refuse_cells(experiments, cells)


def _list(names: Any) -> str:
    return ", ".join(sorted(names))


def _expand(table: ExperimentTable, where: str, registry: Registry) -> Iterator[Experiment]:
    """Yield the experiments of one table, one for each point of its sweep."""
    for path in table.sweep:
        kind, _, parameter = path.partition(".")
        if not _is_swept(kind) or not parameter:
            raise SuiteError(
                f"{where}.sweep: {path!r} is no parameter{nearest(kind, list(SWEPT))}; a sweep"
                f" names task., architecture. or regime. and a parameter, as in"
                f' "regime.source_richness"'
            )
        component = _get(registry, kind, getattr(table, kind).name, where)
        known = sorted(component.params.model_fields)
        known += ["data_seed"] if kind == "task" else []
        if parameter not in known:
            raise SuiteError(
                f"{where}.sweep: {getattr(table, kind).name!r} has no parameter {parameter!r}"
                f"{nearest(parameter, known)}; allowed are {', '.join(known)}"
            )
    swept = dict(table.sweep)
    if table.data_seeds is not None:
        if DRAWS in swept:
            raise SuiteError(
                f"{where}.sweep: {DRAWS!r} is swept by data_seeds = {_plain(table.data_seeds)} too;"
                " leave out one of the two"
            )
        swept[DRAWS] = list(_listed(table.data_seeds))
    for values in itertools.product(*swept.values()):
        point = dict(zip(swept, values, strict=True))
        yield _experiment(table, point, where, registry)


def _experiment(
    table: ExperimentTable, point: dict[str, Any], where: str, registry: Registry
) -> Experiment:
    suffix = ",".join(f"{path}={_plain(value)}" for path, value in point.items())
    tables = {kind: dict(getattr(table, kind).parameters) for kind in SWEPT}
    for path, value in point.items():
        kind, _, parameter = path.partition(".")
        if _is_swept(kind):
            tables[kind][parameter] = value
    data_seed = tables["task"].pop("data_seed", 0)
    if type(data_seed) is not int or data_seed < 0:
        raise SuiteError(
            f"{where}.task.data_seed = {bounds.shortened(data_seed)}: an integer of at least 0"
        )
    specs = {
        kind: _spec(
            registry,
            _get(registry, kind, getattr(table, kind).name, where),
            tables[kind],
            f"{where}.{kind}",
        )
        for kind in SWEPT
    }
    theories = []
    for i, entry in enumerate(table.theories):
        named = ComponentTable(name=entry) if isinstance(entry, str) else entry
        at = f"{where}.theories.{i}"
        try:
            component = registry.get("theory", named.name)
        except PluginError as error:
            raise SuiteError(f"{at}: {error}") from None
        theories.append(_spec(registry, component, named.parameters, at))
    for name in _repeated(t.name for t in theories):
        raise SuiteError(f"{where}.theories: {name!r} is listed twice; each theory runs once")
    return Experiment(
        name=f"{table.name}[{suffix}]" if suffix else table.name,
        data_seed=data_seed,
        theories=tuple(theories),
        widths=None if table.widths is None else tuple(sorted(table.widths)),
        seeds=None if table.seeds is None else _listed(table.seeds),
        **specs,
    )


def _get(registry: Registry, kind: SweptKind, name: str, where: str) -> Component:
    try:
        return registry.get(kind, name)
    except PluginError as error:
        raise SuiteError(f"{where}.{kind}.name: {error}") from None


def _spec(registry: Registry, component: Component, table: dict[str, Any], where: str) -> Spec:
    try:
        parsed = component.parse(table)
    except ValidationError as error:
        raise SuiteError(explain(error, where, component.params)) from None
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


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]
