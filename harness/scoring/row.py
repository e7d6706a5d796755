"""A row of the leaderboard: one theory on one problem and observable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.scoring.problems import ProblemResults
from harness.scoring.statistics import Score
from harness.store import CellRecord


@dataclass(frozen=True, kw_only=True)
class ScoreRow(Score):
    """A score, with its theory, problem and observable.

    Attributes:
        experiment: its name.
        problem: hash of the problem, as in `ProblemResults`.
        task, architecture, regime, theory: names of the components.
        cell: key of the theory's cell.
        observable: the scored observable.
        apart: difference of the row from others of the same experiment and theory; None if there
            is no other.
        versions: of the components, by kind, and of limitbench.
        sources: first digits of the digests of the components' source, by kind.
        widths: of the networks.
        seeds: smallest number of networks of a width.
        theory_seconds: time of the theory.
        network_seconds_same_error: training time after which the networks' limit is as exact as
            the theory; None where that is not defined.
        complete: whether no cell of the experiment is missing or failed.
        rank: among theories on the problem and observable, from 1, equal for equal gaps; 0 before
            they are ranked.
    """

    experiment: str
    problem: str
    task: str
    architecture: str
    regime: str
    theory: str
    cell: str
    observable: str
    apart: str | None
    versions: Mapping[str, str]
    sources: Mapping[str, str]
    widths: list[int]
    seeds: int
    theory_seconds: float
    network_seconds_same_error: float | None
    complete: bool
    rank: int = 0

    @property
    def name(self) -> str:
        """The experiment's name, marked where the row has others of its theory beside it."""
        return f"{self.experiment} ({self.apart})" if self.apart else self.experiment

    def as_json(self) -> dict[str, Any]:
        """Return the row as plain JSON: first its identity, then the score."""
        facts = {name: _plain(value) for name, value in vars(self).items()}
        return {name: facts[name] for name in _FIRST} | facts


_FIRST = (
    *("experiment", "problem", "task", "architecture", "regime", "theory", "cell", "observable"),
    *("apart", "versions", "sources", "widths", "seeds"),
)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return list(value)
    return vars(value).copy() if hasattr(value, "__dataclass_fields__") else value


def score_row(
    results: ProblemResults, record: CellRecord, label: str, name: str, found: Score
) -> ScoreRow:
    """Return the row of a score, without a rank.

    Args:
        results: networks and theories of the problem.
        record: the theory's cell.
        label: its difference from others of the same name.
        name: of the observable.
        found: its score.
    """
    facts, networks = record.facts, results.networks
    used = [r for records in networks.values() for r in records]
    training = sum(r.facts.seconds for r in used if _counts(r, found))
    return ScoreRow(
        **vars(found),
        experiment=results.experiment,
        problem=results.problem,
        task=facts.task.name,
        architecture=facts.architecture.name,
        regime=facts.regime.name,
        theory=facts.solver.name,
        cell=record.key,
        observable=name,
        apart=", ".join(text for text in (results.apart, label) if text) or None,
        versions=results.versions(record),
        sources={kind: digest[:8] for kind, digest in facts.sources.items()},
        widths=list(networks),
        seeds=min(len(records) for records in networks.values()),
        theory_seconds=facts.seconds,
        network_seconds_same_error=_seconds_same_error(found, training),
        complete=results.complete,
    )


def _counts(record: CellRecord, found: Score) -> bool:
    """Return whether a network took part in the extrapolation."""
    return record.facts.solver.width not in found.dropped_widths


def _seconds_same_error(found: Score, training: float) -> float | None:
    """Return the training time after which the networks' own limit is as exact as the theory.

    The theory's error is its standard error and the gap found; the limit's variance falls as one
    over the number of seeds, so as one over the time. None if the theory's error is zero within
    uncertainty, or the limit's error is unknown.
    """
    error2 = found.limit_gap**2 + found.theory_stderr**2
    if found.limit_stderr is None or error2 == 0:
        return None
    return training * found.limit_stderr**2 / error2
