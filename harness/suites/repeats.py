"""Repetitions in a suite: of widths, names, points of a sweep, and whole problems."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel

from harness.suites.experiment import Experiment, Suite
from harness.suites.faults import Faults, short


def repeated(values: Iterable[str]) -> list[str]:
    """Return the values that occur more than once, each once."""
    return [value for value, count in Counter(values).items() if count > 1]


def repeated_numbers(table: Mapping[str, Any]) -> Iterator[str]:
    """Yield a fault for each width and seed that a suite file, as it was read, lists twice."""
    experiments = table.get("experiment")
    listed = experiments if isinstance(experiments, list) else []
    tables = [("suite", table.get("suite"))]
    tables += [(f"experiment.{i}", each) for i, each in enumerate(listed)]
    for where, each in tables:
        for name in ("widths", "seeds", "data_seeds"):
            values = each.get(name) if isinstance(each, Mapping) else None
            for twice in repeated(map(repr, values)) if isinstance(values, list) else []:
                yield f"{where}.{name} = {short(values)}: {twice} is listed twice; list it once"


def repeated_entries(parsed: BaseModel, table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the name of each parameter that is a set and lists an entry twice, and its fault."""
    for name, values in table.items():
        if isinstance(values, list) and isinstance(getattr(parsed, name, None), set | frozenset):
            for twice in repeated(map(json.dumps, values)):
                yield name, f"{name} = {short(values)}: {twice} is listed twice; list it once"


def repeated_points(swept: Mapping[str, list[Any]], where: str) -> Iterator[str]:
    """Yield a fault for each swept parameter of which two values are equal as they are written.

    Args:
        swept: values by dotted parameter.
        where: dotted path of the experiment.
    """
    for path, values in swept.items():
        first: dict[Any, Any] = {}
        for value in values:
            key = _comparable(value)
            if key in first:
                yield _same_values(f"{where}.sweep.{path}", values, first[key], value)
                break
            first[key] = value


def distinct_points(
    found: Sequence[tuple[tuple[int, ...], Experiment]],
    swept: Mapping[str, list[Any]],
    where: str,
    faults: Faults,
) -> list[Experiment]:
    """Return the distinct experiments of a sweep: values that are read as equal are a fault.

    Args:
        found: experiments, with the position of each in the values of every swept parameter.
        swept: those values, by dotted parameter.
        where: dotted path of the experiment.
        faults: collects the faults of repeated values.
    """
    kept: dict[Any, tuple[tuple[int, ...], Experiment]] = {}
    told: set[str] = set()
    for at, e in found:
        first, earlier = kept.setdefault(_problem(e), (at, e))
        paths = [path for path, i, k in zip(swept, first, at, strict=True) if i != k]
        if len(paths) == 1 and paths[0] not in told:
            (path,) = paths
            position = list(swept).index(path)
            one, other = (swept[path][each[position]] for each in (first, at))
            faults.add([_same_values(f"{where}.sweep.{path}", swept[path], one, other)])
            told.add(path)
        elif not told.issuperset(paths):
            faults.add(
                [
                    f"{where}.sweep: the points {earlier.name!r} and {e.name!r} are the same"
                    " problem; leave out one of them"
                ]
            )
    return [experiment for _, experiment in kept.values()]


def _same_values(where: str, values: list[Any], value: Any, other: Any) -> str:
    one, two = short(value), short(other)
    same = f"{one} is listed twice" if one == two else f"{one} and {two} are the same"
    return f"{where} = {short(values)}: {same}; list it once"


def same_problems(suite: Suite) -> list[list[str]]:
    """Return groups of names of experiments with the same problem and the same solvers."""
    alike: dict[Any, list[str]] = {}
    for e in suite.experiments:
        networks = (
            suite.widths if e.widths is None else e.widths,
            suite.seeds if e.seeds is None else e.seeds,
        )
        theories = sorted((t.name, _comparable(t.parameters)) for t in e.theories)
        observed = [asdict(spec) for spec in e.observables]
        solved = (_problem(e), networks, tuple(theories), _comparable(observed))
        alike.setdefault(solved, []).append(e.name)
    return [names for names in alike.values() if len(names) > 1]


def _problem(experiment: Experiment) -> Any:
    """Return the components of an experiment's problem, as a key."""
    parts = [asdict(part) for part in experiment.parts.values()]
    return _comparable([*parts, experiment.data_seed])


def _comparable(value: Any) -> Any:
    """Return a key that is equal for equal parameters; true is not 1, but 1 is 1.0."""
    if isinstance(value, Mapping):
        return tuple(sorted((name, _comparable(inner)) for name, inner in value.items()))
    if isinstance(value, list | tuple):
        return tuple(map(_comparable, value))
    return (type(value).__name__, value) if isinstance(value, bool | str | None) else value
