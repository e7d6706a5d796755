"""A small suite that tests change in one place and write to a file."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import Registry
from harness.suites import Experiment, load_suite

REGISTRY = Registry.load()
Table = dict[str, Any]

SUITE: Table = {
    "suite": {"name": "small", "widths": [32, 16], "seeds": 2},
    "experiment": [
        {
            "name": "first",
            "task": {
                "name": "linear-transfer",
                "dimension": 5,
                "source_points": 6,
                "target_points": 4,
                "test_points": 5,
                "alignment": 0.5,
            },
            "architecture": {"name": "mlp", "depth": 1},
            "regime": {
                "name": "jointly-rich",
                "source_richness": 1.0,
                "target_richness": 0.5,
                "source_steps": 3,
                "target_steps": 2,
            },
            "theories": ["mean-field", "lazy-ntk"],
        }
    ],
}
MISSING = object()


def toml(value: Any) -> str:
    """Return a value as TOML writes it inline."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, Verbatim):
        return value
    return json.dumps(value, ensure_ascii=False)


class Verbatim(str):
    """Text that goes into a file as it is: what JSON has no word for."""


def written(table: Table) -> str:
    """Return a suite as a TOML file, one line for each of its tables."""
    return "".join(f"{json.dumps(name)} = {toml(value)}\n" for name, value in table.items())


def changed(*changes: tuple[str, Any]) -> Table:
    """Return the small suite with dotted paths set, or removed where the value is `MISSING`."""
    table = copy.deepcopy(SUITE)
    for dotted, value in changes:
        *parents, last = dotted.split("/")
        place: Any = table
        for part in parents:
            place = place[int(part) if part.isdigit() else part]
        if value is MISSING:
            del place[last]
        elif isinstance(place, list) and int(last) == len(place):
            place.append(value)
        else:
            place[int(last) if isinstance(place, list) else last] = value
    return table


def experiment(**changes: Any) -> Experiment:
    """Return the experiment of the small suite, with dotted paths (``/`` as ``__``) changed."""
    import tempfile

    table = changed(*((f"experiment/0/{k.replace('__', '/')}", v) for k, v in changes.items()))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.toml"
        path.write_text(written(table))
        (found,) = load_suite(path, REGISTRY).experiments
        return found
