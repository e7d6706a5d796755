"""The claim on infinitely rich sources, whose features are the spike alone."""

from __future__ import annotations

from typing import Any

from harness import Condition, Evidence, Finding, Judgement, claim, claims

from .plateau import plateau_losses
from .ratios import PAPER, grid_losses


@claim(
    "rank-one-limit",
    version="1",
    statement="As gamma_1 -> infinity the loss tends to 1 - a^2, whatever nu_2, with a the overlap"
    " of the target with the spike.",
    source=f"{PAPER}, Result 4",
    experiments=["linear-rank-one", "linear-richness"],
    order=6,
    tags={"linear", "fine-tuning"},
)
def rank_one_limit(evidence: Evidence) -> Judgement:
    """The plateau of the loss after the spike is learned, and before anything else is."""
    plateau = plateau_losses(evidence)
    relative = plateau.assign(value=plateau["value"] / (1 - plateau["overlap2"]) - 1)
    points = sorted(relative["nu2"].unique())
    per_point = {
        nu2: part.groupby("data_seed")["value"].mean() for nu2, part in relative.groupby("nu2")
    }
    findings = [
        Finding.mean(
            f"loss / (1 - a^2) - 1 on the plateau, nu_2 = {nu2:g}",
            found,
            -claims.TOLERANCE,
            claims.TOLERANCE,
        )
        for nu2, found in per_point.items()
    ]
    findings.append(
        Finding.mean(
            f"the same at nu_2 = {points[-1]:g} less that at {points[0]:g}",
            per_point[points[-1]] - per_point[points[0]],
            -claims.TOLERANCE,
            claims.TOLERANCE,
        )
    )
    end = grid_losses(evidence, "linear-richness")
    end = end[end["regime.source_richness"] == end["regime.source_richness"].max()]
    ridgeless = [
        Finding.mean(
            f"loss / (1 - a^2) - 1 at the end, gamma_1 = {end['regime.source_richness'].max():g},"
            f" nu_2 = {nu2:g}",
            part["value"] / (1 - part["overlap2"]) - 1,
            -claims.TOLERANCE,
            claims.TOLERANCE,
        )
        for nu2, part in end.groupby("nu2")
    ]

    def draw(ax: Any) -> None:
        claims.draw_means(ax, relative, "nu2", by="noise", label="plateau, noise alignment {}")
        late = end.assign(value=end["value"] / (1 - end["overlap2"]) - 1)
        claims.draw_means(ax, late, "nu2", label="converged readout", dashed=True, first=4)
        ax.axhline(0.0, color="#767676", lw=1.0, ls=":")
        claims.label_axes(ax, "ν₂ = P₂ / D", "loss / (1 - a²) - 1")

    return Judgement(
        findings,
        "Holds for a readout that resolves the spike only: the two limits do not commute. Trained"
        " on, the identity part fits the rest, and the loss tends to (1 - nu_2)(1 - a^2).",
        [Condition("the readout is trained to convergence", ridgeless)],
        draw,
    )
