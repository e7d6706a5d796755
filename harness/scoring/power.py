"""Power of experiments: whether their networks can tell a right theory from one that is off.

Both are measured on real networks: with all seeds, and with random halves of them, which are
independent of any model of the networks' noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness.scoring.gap import Interval, Vector
from harness.scoring.leaderboard import replicates_of
from harness.scoring.limit import ValuesByWidth
from harness.scoring.problems import ProblemResults
from harness.scoring.statistics import Verdict, limit_gap
from harness.scoring.values import PRIMARY, final_values

OFF = 0.1
"""Relative error of the theories that are wrong on purpose."""

HALVES = 100
"""Random halves of the seeds."""


@dataclass(frozen=True)
class Power:
    """Verdicts of one experiment on a right theory, and on the same one made wrong.

    Attributes:
        experiment: its name.
        theory: the right theory: the first of the given ones with a finished cell.
        interval: of the theory's limit gap.
        verdict: on the theory.
        wrong: on the same theory with predictions 10 % too large.
        apart: on the same theory with an error of 10 % in a random direction.
        agreed: share of random halves of the seeds in which the theory does not disagree.
        covered: share of these whose interval holds a gap of zero.
        found_out: share of these in which the theory with predictions too large disagrees.
    """

    experiment: str
    theory: str
    interval: Interval
    verdict: Verdict
    wrong: Verdict
    apart: Verdict
    agreed: float
    covered: float
    found_out: float


def power(
    problems: Sequence[ProblemResults], exact: Sequence[str], halves: int = HALVES
) -> list[Power]:
    """Return the power of every experiment that a right theory has solved.

    Args:
        problems: networks and theories, by problem.
        exact: names of theories that are right in their domain, the preferred first.
        halves: number of random halves.

    Raises:
        StoreError: if a cell cannot be read.
    """
    found = []
    for results in problems:
        done = {r.facts.solver.name: r for r, _ in results.theories if r.status == "done"}
        name = next((name for name in exact if name in done), None)
        if name is None or not results.networks:
            continue
        predicted, stderr = final_values(done[name], [PRIMARY])[PRIMARY]
        networks = {
            width: np.stack([final_values(r, [PRIMARY])[PRIMARY][0] for r in records])
            for width, records in results.networks.items()
        }
        drawn = replicates_of(done[name], PRIMARY)
        if one := _power(results.experiment, name, networks, predicted, stderr, drawn, halves):
            found.append(one)
    return found


def _power(
    experiment: str,
    theory: str,
    networks: ValuesByWidth,
    predicted: Vector,
    stderr: Vector | None,
    drawn: Float[np.ndarray, "replicates components"] | None,
    halves: int,
) -> Power | None:
    rng = np.random.default_rng(0)

    def judged(values: ValuesByWidth, error: Vector) -> tuple[Interval | None, Verdict]:
        # the wrong theory states the errors of the right one
        moved = None if drawn is None else drawn + error
        _, interval, verdict = limit_gap(values, predicted + error, stderr, replicates=moved)
        return interval, verdict

    none, larger = np.zeros_like(predicted), OFF * predicted
    direction = rng.standard_normal(predicted.shape)
    direction *= OFF * np.linalg.norm(predicted) / np.linalg.norm(direction)
    interval, verdict = judged(networks, none)
    if interval is None:
        return None
    agreed = covered = found_out = 0
    for _ in range(halves):
        half = {n: v[rng.permutation(len(v))[: max(2, len(v) // 2)]] for n, v in networks.items()}
        own, said = judged(half, none)
        agreed += said != "disagrees"
        covered += own is not None and own[0] == 0
        found_out += judged(half, larger)[1] == "disagrees"
    return Power(
        experiment,
        theory,
        interval,
        verdict,
        judged(networks, larger)[1],
        judged(networks, direction)[1],
        agreed / halves,
        covered / halves,
        found_out / halves,
    )
