"""Provenance: a suite file that reruns an experiment, parameters, seeds and environments."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from harness.records.cell import CellFacts, ExperimentKind, NetworkFacts, SpecFacts
from harness.registry.component import PROBLEM_KINDS
from harness.report.wording import joined, seed_runs, value_in_words
from harness.store import CellRecord, ExperimentResults
from harness.suites.cells import source_name

NamedValues = list[tuple[str, str]]
"""A table of names and values, in words."""


def as_toml(experiment: ExperimentResults) -> str:
    """Return a suite file for the cells of an experiment, with every parameter explicit.

    A run with the same results folder finds the cells there. The text is empty where networks or
    theories are missing, as a suite needs both.
    """
    import tomli_w

    networks = [n for r in experiment.records if (n := r.facts.solver.network)]
    theories = [_asked(r.facts, "theory") for r in experiment.records if _theory(r)]
    if not networks or not theories:
        return ""
    seeds = sorted({n.seed for n in networks})
    facts = experiment.records[0].facts
    parts: dict[str, dict[str, Any]] = {k: _table(_asked(facts, k)) for k in PROBLEM_KINDS}
    if facts.data_seed:
        parts["task"]["data_seed"] = facts.data_seed
    suite = {
        "name": experiment.suite or experiment.name,
        "widths": sorted({n.width for n in networks}),
        "seeds": len(seeds) if seeds == list(range(len(seeds))) else seeds,
        "dtype": networks[0].dtype,
    }
    named = {"name": experiment.name, **parts, "theories": [_table(t) for t in theories]}
    if own := [_observable(facts, s, experiment.scored) for s in facts.observables]:
        named["observables"] = own
    return tomli_w.dumps({"suite": suite, "experiment": [named]})


def provenance_tables(experiment: ExperimentResults) -> list[tuple[str, NamedValues]]:
    """Return parameters, seeds and environments, as titled tables of name and value."""
    if not experiment.records:
        return []
    facts = experiment.records[0].facts
    found = []
    for kind in PROBLEM_KINDS:
        spec = _asked(facts, kind)
        found.append((f"{kind}: {spec.name}, version {spec.version}", _plain(spec)))
    for record in filter(_theory, experiment.records):
        spec = _asked(record.facts, "theory")
        notes = [
            (f"note: {name}", value_in_words(value)) for name, value in record.facts.notes.items()
        ]
        notes.append(("seconds", f"{record.facts.seconds:.1f}"))
        found.append((f"theory: {spec.name}, version {spec.version}", _plain(spec) + notes))
    for spec in facts.observables:
        found.append((f"observable: {spec.name}, version {spec.version}", _plain(spec)))
    found.append(("networks and seeds", _seeds(experiment)))
    for count, environment in enumerate(_environments(experiment.records), start=1):
        found.append((f"environment {count}" if count > 1 else "environment", environment))
    return found


def _theory(record: CellRecord) -> bool:
    return record.facts.solver.width is None


def _asked(facts: CellFacts, kind: ExperimentKind) -> SpecFacts:
    """Return a component with all its parameters, also those that no key contains."""
    spec = facts.components[kind]
    apart = {} if kind == "task" else facts.unkeyed.get(kind, {})
    return spec.model_copy(update={"parameters": {**spec.parameters, **apart}})


def _observable(facts: CellFacts, spec: SpecFacts, scored: Sequence[str]) -> dict[str, Any]:
    """Return an observable in the form of a suite."""
    apart = facts.unkeyed.get(source_name(spec.name), {})
    whole = spec.model_copy(update={"parameters": {**spec.parameters, **apart}})
    return _table(whole) | ({"scored": True} if spec.name in scored else {})


def _table(spec: SpecFacts) -> dict[str, Any]:
    """Return a component in the form of a suite; TOML expresses "none" by omission."""
    return {"name": spec.name, **_without_none(spec.parameters)}


def _without_none(value: Any) -> Any:
    """Return nested objects and lists without None values."""
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_without_none(v) for v in value if v is not None]
    return value


def _plain(spec: SpecFacts) -> NamedValues:
    return [(name, value_in_words(value)) for name, value in spec.parameters.items()]


def _seeds(experiment: ExperimentResults) -> NamedValues:
    facts = experiment.records[0].facts
    found: NamedValues = [
        ("data seed", str(facts.data_seed)),
        ("dt of the stages", ", ".join(f"{dt:g}" for dt in facts.dts)),
    ]
    by_width: dict[int, list[NetworkFacts]] = {}
    for record in experiment.records:
        if network := record.facts.solver.network:
            by_width.setdefault(network.width, []).append(network)
    for width, networks in sorted(by_width.items()):
        types = sorted({network.dtype for network in networks})
        seeds = seed_runs(network.seed for network in networks)
        found.append((f"width {width}", f"{seeds}, {joined(types)}"))
    return found


def _environments(records: Sequence[CellRecord]) -> list[NamedValues]:
    dumped = [r.facts.environment.model_dump() for r in records]
    distinct = {json.dumps(environment, sort_keys=True): environment for environment in dumped}
    return [
        [(name, value_in_words(value)) for name, value in environment.items() if name != "versions"]
        + list(environment["versions"].items())
        for _, environment in sorted(distinct.items())
    ]
