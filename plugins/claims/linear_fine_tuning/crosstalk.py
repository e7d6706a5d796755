"""The claim on the parts of the kernel's spike, each moved by itself."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import Evidence, Finding, Judgement, claim, claims

from .ratios import EXACT, PAPER
from .spike import source_axes

SIGNAL, CROSSTALK = (0.0, 1.0, 2.0, 4.0, 8.0), (0.0, 0.5, 1.0, 1.5)
"""Values of c_2 at c_1 = 0 and 1, and of c_1 at c_2 = 1 and 4; c_3 = 1."""
NOISE = 1.0
DRAWS = 40
"""Number of draws of the data."""


@claim(
    "crosstalk-hurts",
    version="1",
    statement="For a target along the source's signal (alpha_s = 1, alpha_g = 0) a larger c_2"
    " always helps, and a larger c_1 always hurts.",
    source=f"{PAPER}, Section 4 on limited source data",
    experiments=["linear-limited"],
    order=16,
    tags={"linear", "fine-tuning"},
)
def crosstalk_hurts(evidence: Evidence) -> Judgement:
    """Losses of kernel regression without a ridge, on the draws of the experiment's targets."""
    import pandas as pd

    cells = evidence.cells("linear-limited", EXACT)
    cells = cells[(cells["data_seed"] < DRAWS) & (cells["task.noise_alignment"].astype(float) == 0)]
    pairs = {(c1, c2) for c2 in SIGNAL for c1 in (0.0, 1.0) if c1**2 < (1 + c2) * (1 + NOISE)}
    pairs |= {(c1, c2) for c1 in CROSSTALK for c2 in (1.0, 4.0)}
    rows = []
    for key, cell in cells.iterrows():
        inputs, axes = _draw(evidence, str(key))
        nu2 = cell["task.target_points"] / cell["task.dimension"]
        for c1, c2 in sorted(pairs):
            rows.append(
                {
                    "data_seed": cell["data_seed"],
                    "nu2": nu2,
                    "c1": c1,
                    "c2": c2,
                    "value": _loss(inputs, axes, c1, c2),
                    "typical": _typical_loss(nu2, c1, c2),
                }
            )
    losses = pd.DataFrame(rows)

    def steps(moved: str, fixed: str, at: float, sign: float, what: str) -> list[Finding]:
        part = losses[losses[fixed] == at]
        table = part.pivot_table(index="data_seed", columns=moved, values="value")
        return [
            Finding.mean(
                f"{what} from {moved[0]}_{moved[1]} = {low:g} to {high:g}, at"
                f" {fixed[0]}_{fixed[1]} = {at:g}",
                sign * (1 - table[high] / table[low]),
                at_least=0.0,
                smallest=claims.SMALLEST,
            )
            for low, high in itertools.pairwise(table.columns)
        ]

    plain = losses[(losses["c1"] == 0) & (losses["c2"] == 0)]
    off = losses.merge(plain, on=["data_seed", "nu2"], suffixes=("", "_plain"))
    ratio, typical = (off[name] / off[f"{name}_plain"] for name in ("value", "typical"))
    off = off.assign(value=ratio / typical - 1)
    findings = [
        *(f for c1 in (0.0, 1.0) for f in steps("c2", "c1", c1, 1.0, "fall of the loss")),
        *(f for c2 in (1.0, 4.0) for f in steps("c1", "c2", c2, -1.0, "rise of the loss")),
        Finding.mean(
            "loss / loss at c_1 = c_2 = 0, over the formula's ratio, less 1: mean over the grid",
            off.groupby("data_seed")["value"].mean(),
            -claims.TOLERANCE,
            claims.TOLERANCE,
        ),
    ]

    def draw(ax: Any) -> None:
        few = losses[losses["nu2"] == losses["nu2"].median()]
        claims.draw_means(ax, few[few["c1"].isin([0.0, 1.0])], "c2", by="c1", label="c₁ = {}")
        claims.label_axes(ax, "c₂", "loss of a readout to convergence")

    return Judgement(
        findings,
        "True of the two numbers moved by themselves: the loss of typical draws is"
        " kappa^2 / (1 - nu_2) |(M + kappa)^-1 b_s|^2 with kappa = 1 / nu_2 - 1 and M the kernel on"
        " b_s and g, which falls with c_2 and rises with c_1^2. A source moves both at once, c_1^2"
        " = c_2 c_3, and their net effect is a gain (claims 2 and 4).",
        figure=draw,
    )


def _draw(evidence: Evidence, key: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the target's inputs (P_2, D), and b_s and a direction g orthogonal to it, (2, D)."""
    data = evidence.problem(key).data
    b, g, _ = source_axes(data)
    return data.target.x, np.stack([b, g])


def _loss(x: NDArray[Any], axes: NDArray[Any], c1: float, c2: float) -> float:
    """Return |b_s - b|^2 for the least norm b that fits labels x.b_s, in the norm of the kernel."""
    form = np.array([[c2, c1], [c1, NOISE]])
    metric = x + (x @ axes.T) @ form @ axes  # X M with M = I + the spike's parts
    weights = metric.T @ np.linalg.solve(metric @ x.T, x @ axes[0])
    return float(np.sum((axes[0] - weights) ** 2))


def _typical_loss(nu2: float, c1: float, c2: float) -> float:
    """Return the loss of typical draws as D -> infinity, for a target b_s of unit length."""
    signal, noise = c2 + 1 / nu2, NOISE + 1 / nu2
    size = (noise**2 + c1**2) / (signal * noise - c1**2) ** 2
    return (1 / nu2 - 1) ** 2 / (1 - nu2) * size
