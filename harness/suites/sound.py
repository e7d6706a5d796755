"""The valid parts of a suite file with faults, so that the rest of its faults can be found."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.registry.component import PROBLEM_KINDS, as_json
from harness.suites.bounds import Place
from harness.suites.faults import has_part
from harness.suites.schema import ComponentTable, ExperimentTable, ObservableTable


@dataclass(frozen=True)
class Sound:
    """The valid part of an [[experiment]] table, so that the rest of its faults can be found.

    Attributes:
        table: the valid part; invalid and missing fields are unset, and an invalid theory or
            observable is None.
        lost: swept parameters with invalid values, as ``kind.name``.
    """

    table: ExperimentTable
    lost: frozenset[str] = frozenset()


def take_out(table: dict[str, Any], places: Iterable[Place]) -> set[Place]:
    """Take values out of a suite file as it was read, so that its other faults can be found.

    A single parameter is taken out; of a list, all of it.

    Args:
        table: table as it was read; changed in place.
        places: places of the values.

    Returns:
        The places of what was taken out.
    """
    taken = set()
    for place in places:
        single = {*PROBLEM_KINDS, "sweep"}.intersection(place[2:3]) and place[3:4] != ("name",)
        kept = {"suite": 2, "experiment": 4 if single else 3}.get(str(place[0]), 1)
        *parents, last = out = place[:kept]
        inner: Any = table
        for part in parents:
            inner = inner[part] if has_part(inner, part) else {}
        if isinstance(inner, list) and isinstance(last, int):
            inner[last] = None
        else:
            inner.pop(last, None)
        taken.add(out)
    return taken


def is_within(place: Place, places: Collection[Place]) -> bool:
    """Return whether a place is one of others, or inside one of them."""
    return any(place[:n] in places for n in range(1, len(place) + 1))


def sound_experiments(table: Mapping[str, Any], wrong: Sequence[Place]) -> dict[int, Sound]:
    """Return the valid parts of the experiments of a suite file, by position.

    Args:
        table: table as it was read.
        wrong: places of all faults of its shape.
    """
    found = {}
    experiments = table.get("experiment")
    for i, raw in enumerate(experiments if isinstance(experiments, list) else []):
        if isinstance(raw, Mapping):
            mine = {place[2:] for place in wrong if place[:2] == ("experiment", i)}
            found[i] = _sound({"name": f"experiment.{i}", **raw}, mine)
    return found


def _sound(raw: Mapping[str, Any], wrong: Collection[Place]) -> Sound:
    listed = {"theories": ComponentTable, "observables": ObservableTable}
    entries = {place[:2] for place in wrong if place[0] in (*listed, "sweep") and place[1:]}
    whole = {place[0] for place in wrong if place[:2] not in entries}
    kept = {k: v for k, v in raw.items() if k in ExperimentTable.model_fields and k not in whole}
    kept.setdefault("name", "")
    for kind in kept.keys() & set(PROBLEM_KINDS):
        kept[kind] = ComponentTable.model_validate_json(as_json(kept[kind]))
    for key in kept.keys() & listed.keys():
        kept[key] = [
            None
            if (key, i) in entries
            else entry
            if isinstance(entry, str)
            else listed[key].model_validate_json(as_json(entry))
            for i, entry in enumerate(kept[key])
        ]
    lost = {path for path in kept.get("sweep", {}) if ("sweep", path) in entries}
    if "sweep" in kept:
        kept["sweep"] = {path: v for path, v in kept["sweep"].items() if path not in lost}
    return Sound(ExperimentTable.model_construct(**kept), frozenset(lost))
