"""Claims on the kernel after a source stage, and on the resulting loss."""

from __future__ import annotations

import numpy as np

from harness import Condition, Evidence, Finding, Judgement, claim, claims

from .ratios import (
    EXACT,
    EXPONENTS,
    PAPER,
    against_formula,
    grid_losses,
    typical_draws,
    with_ratios,
)
from .spike import DRAWS, spike_of, spikes_of


@claim(
    "population-source",
    version="2",
    statement="With more source points than dimensions the kernel has one spike, chi ="
    " sqrt(1 + gamma_1^2) - 1; fine-tuning is never worse than without a source, 1 - nu_2, and its"
    " loss falls with the alignment.",
    source=f"{PAPER}, Result 2",
    experiments=["linear-population", "linear-population-control"],
    order=2,
    tags={"linear", "fine-tuning"},
)
def population_source(evidence: Evidence) -> Judgement:
    """Means over draws of the exact theory, against the formula of typical draws."""
    grid = grid_losses(evidence, "linear-population")
    richest = grid["regime.source_richness"].max()
    low, middle, high = (
        grid[(grid["task.alignment"] == a) & (grid["regime.source_richness"] == richest)]
        .groupby("data_seed")["value"]
        .mean()
        for a in sorted(grid["task.alignment"].unique())[:3]
    )
    control = with_ratios(evidence.final("linear-population-control", solver=EXACT))
    on = ["data_seed", "task.alignment", "regime.source_richness", "nu2"]
    harm = claims.paired(grid, control, on)
    harm = harm.assign(value=harm["value"] / harm["other"] - 1)
    cells = evidence.cells("linear-population", EXACT)
    first = cells[
        (cells["regime.source_richness"] == richest)
        & (cells["task.target_points"] == cells["task.target_points"].min())
        & (cells["task.alignment"] == cells["task.alignment"].max())
        & (cells["data_seed"] < DRAWS)
    ]
    spikes = spikes_of(evidence, first)
    findings = [
        *typical_draws(grid),
        Finding.mean(
            "spike of the kernel / chi - 1",
            spikes["c2"] / spikes["chi"] - 1,
            -claims.TOLERANCE,
            claims.TOLERANCE,
        ),
        *(
            Finding.mean(
                f"loss / loss without a source - 1 at alignment {a:g}, gamma_1 = {g:g}",
                part.groupby("data_seed")["value"].mean(),
                at_most=claims.TOLERANCE,
            )
            for (a, g), part in harm.groupby(["task.alignment", "regime.source_richness"])
        ),
        Finding.mean(
            "loss at the middle alignment less that at the lowest",
            middle - low,
            at_most=0.0,
            smallest=claims.SMALLEST,
        ),
        Finding.mean(
            "loss at the highest alignment less that at the middle",
            high - middle,
            at_most=0.0,
            smallest=claims.SMALLEST,
        ),
    ]
    return Judgement(
        findings,
        "Holds for typical draws at D = 200. Dotted: the formula for D -> infinity.",
        figure=against_formula(
            grid[grid["regime.source_richness"] == richest], "task.alignment", "alignment {}"
        ),
    )


@claim(
    "limited-source-kernel",
    version="2",
    statement="With fewer source points than dimensions the kernel's spike is part signal, part"
    " noise: chi [nu_1 b_s b_s' + sqrt(nu_1 (1 - nu_1)) (g b_s' + b_s g') + (1 - nu_1) g g'], chi ="
    " sqrt(1 + gamma_1^2 nu_1) - 1.",
    source=f"{PAPER}, Result 3",
    experiments=["linear-limited", "linear-networks"],
    order=3,
    tags={"linear", "fine-tuning"},
)
def limited_source_kernel(evidence: Evidence) -> Judgement:
    """Coefficients of the kernel of the exact theory over draws, and of the widest networks."""
    cells = evidence.cells("linear-limited", EXACT)
    chosen = cells[
        (cells["task.noise_alignment"].astype(float) == 0.0)
        & (cells["task.target_points"] == cells["task.target_points"].min())
        & (cells["data_seed"] < DRAWS)
    ]
    found = spikes_of(evidence, chosen)
    expected = {
        "c1": np.sqrt(found["signal"] * (1 - found["signal"])),
        "c2": found["signal"],
        "c3": 1 - found["signal"],
    }
    findings = [
        Finding.mean(
            f"{name} / chi less the claimed {expected[name].mean():.3g}, over draws",
            found[name] / found["chi"] - expected[name],
            -claims.TOLERANCE,
            claims.TOLERANCE,
        )
        for name in ("c1", "c2", "c3")
    ]
    grid = grid_losses(evidence, "linear-limited")
    findings += typical_draws(grid)
    networks = evidence.cells("linear-networks", "network")
    richest = networks["regime.source_richness"].max()
    networks = networks[
        (networks["width"] == networks["width"].max())
        & (networks["regime.source_richness"] == richest)
    ]
    exact = evidence.cells("linear-networks", EXACT)
    drawn = spike_of(evidence, str(exact[exact["regime.source_richness"] == richest].index[0]))
    wide = spikes_of(evidence, networks)
    measured = [
        Finding.mean(
            f"{name} / chi of networks of width {networks['width'].max()} less that of the exact"
            " theory on the same draw",
            (wide[name] - drawn[name]) / wide["chi"],
            -claims.TOLERANCE,
            claims.TOLERANCE,
        )
        for name in ("c1", "c2", "c3")
    ]
    scores = evidence.scores("linear-networks", EXACT)
    findings += [Finding.gap(row, claims.TOLERANCE) for row in scores]
    findings += [Finding.exponent(row, *EXPONENTS) for row in scores]
    return Judgement(
        findings,
        "Signal and noise are one spike along the source's predictor: c_1^2 = c_2 c_3.",
        [Condition("the kernel is that of the widest networks", measured)],
        against_formula(grid, "noise", "noise alignment {}"),
    )
