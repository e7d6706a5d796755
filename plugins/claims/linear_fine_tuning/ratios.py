"""Losses of linear fine-tuning as functions of nu_1, nu_2, chi and the overlap a."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from harness import Evidence, Finding, claims

PAPER = "Lauditi, Bordelon & Pehlevan, arXiv:2507.04448"
EXPONENTS = 0.35, 0.65
"""Range of exponents with which networks approach a theory as 1 / sqrt(N)."""
EXACT = "linear-transfer"
"""The theory for the networks of the problem, exact at any number of points."""


def grid_losses(evidence: Evidence, experiment: str) -> Any:
    """Return final losses with nu_1, nu_2, chi, a and the loss of typical draws."""
    frame = evidence.final(experiment, solver=EXACT)
    typical = evidence.final(experiment, "loss/test-asymptotic", solver=EXACT)
    frame = frame.merge(typical[["key", "value"]].rename(columns={"value": "typical"}), on="key")
    return with_ratios(frame)


def with_ratios(frame: Any) -> Any:
    """Return cells with the signal share min(nu_1, 1), nu_2, the noise alignment, chi and a^2."""
    signal = np.minimum(frame["task.source_points"] / frame["task.dimension"], 1.0)
    noise = frame["task.noise_alignment"].astype(float).fillna(0.0)
    overlap = np.sqrt(signal) * frame["task.alignment"] + np.sqrt(1 - signal) * noise
    # a source stage of no steps leaves the kernel of the start
    richness = frame["regime.source_richness"].where(frame["regime.source_steps"] != 0, 0.0)
    return frame.assign(
        signal=signal,
        nu2=frame["task.target_points"] / frame["task.dimension"],
        noise=noise,
        chi=np.sqrt(1 + richness**2 * signal) - 1,
        overlap2=overlap**2,
    )


def typical_draws(grid: Any) -> list[Finding]:
    """Return a comparison of the means over draws with the formula for typical draws."""
    points = ["task.alignment", "noise", "regime.source_richness", "nu2"]
    group = grid.groupby(points)
    deviation = (group["value"].mean() - group["typical"].mean()) / group["value"].sem()
    share, count = float((deviation.abs() <= 2).mean()), len(deviation)
    expected = 0.95 - 2 * math.sqrt(0.95 * 0.05 / count)
    relative = grid.assign(value=grid["value"] / grid["typical"] - 1)
    return [
        Finding(
            what=f"share of {count} grid points at which the mean over draws lies within two"
            " standard errors of the formula (95 % expected, less chance)",
            value=share,
            at_least=expected,
        ),
        Finding.mean(
            "loss / formula - 1, mean over the grid",
            relative.groupby("data_seed")["value"].mean(),
            -claims.TOLERANCE,
            claims.TOLERANCE,
        ),
    ]


def against_formula(grid: Any, by: str, label: str) -> Any:
    """Return a function that draws losses and the formula over nu_2."""

    def draw(ax: Any) -> None:
        claims.draw_means(ax, grid, "nu2", by=by, label=label)
        for turn, (_, part) in enumerate(grid.groupby(by)):
            line = part.groupby("nu2")["typical"].mean()
            name = None if turn else "formula, D → ∞"
            ax.plot(line.index, line, ":", color="#767676", lw=1.2, zorder=1 + turn, label=name)
        nu2 = np.linspace(grid["nu2"].min(), grid["nu2"].max(), 50)
        ax.plot(nu2, 1 - nu2, "--", color="#767676", lw=1.2, label="1 - ν₂")
        claims.label_axes(ax, "ν₂ = P₂ / D", "target test loss")

    return draw
