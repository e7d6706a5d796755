"""The claim that a source can be learned too richly: at convergence, and with few steps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import Condition, Evidence, Finding, Judgement, claim, claims

from .ratios import EXACT, PAPER, grid_losses, with_ratios
from .stopping import stopped_losses

STEPS = 100
"""Number of steps, of the largest stable size, at early stopping."""
SHIFT = 0.25
"""Smallest shift of log10 of the best gamma_1 that counts: half a step of the experiment's grid."""


@claim(
    "optimal-richness",
    version="2",
    statement="There is an optimal source richness gamma_1, and it is larger for small nu_2.",
    source=f"{PAPER}, Section 4 on limited source data",
    experiments=["linear-richness"],
    order=5,
    tags={"linear", "fine-tuning"},
)
def optimal_richness(evidence: Evidence) -> Judgement:
    """Loss over gamma_1 at convergence, and after a fixed number of largest stable steps."""
    converged = grid_losses(evidence, "linear-richness")
    stopped = stopped_losses(with_ratios(evidence.curve("linear-richness", solver=EXACT)), STEPS)
    return Judgement(
        _optimum(converged, "converged"),
        "At convergence the loss falls with gamma_1 and levels off at (1 - nu_2)(1 - a^2): no"
        " optimum. With a fixed budget of steps of the largest stable size there is one: the spike"
        " limits the step, so that a rich readout learns along it and little else, which hurts"
        " where nu_2 is above a^2.",
        [
            Condition(f"the readout takes {STEPS} steps of the largest stable size; {name}", found)
            for name, found in _stopped_conditions(stopped)
        ],
        _over_richness(converged, stopped),
    )


def _stopped_conditions(stopped: Any) -> list[tuple[str, list[Finding]]]:
    """Return the findings after a fixed number of steps, split by whether a^2 is below nu_2."""
    *optima, shift = _optimum(stopped, "stopped")
    overlap2 = float(stopped["overlap2"].mean())
    named = [
        (
            f"nu_2 = {nu2:g} is {'above' if nu2 > overlap2 else 'below'} a^2 = {overlap2:.2g}",
            [found],
        )
        for nu2, found in zip(sorted(stopped["nu2"].unique()), optima, strict=True)
    ]
    return [*named, ("how the best gamma_1 moves", [shift])]


def _optimum(frame: Any, what: str) -> list[Finding]:
    """Return the excess loss of the richest over the best, and the shift of the best with nu_2."""
    gamma = "regime.source_richness"
    findings: list[Finding] = []
    best: dict[float, NDArray[np.float64]] = {}
    for nu2, part in frame.groupby("nu2"):
        table = part.pivot_table(index="data_seed", columns=gamma, values="value")
        best[nu2] = np.log10(_jackknifed(table))
        less = table.iloc[:, :-1]
        chosen = less.mean().idxmin()
        findings.append(
            Finding.mean(
                f"{what}: loss at gamma_1 = {table.columns[-1]:g} over that at {chosen:g}, less 1,"
                f" nu_2 = {nu2:g}",
                table.iloc[:, -1] / less[chosen] - 1,
                at_least=0.0,
                smallest=claims.SMALLEST,
            )
        )
    small, large = best[min(best)], best[max(best)]
    findings.append(
        Finding.jackknife(
            f"{what}: log10 of the best gamma_1 at nu_2 = {min(best):g} less that at {max(best):g}",
            float(small.mean() - large.mean()),
            small - large,
            at_least=0.0,
            smallest=SHIFT,
        )
    )
    return findings


def _jackknifed(table: Any) -> NDArray[np.float64]:
    """Return the best gamma_1 with each draw left out in turn."""
    return np.array([float(table.drop(index=draw).mean().idxmin()) for draw in table.index])


def _over_richness(converged: Any, stopped: Any) -> Any:
    def draw(ax: Any) -> None:
        gamma = "regime.source_richness"
        claims.draw_means(ax, converged, gamma, by="nu2", label="ν₂ = {}, converged")
        claims.draw_means(ax, stopped, gamma, by="nu2", label="ν₂ = {}, stopped", dashed=True)
        claims.label_axes(ax, "γ₁", "target test loss", log=True, font=7.0)

    return draw
