"""Parameters as plain JSON: writing, reading, and marking those that determine no result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError


@dataclass(frozen=True)
class Unkeyed:
    """Marks a parameter that determines no result, such as the memory that a theory may take.

    It is recorded in a cell but is no part of the cell's key:
    ``memory_gib: Annotated[float, Unkeyed()] = 4.0``.
    """


def unkeyed_names(model: type[BaseModel]) -> frozenset[str]:
    """Return the names of the fields that are marked as `Unkeyed`."""
    return frozenset(
        name
        for name, field in model.model_fields.items()
        if any(isinstance(mark, Unkeyed) for mark in field.metadata)
    )


def plain(parsed: BaseModel) -> dict[str, Any]:
    """Return parameters as plain JSON, the same at every start: sets are sorted."""
    dumped: dict[str, Any] = _sorted_sets(parsed.model_dump(), parsed.model_dump(mode="json"))
    return dumped


def round_trip_fault(parsed: BaseModel) -> str:
    """Return the names of parameters that change when written and read; empty if none does.

    A worker reads the JSON that the driver wrote, and a key is its hash: a parameter that changes
    on the way, or is left out, would give a result that does not match its key.
    """
    written = plain(parsed)
    try:
        again = type(parsed).model_validate_json(json.dumps(written))
    except ValidationError as error:
        names = dict.fromkeys(str(e["loc"][0]) for e in error.errors() if e["loc"])
        return (
            f"{', '.join(names) or 'they'} cannot be read again as written: an alias, or a"
            " validator that refuses its own result"
        )
    changed = [
        f"{name} = {_shown(getattr(parsed, name))} comes back as {_shown(getattr(again, name))}"
        for name in type(parsed).model_fields
        if getattr(again, name) != getattr(parsed, name)
    ]
    if not changed and plain(again) != written:
        changed = ["they are written in another way the second time"]
    return "; ".join(changed)


def difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Return the parameters that differ between two readings of one table; empty if none does.

    Args:
        one: the parameters as plain JSON.
        other: those of the other reading.
    """
    return "; ".join(
        f"{name} is {_shown(one.get(name))} and then {_shown(other.get(name))}"
        for name in sorted(one.keys() | other.keys())
        if one.get(name) != other.get(name)
    )


def has_order_of_chance(value: Any) -> bool:
    """Return whether a value holds a set of several entries, whose order is new at every start."""
    if isinstance(value, set | frozenset):
        return len(value) > 1 or any(map(has_order_of_chance, value))
    if isinstance(value, BaseModel):
        value = dict(value)
    entries = value.values() if isinstance(value, Mapping) else value
    return isinstance(value, Mapping | list | tuple) and any(map(has_order_of_chance, entries))


def _sorted_sets(value: Any, written: Any) -> Any:
    """Return JSON in which lists that stand for sets are sorted.

    Args:
        value: value in the model.
        written: the same value as JSON, entries in the same order.
    """
    if isinstance(value, Mapping) and isinstance(written, dict) and len(value) == len(written):
        pairs = zip(written, value.values(), written.values(), strict=True)
        return {name: _sorted_sets(inner, json_value) for name, inner, json_value in pairs}
    if not isinstance(written, list) or not isinstance(value, list | tuple | set | frozenset):
        return written
    if len(value) != len(written):
        return written
    entries = [_sorted_sets(v, w) for v, w in zip(value, written, strict=True)]
    if isinstance(value, set | frozenset):
        entries.sort(key=lambda entry: json.dumps(entry, sort_keys=True))
    return entries


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
