"""Allowed values and defaults of parameters, in the words of a suite's faults and as TOML."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from harness.registry.parameters import plain
from harness.suites.faults import words

LISTS = (list, tuple, set, frozenset)

_BOUNDS = {
    "ge": "greater_than_equal",
    "gt": "greater_than",
    "le": "less_than_equal",
    "lt": "less_than",
    "multiple_of": "multiple_of",
    "min_length": "string_too_short",
    "max_length": "string_too_long",
    "pattern": "string_pattern_mismatch",
}
"""Type of the error of a value beyond a bound, by the bound's name."""

_LENGTHS = {"min_length": "too_short", "max_length": "too_long"}
"""The same, for lists."""


def allowed_values(field: FieldInfo) -> str:
    """Return the allowed values of a parameter: words and ranges, without those of a validator."""
    return _allowed(field.annotation, field.metadata)


def default_value(field: FieldInfo) -> str | None:
    """Return the default of a parameter as TOML; None if it is to be left out, as null is no TOML.

    The parameter has a default.
    """
    value = field.get_default(call_default_factory=True, validated_data={})
    return None if value is None else as_toml(value)


def as_toml(value: Any) -> str:
    """Return a parameter's value as TOML writes it, on one line; sets are sorted."""
    if isinstance(value, BaseModel):
        value = plain(value)
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        entries = [f"{json.dumps(str(k))} = {as_toml(v)}" for k, v in value.items()]
        return f"{{ {', '.join(entries)} }}" if entries else "{}"
    if isinstance(value, LISTS):
        shown = [as_toml(entry) for entry in value]
        return f"[{', '.join(sorted(shown) if isinstance(value, set | frozenset) else shown)}]"
    return json.dumps(value, default=str)


def _allowed(kind: Any, marks: Iterable[Any]) -> str:
    """Return the allowed values of a type with its constraints; empty if it allows anything."""
    kind = getattr(kind, "__value__", kind)  # of an alias by a `type` statement
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _allowed(inner[0], [*marks, *inner[1:]])
    marks = _flat(marks)
    if origin in (Union, UnionType):
        each = (_allowed(choice, marks) for choice in inner if choice is not NoneType)
        return ", or ".join(dict.fromkeys(filter(None, each)))
    if origin is Literal or (isinstance(kind, type) and issubclass(kind, Enum)):
        values = inner or tuple(member.value for member in kind)
        return _one_of(values)
    said, known = _word(origin or kind), _BOUNDS
    if (origin or kind) in LISTS:
        said, known = said + _entries(inner), _LENGTHS
    return ", ".join(filter(None, [said, *_told(marks, known)]))


def _flat(marks: Iterable[Any]) -> list[Any]:
    """Return constraints, with those that a `Field` holds."""
    flat = []
    for mark in marks:
        flat += mark.metadata if isinstance(mark, FieldInfo) else [mark]
    return flat


def _told(marks: Iterable[Any], known: Mapping[str, str]) -> Iterator[str]:
    """Yield constraints in words."""
    for mark in marks:
        for name, error in known.items():
            value = getattr(mark, name, None)
            if value is not None:
                yield words(error, {name: value}, "")


def _word(kind: Any) -> str:
    """Return the word for a type; empty if it is any or unknown."""
    name = getattr(kind, "__name__", "")
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        name = "model"
    known = {"str": "string", "frozenset": "frozen_set"}
    if name in ("", "Any", "object"):
        return ""
    return words(f"{known.get(name, name)}_type", {}, "")


def _entries(inner: tuple[Any, ...]) -> str:
    """Return what the entries of a list are, in brackets; empty if they may be anything."""
    each = [_allowed(kind, []) for kind in inner if kind is not Ellipsis]
    distinct = dict.fromkeys(filter(None, each))
    if not distinct:
        return ""
    count = f"{len(inner)} values, " if len(inner) > 1 and Ellipsis not in inner else ""
    return f" ({count}each {', or '.join(distinct)})"


def _one_of(values: tuple[Any, ...]) -> str:
    shown = [repr(value) if isinstance(value, str) else as_toml(value) for value in values]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"
