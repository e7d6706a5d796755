"""The decorators with which a plugin file declares its components."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, get_type_hints

from harness.errors import PluginError
from harness.records import Architecture, Protocol, Stage, TransferData
from harness.registry.component import Component, Kind, Params, is_component_name

MARK = "__limitbench_component__"
"""Attribute that holds the component of a decorated function or class."""

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
    if not is_component_name(name):
        raise PluginError(
            f"{kind} name {name!r}: allowed are lower-case words joined by hyphens, as in 'my-task'"
        )

    def mark(make: C) -> C:
        doc = inspect.getdoc(make) or ""
        given = {"summary": doc.partition("\n")[0]} | fields
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
