"""Cells grouped by problem, from one or several results folders."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from harness.records.cell import CellFacts
from harness.store import CellRecord, ExperimentResults, Store, experiments
from harness.suites.cells import digest, source_name

PROBLEM = {"data", "architecture", "regime", "dts"}
"""Facts of a cell that determine its problem."""

ASKED = {"task", "data_seed"}
"""Facts that specify the request for its data."""


class Solution(NamedTuple):
    """One solver's cells for a problem.

    Attributes:
        solver: "network", or the theory's name.
        width: of the networks; None for a theory.
        apart: difference from other solutions of the same experiment and name, if any.
        records: finished cells: networks in order of their seeds, or the theory's one.
    """

    solver: str
    width: int | None
    apart: str | None
    records: list[CellRecord]

    @property
    def facts(self) -> CellFacts:
        """Facts of the first cell."""
        return self.records[0].facts


@dataclass(frozen=True)
class ProblemResults:
    """Networks and theories that solve exactly the same problem.

    Attributes:
        experiment: its name.
        problem: hash of the problem and of the networks' precision; networks and theories are
            ranked with others of the same one, whatever their experiments are called.
        apart: difference from other problems of the same name, such as ``task.version=2``; empty
            where there is no other.
        networks: finished networks by width, seeds in order.
        theories: cells of theories, whatever their status, each with its difference from others
            of the same name.
        complete: whether no cell is missing or failed.
        scored: observables of one's own that are scored.
        records: all cells, whatever their status.
    """

    experiment: str
    problem: str
    apart: str
    networks: dict[int, list[CellRecord]]
    theories: list[tuple[CellRecord, str]]
    complete: bool
    scored: tuple[str, ...] = ()
    records: list[CellRecord] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The experiment's name, marked where other problems have the same one."""
        return f"{self.experiment} ({self.apart})" if self.apart else self.experiment

    @property
    def theories_alone(self) -> bool:
        """Whether the experiment asks for theories only, so that there is nothing to compare."""
        return self.complete and not self.networks and not self.apart

    def solutions(self) -> Iterator[Solution]:
        """Yield the finished solutions: networks of every width, then theories."""
        for width, records in self.networks.items():
            yield Solution("network", width, self.apart or None, records)
        for record, label in self.theories:
            if record.status == "done":
                apart = ", ".join(text for text in (self.apart, label) if text) or None
                yield Solution(record.facts.solver.name, None, apart, [record])

    def versions(self, theory: CellRecord) -> dict[str, str]:
        """Return the versions of all components, and of limitbench where it is known."""
        facts = theory.facts
        found: dict[str, str] = {k: spec.version for k, spec in facts.components.items()}
        found |= {source_name(spec.name): spec.version for spec in facts.observables}
        networks = [r for records in self.networks.values() for r in records]
        programs = {
            record.facts.environment.versions.get("limitbench") for record in (theory, *networks)
        }
        if known := sorted(version for version in programs if version):
            found["limitbench"] = ", ".join(known)
        return found


def read_problems(stores: Sequence[Store], notes: list[str]) -> list[ProblemResults]:
    """Return the problems of results folders in suite order: see `group_by_problem`.

    Args:
        stores: results folders.
        notes: receives a line for each experiment whose cells are kept apart.

    Raises:
        StoreError: if a folder holds no results.
    """
    return group_by_problem([found for store in stores for found in experiments(store)], notes)


def group_by_problem(read: Sequence[ExperimentResults], notes: list[str]) -> list[ProblemResults]:
    """Group the cells of experiments by the problem that they solve.

    Cells of an experiment in several folders form one group if they solve the same problem: data,
    components, versions, source, parameters, steps and precision agree. Otherwise they are kept
    apart.

    Args:
        read: the experiments, folder after folder.
        notes: takes a line for each experiment whose cells are kept apart.
    """
    named: dict[str, list[ExperimentResults]] = {}
    for experiment in read:
        named.setdefault(experiment.name, []).append(experiment)
    return [
        found for name, parts in named.items() for found in _split_by_problem(name, parts, notes)
    ]


def _split_by_problem(
    name: str, parts: list[ExperimentResults], notes: list[str]
) -> list[ProblemResults]:
    """Group the cells of one experiment: a single group, unless folders differ in its problem."""
    records: dict[tuple[str, ...], CellRecord] = {}
    for record in (record for part in parts for record in part.records):
        sources = record.facts.sources
        kinds = ("architecture", "regime", "theory", *map(source_name, _own(record)))
        known = record.key, *(sources.get(k, "") for k in kinds)
        if known not in records or record.status == "done":
            records[known] = record
    present = {record.key for record in records.values()}
    absent = {key for part in parts for key in part.absent} - present
    complete = not absent and all(r.status != "failed" for r in records.values())

    problems: dict[str, list[CellRecord]] = {}
    for record in records.values():
        problems.setdefault(same_problem(record), []).append(record)
    split: list[tuple[dict[str, Any], list[CellRecord], list[CellRecord]]] = []
    for key, members in problems.items():
        theories = [r for r in members if r.facts.solver.width is None]
        networks = [r for r in members if r.facts.solver.width is not None]
        for made, chosen in _by_making(networks):
            split.append((json.loads(key) | made, chosen, theories))
        _note_settings(name, members, notes)
    asked = dict.fromkeys(n for part in parts for n in part.scored)
    labels = _told_apart([(facts, (n or t)[0]) for facts, n, t in split])
    if len(split) > 1:
        notes.append(f"{name}: not the same problem everywhere, so kept apart: {'; '.join(labels)}")
    return [
        ProblemResults(
            experiment=name,
            problem=digest(facts),
            apart=label,
            networks=_by_width(networks),
            theories=_labelled(name, theories, notes),
            complete=complete,
            scored=tuple(n for n in asked if n in _own((networks or theories)[0])),
            records=[*networks, *theories],
        )
        for label, (facts, networks, theories) in zip(labels, split, strict=True)
    ]


def _by_making(
    networks: Sequence[CellRecord],
) -> list[tuple[dict[str, Any], list[CellRecord]]]:
    """Group the networks of a problem by precision, and by version of the trainer if it differs."""
    trainers = {r.facts.solver.trainer for r in networks}
    groups: dict[str, tuple[dict[str, Any], list[CellRecord]]] = {}
    for record in networks:
        solver = record.facts.solver
        made: dict[str, Any] = {"dtype": solver.dtype}
        if len(trainers) > 1:
            made["trainer"] = solver.trainer
        groups.setdefault(_canonical(made), (made, []))[1].append(record)
    return [groups[key] for key in sorted(groups)] or [({"dtype": None}, [])]


def _note_settings(name: str, records: Sequence[CellRecord], notes: list[str]) -> None:
    """Note that cells of a problem were computed with several settings of the compiler."""
    found = {_canonical(r.facts.environment.settings) for r in records if r.status == "done"}
    if len(found) > 1:
        told = " and ".join(
            ", ".join(f"{k}={v}" for k, v in json.loads(each).items()) or "none"
            for each in sorted(found)
        )
        notes.append(
            f"{name}: cells have several settings of the compiler ({told}), which may change"
            " numbers; unset XLA_FLAGS and run again with --fresh for one"
        )


def _told_apart(problems: Sequence[tuple[dict[str, Any], CellRecord]]) -> list[str]:
    """Return the differences of problems: in their request or, where requests agree, in the data.

    Args:
        problems: facts of each, and one of its cells.
    """
    facts = [
        {**record.facts.model_dump(include=ASKED), **found, "data": found["data"][:8]}
        for found, record in problems
    ]
    labels = differences([{k: v for k, v in each.items() if k != "data"} for each in facts])
    return labels if len(set(labels)) == len(labels) else differences(facts)


def same_problem(record: CellRecord) -> str:
    """Return text that is equal for cells of one problem, whatever their precision."""
    return _canonical(_problem(record))


def _problem(record: CellRecord) -> dict[str, Any]:
    """Return the facts that determine a cell's problem, with the source of its parts."""
    sources = record.facts.sources
    facts = record.facts.model_dump(include=PROBLEM)
    if own := _own(record):  # networks with and without them are the same: each counts once
        facts["observables"] = ", ".join(own.values())
    kinds = ("architecture", "regime")
    return {**facts, "source": {kind: sources.get(kind, "")[:8] for kind in kinds}}


def _own(record: CellRecord) -> dict[str, str]:
    """Return a cell's own observables by name, each with all that distinguishes it."""
    facts = record.facts
    return {
        s.name: f"{s.name} {s.version} {_canonical(s.parameters)}"
        f" {facts.sources.get(source_name(s.name), '')[:8]}"
        for s in facts.observables
    }


def _by_width(networks: Sequence[CellRecord]) -> dict[int, list[CellRecord]]:
    found: dict[int, list[CellRecord]] = {}
    for record in sorted(networks, key=lambda r: r.facts.solver.seed or 0):
        if record.status == "done" and record.facts.solver.width is not None:
            found.setdefault(record.facts.solver.width, []).append(record)
    return dict(sorted(found.items()))


def _labelled(
    name: str, theories: Sequence[CellRecord], notes: list[str]
) -> list[tuple[CellRecord, str]]:
    """Return theories with labels that distinguish those of the same name."""
    groups: dict[str, list[CellRecord]] = {}
    for record in theories:
        groups.setdefault(record.facts.solver.name, []).append(record)
    found = []
    for theory, members in groups.items():
        labels = differences(
            [
                {
                    "theory": r.facts.components["theory"].model_dump(),
                    "source": {"theory": r.facts.sources.get("theory", "")[:8]},
                }
                for r in members
            ]
        )
        if len(members) > 1:
            notes.append(f"{name}: {theory} kept apart: {'; '.join(labels)}")
        found += list(zip(members, labels, strict=True))
    return found


def differences(facts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return, for each nested set of facts, its values for the facts on which not all agree."""
    flat = [_flatten(each) for each in facts]
    names = list(dict.fromkeys(name for each in flat for name in each))
    differing = [n for n in names if len({_canonical(each.get(n)) for each in flat}) > 1]
    return [", ".join(f"{n}={each.get(n)}" for n in differing) for each in flat]


def _flatten(facts: Mapping[str, Any], at: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{at}{name}.")
        else:
            flat[f"{at}{name}"] = value
    return flat


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
