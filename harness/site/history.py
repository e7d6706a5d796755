"""Versions of theories over time: their scores, and experiments that several of them have."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.scoring import PRIMARY, ScoreRow
from harness.site.contents import Contents

Key = tuple[str, str, str, str]
"""Theory, its version, digest of its source, version of limitbench."""


@dataclass(frozen=True)
class Version:
    """Scores of a version of a theory, on the outputs.

    Attributes:
        theory: its name.
        version: its version.
        source: first digits of the digest of its source.
        limitbench: version of the program.
        first, last: first and last day on which its cells were begun; empty if unknown.
        scored, agrees, undecided, disagrees: numbers of experiments.
        median_gap: median limit gap.
    """

    theory: str
    version: str
    source: str
    limitbench: str
    first: str
    last: str
    scored: int
    agrees: int
    undecided: int
    disagrees: int
    median_gap: float

    def as_json(self) -> dict[str, Any]:
        """Return the version as plain JSON."""
        return dict(vars(self))


@dataclass(frozen=True)
class Change:
    """An experiment that several versions of a theory have.

    Attributes:
        theory: its name.
        experiment: name of the experiment.
        scores: the version, the day, and the row of each, oldest first.
    """

    theory: str
    experiment: str
    scores: list[tuple[str, str, ScoreRow]]


def versions(contents: Contents) -> list[Version]:
    """Return the versions of all theories, in the theories' order, oldest first."""
    groups: dict[Key, list[ScoreRow]] = {}
    for row in _rows(contents):
        groups.setdefault(_key(row), []).append(row)
    found = [_version(key, rows, contents.started) for key, rows in groups.items()]
    place = {name: k for k, name in enumerate(contents.theories)}
    return sorted(found, key=lambda v: (place[v.theory], v.first, v.version, v.source))


def changes(contents: Contents) -> list[Change]:
    """Return the experiments that several versions of a theory have, by theory."""
    groups: dict[tuple[str, str], dict[Key, ScoreRow]] = {}
    for row in _rows(contents):
        groups.setdefault((row.theory, row.experiment), {}).setdefault(_key(row), row)
    found = []
    for (theory, experiment), rows in groups.items():
        if len(rows) < 2:
            continue
        dated = [(_day(contents.started, row), _label(key), row) for key, row in rows.items()]
        dated.sort(key=lambda each: each[:2])
        found.append(Change(theory, experiment, [(name, day, row) for day, name, row in dated]))
    place = {name: k for k, name in enumerate(contents.theories)}
    return sorted(found, key=lambda c: place[c.theory])


def _rows(contents: Contents) -> list[ScoreRow]:
    rows = contents.scores.rows
    return [r for r in rows if r.observable == PRIMARY and r.limit_gap_ci is not None]


def _key(row: ScoreRow) -> Key:
    named = row.versions
    source = row.sources.get("theory", "")
    return row.theory, named.get("theory", ""), source, named.get("limitbench", "")


def _label(key: Key) -> str:
    _, version, source, program = key
    return f"{version}, source {source or 'unknown'}, limitbench {program or 'unknown'}"


def _day(started: Mapping[str, str], row: ScoreRow) -> str:
    return started.get(row.cell, "")[:10]


def _version(key: Key, rows: list[ScoreRow], started: Mapping[str, str]) -> Version:
    days = sorted(day for row in rows if (day := _day(started, row)))
    verdicts = [row.verdict for row in rows]
    return Version(
        *key,
        first=days[0] if days else "",
        last=days[-1] if days else "",
        scored=len(rows),
        agrees=verdicts.count("agrees"),
        undecided=verdicts.count("undecided"),
        disagrees=verdicts.count("disagrees"),
        median_gap=statistics.median(row.limit_gap for row in rows),
    )
