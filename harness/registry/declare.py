"""The decorators with which a plugin file declares its components."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, get_type_hints

from harness.errors import PluginError
from harness.records import Architecture, Protocol, Stage, TransferData, UnitObservable
from harness.registry.component import (
    Component,
    Kind,
    Params,
    is_component_name,
    is_observable_name,
)

MARK = "__limitbench_component__"
"""Attribute that holds the component of a decorated function or class."""

RECORDED = ("loss", "accuracy", "output", "kernel", "probe", "stationary")
"""First parts of the names under which solvers record their own observables."""

LAWS = ("preactivation/density", "preactivation/excess-kurtosis", "preactivation/wasserstein")
"""Names of the laws of pre-activations, which solvers record as well."""

C = TypeVar("C", bound=Callable[..., Any])


def parameters(make: Callable[..., Any]) -> type[Params]:
    """Return the parameter model that a component's callable takes as its first argument.

    Raises:
        PluginError: if there is none, or if it does not derive from `Params`.
    """
    target = make.__init__ if inspect.isclass(make) else make
    names = list(inspect.signature(make).parameters)
    found = get_type_hints(target).get(names[0]) if names else None
    if not (inspect.isclass(found) and issubclass(found, Params)):
        raise PluginError(
            f"{make.__name__}: the first argument needs a type that derives from harness.Params,"
            " such as 'def my_task(params: MyParams, seed: int)'"
        )
    return found


def declaration(kind: Kind, name: str, version: str, **fields: Any) -> Callable[[C], C]:
    """Return a decorator that marks a function or class as a component.

    Args:
        kind: kind of the component.
        name: name of the component.
        version: version of the component.
        fields: other fields of `Component`; missing ones are read from the decorated object.

    Raises:
        PluginError: if the name is not allowed.
    """
    if kind != "observable" and not is_component_name(name):
        raise PluginError(
            f"{kind} name {name!r}: allowed are lower-case words joined by hyphens, as in 'my-task'"
        )

    def mark(make: C) -> C:
        doc = inspect.getdoc(make) or ""
        given = {"summary": " ".join(doc.partition("\n\n")[0].split())} | fields
        if "params" not in given:
            given["params"] = parameters(make)
        setattr(
            make,
            MARK,
            Component(kind=kind, name=name, version=str(version), make=make, doc=doc, **given),
        )
        return make

    return mark


def task(
    name: str,
    *,
    version: str,
    tags: set[str] | frozenset[str] = frozenset(),
    citation: str = "",
    prepare: Callable[[Any], None] | None = None,
) -> Callable[[Callable[[Any, int], TransferData]], Callable[[Any, int], TransferData]]:
    """Declare a task: a function (params, seed) -> TransferData, deterministic in its seed."""
    return declaration(
        "task", name, version, tags=frozenset(tags), citation=citation, prepare=prepare
    )


def architecture(
    name: str,
    *,
    version: str,
    tags: set[str] | frozenset[str] = frozenset(),
    citation: str = "",
) -> Callable[[Callable[[Any], Architecture]], Callable[[Any], Architecture]]:
    """Declare an architecture: a function (params) -> Architecture."""
    return declaration("architecture", name, version, tags=frozenset(tags), citation=citation)


def regime(
    name: str,
    *,
    version: str,
    tags: set[str] | frozenset[str] = frozenset(),
    citation: str = "",
) -> Callable[
    [Callable[[Any], list[Stage] | Protocol]],
    Callable[[Any], list[Stage] | Protocol],
]:
    """Declare a regime: a function (params) -> list of Stage."""
    return declaration("regime", name, version, tags=frozenset(tags), citation=citation)


def theory(
    name: str,
    *,
    version: str,
    tags: set[str] | frozenset[str] = frozenset(),
    citation: str = "",
) -> Callable[[C], C]:
    """Declare a theory: a class made from its params, with `supports` and `predict`."""
    return declaration("theory", name, version, tags=frozenset(tags), citation=citation)


def unit_observable(component: Component, params: Params) -> UnitObservable:
    """Return an observable with its parameters, as solvers call it."""
    asks_start = len(inspect.signature(component.make).parameters) == 3
    return UnitObservable(component.name, functools.partial(component.make, params), asks_start)


def observable(
    name: str,
    *,
    version: str,
    tags: set[str] | frozenset[str] = frozenset(),
    citation: str = "",
) -> Callable[[C], C]:
    """Declare an observable: a function (params, end) or (params, end, start) -> number or array.

    `end` holds the hidden units at the end of a stage, and `start` the same units at its start:
    see `harness.Units`. The value has one shape for every width and every number of points.

    Raises:
        PluginError: if the name is not allowed or belongs to an observable of every solver, or the
            function takes other arguments.
    """
    if not is_observable_name(name):
        raise PluginError(
            f"observable name {name!r}: allowed are lower-case words joined by hyphens, of one or"
            " two parts with a slash between them, as in 'feature/mean-square'"
        )
    group, _, last = name.partition("/")
    if group in RECORDED or name in LAWS:
        raise PluginError(
            f"observable name {name!r}: solvers record one themselves; names begin with none of"
            f" {', '.join(RECORDED)}, and are none of {', '.join(LAWS)}"
        )
    if last in ("stderr", "replicates"):
        raise PluginError(f"observable name {name!r}: {last!r} stands for errors; choose another")
    mark = declaration("observable", name, version, tags=frozenset(tags), citation=citation)

    def check(measure: C) -> C:
        taken = len(inspect.signature(measure).parameters)
        if taken not in (2, 3):
            raise PluginError(
                f"{measure.__name__}: takes {taken} arguments; an observable takes (params, end) or"
                " (params, end, start)"
            )
        made = mark(measure)
        own = {"name", "scored"} & getattr(made, MARK).params.model_fields.keys()
        if own:
            raise PluginError(
                f"{measure.__name__}: a parameter {min(own)!r}, which suites use otherwise; choose"
                " another name"
            )
        return made

    return check
