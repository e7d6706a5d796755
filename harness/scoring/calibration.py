"""Coverage of intervals and verdicts, from simulated ensembles with a planted gap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from harness.scoring.statistics import limit_gap

GAPS = (0.0, 0.02, 0.05, 0.1, 0.2)
WIDTHS = (64, 128, 256, 512, 1024)


@dataclass(frozen=True)
class Situation:
    """Simulated networks, limit + bias / N + noise / sqrt(N), and a theory with errors.

    Attributes:
        name: name in words.
        noise: relative discrepancy of a network of width 1.
        bias: length of the drift of the mean at width 1.
        components: number of points.
        correlation: length over which errors of neighbouring points are correlated, as a share of
            all; 0 for independent ones.
        theory_error: relative standard error of the theory, from 8 replicates.
        seeds: networks of each width.
        widths: N.
    """

    name: str = "correlated points"
    noise: float = 2.0
    bias: float = 2.0
    components: int = 40
    correlation: float = 0.1
    theory_error: float = 0.0
    seeds: int = 8
    widths: tuple[int, ...] = WIDTHS


@dataclass(frozen=True)
class VerdictShares:
    """Shares of simulated leaderboards.

    Attributes:
        covered: share whose interval contains the planted gap.
        agrees, disagrees: share with that verdict.
    """

    covered: float
    agrees: float
    disagrees: float


def calibration(
    gap: float, situation: Situation | None = None, leaderboards: int = 2000, seed: int = 0
) -> VerdictShares:
    """Score simulated ensembles whose limit lies `gap` away from the theory's true prediction.

    Gap and drift have random directions, new ones for every leaderboard.

    Args:
        gap: relative distance.
        situation: parameters of the simulation.
        leaderboards: number of leaderboards.
        seed: of the simulation.
    """
    setting = situation or Situation()
    root = _root_of_covariance(setting)
    counts = np.zeros(3)
    for run in range(leaderboards):
        networks, replicates = _simulate(setting, gap, root, np.random.default_rng([seed, run]))
        theory = replicates.mean(axis=0)
        _, interval, verdict = limit_gap(
            networks, theory, replicates=replicates if setting.theory_error else None
        )
        if interval is None:
            raise ValueError(f"{setting.name}: a simulation needs two widths and two seeds")
        low, high = interval
        # relative to the prediction, which has errors, but the gap is planted relative to 1
        planted = gap / float(np.linalg.norm(theory))
        counts += (
            low <= planted <= high,
            verdict == "agrees",
            verdict == "disagrees",
        )
    covered, agrees, disagrees = (float(c) for c in counts / leaderboards)
    return VerdictShares(covered, agrees, disagrees)


def _root_of_covariance(setting: Situation) -> Float[np.ndarray, "components components"]:
    """Return L with L L^T the covariance of the errors, of trace 1."""
    points = np.arange(setting.components) / setting.components
    covariance = np.eye(setting.components)
    if setting.correlation:
        distance = (points[:, None] - points) / setting.correlation
        # the small ridge keeps the smooth covariance positive definite
        covariance = np.exp(-(distance**2) / 2) + 1e-10 * covariance
    root: NDArray[Any] = np.linalg.cholesky(covariance / setting.components)
    return root


def _simulate(
    setting: Situation, gap: float, root: NDArray[Any], rng: np.random.Generator
) -> tuple[dict[int, NDArray[Any]], NDArray[Any]]:
    """Return networks by width and the theory's replicates, (8, components)."""
    components = setting.components

    def direction() -> NDArray[Any]:
        drawn = rng.standard_normal(components)
        unit: NDArray[Any] = drawn / np.linalg.norm(drawn)
        return unit

    truth = direction()
    limit, drift = truth + gap * direction(), setting.bias * direction()
    networks = {
        n: limit
        + drift / n
        + setting.noise / np.sqrt(n) * rng.standard_normal((setting.seeds, components)) @ root.T
        for n in setting.widths
    }
    spread = setting.theory_error * np.sqrt(8)
    return networks, truth + spread * rng.standard_normal((8, components)) @ root.T
