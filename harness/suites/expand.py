"""From a suite file to experiments: names looked up, parameters checked, sweeps expanded."""

from __future__ import annotations

import contextlib
import itertools
import json
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from pydantic import ValidationError

from harness.errors import PluginError, SuiteError, nearest
from harness.records import Problem, Protocol
from harness.registry import Registry
from harness.registry.component import Component, Kind, as_json, explain
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

    `parameters` are complete (defaults filled in) and plain JSON.
    """

    name: str
    version: str
    parameters: dict[str, Any]


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
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(f"{path}: cannot be read as text ({error}); give a TOML file") from None
    try:
        table = tomllib.loads(text)
        parsed = SuiteFile.model_validate_json(as_json(table))
    except RecursionError:
        raise SuiteError(f"{path}: tables are nested too deeply") from None
    except ValidationError as error:
        raise SuiteError(f"{path}: {explain(error, '', SuiteFile)}") from None
    except ValueError as error:  # wrong TOML, or a number with too many digits
        raise SuiteError(f"{path}: not valid TOML: {error}") from None
    try:
        experiments = [
            e
            for i, x in enumerate(parsed.experiment)
            for e in _expand(x, f"experiment.{i}", registry)
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
) -> Problem:
    """Make an experiment's data, architecture and protocol.

    Args:
        experiment: what to make.
        registry: the components.
        enter: told of each component before it is called.

    Raises:
        LimitbenchError: if a component of that version is not there, or the parts do not fit.
    """

    def make(kind: Kind, spec: Spec, *rest: Any) -> Any:
        component = registry.get(kind, spec.name)
        if component.version != spec.version:
            raise PluginError(
                f"{kind} {spec.name!r} is version {component.version} here, but the cell needs"
                f" {spec.version}; run with the same plugins everywhere"
            )
        enter(component)
        return component.make(component.parse(spec.parameters), *rest)

    stages = make("regime", experiment.regime)
    protocol = stages if isinstance(stages, Protocol) else Protocol(tuple(stages))
    data = make("task", experiment.task, experiment.data_seed)
    try:
        return Problem(data, make("architecture", experiment.architecture), protocol)
    except ValueError as error:
        raise SuiteError(f"experiment {experiment.name!r}: {error}") from None


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
        raise SuiteError(f"{where}.task.data_seed = {data_seed!r}: an integer of at least 0")
    specs = {
        kind: _spec(
            _get(registry, kind, getattr(table, kind).name, where), tables[kind], f"{where}.{kind}"
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
        theories.append(_spec(component, named.parameters, at))
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


def _spec(component: Component, table: dict[str, Any], where: str) -> Spec:
    try:
        parsed = component.parse(table)
    except ValidationError as error:
        raise SuiteError(explain(error, where, component.params)) from None
    return Spec(component.name, component.version, parsed.model_dump(mode="json"))


def _listed(seeds: int | list[int]) -> tuple[int, ...]:
    return tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _is_swept(kind: str) -> TypeGuard[SweptKind]:
    return kind in SWEPT


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]
