"""Nested values, taken apart for tests that change something in them."""

from __future__ import annotations

from typing import Any


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of everything in nested tables and lists."""
    entries: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        entries = list(value.items())
    elif isinstance(value, list):
        entries = list(enumerate(value))
    return [p for k, inner in entries for p in [(*at, k), *places(inner, (*at, k))]]
