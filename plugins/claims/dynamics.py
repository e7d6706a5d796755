"""Claims on two-layer dynamics, and on the Bayesian posterior."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from harness import Condition, Evidence, Finding, Judgement, claim, claims

PAPER = "Lauditi, Bordelon & Pehlevan, arXiv:2507.04448"
THEORY = "mean-field"
DYNAMICS = (
    "cifar10-jointly-rich",
    "cifar10-fine-tune-networks",
    "fashion-mnist-jointly-rich",
    "fashion-mnist-fine-tune",
    "polynomial-*networks*",
)
"""Experiments that compare networks with the dynamics."""


@claim(
    "two-layer-dynamics",
    version="1",
    statement="Infinitely wide two-layer networks follow the transfer dynamics of the mean-field"
    " equations, fine-tuned or jointly rich, and networks approach them as width grows.",
    source=f"{PAPER}, Result 1",
    experiments=DYNAMICS,
    order=1,
    tags={"two-layer"},
)
def two_layer_dynamics(evidence: Evidence) -> Judgement:
    """Limit gaps of mean-field for the test predictor, and the exponent of the approach."""
    scored = evidence.scores(DYNAMICS, THEORY)
    rows = [row for row in scored if row.limit_gap_ci is not None]
    exponents = [row.exponent for row in rows if row.exponent is not None]

    def draw(ax: Any) -> None:
        for turn, row in enumerate(rows):
            widths = list(row.discrepancy)
            name = None if turn else "an experiment"
            distances = list(row.discrepancy.values())
            ax.plot(widths, distances, "o-", ms=3, lw=1.0, alpha=0.7, label=name)
        every = np.array(sorted({n for row in rows for n in row.discrepancy}))
        level = np.median([next(iter(row.discrepancy.values())) for row in rows])
        ax.plot(every, level * np.sqrt(every[0] / every), "k--", lw=1.2, label="1 / √N")
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xticks(every, [str(width) for width in every])
        claims.label_axes(ax, "width N", "distance from mean-field, relative")

    findings = [Finding.gap(row, claims.TOLERANCE) for row in rows]
    findings.append(
        Finding.mean("exponent of the approach, mean over experiments", exponents, 0.4, 0.6)
    )
    return Judgement(
        findings,
        "Every limit gap lies under 5 % where all marks hold; lines: experiments.",
        (),
        draw,
    )


@claim(
    "bayesian-transfer",
    version="2",
    statement="Bayesian transfer: the target loss depends on elastic coupling and alignment; for"
    " aligned tasks a strong coupling to the source lowers it, for unaligned ones it raises it, and"
    " at strong coupling it falls with the alignment.",
    source=f"{PAPER}v1, figure on elastic coupling",
    experiments=["bayes-elastic", "bayes-networks"],
    order=12,
    tags={"bayesian", "elastic"},
)
def bayesian_transfer(evidence: Evidence) -> Judgement:
    """Losses of adaptive-kernel over delta and alignment, and its gap to Langevin networks."""
    delta, alignment = "regime.target_elastic", "task.alignment"
    found = evidence.final("bayes-elastic", solver="adaptive-kernel")
    table = found.pivot_table(index="data_seed", columns=[alignment, delta], values="value")
    alignments = sorted(found[alignment].unique())
    weak, strong = found[delta].min(), found[delta].max()
    low, high = alignments[0], alignments[-1]
    findings = [
        Finding.mean(
            f"alignment {high:g}: loss at delta = {strong:g} / at {weak:g} - 1",
            table[high][strong] / table[high][weak] - 1,
            at_most=0.0,
            smallest=claims.SMALLEST,
        ),
        Finding.mean(
            f"alignment {low:g}: loss at delta = {strong:g} / at {weak:g} - 1",
            table[low][strong] / table[low][weak] - 1,
            at_least=0.0,
            smallest=claims.SMALLEST,
        ),
        *(
            Finding.mean(
                f"delta = {strong:g}: loss at alignment {b:g} / at {a:g} - 1",
                table[b][strong] / table[a][strong] - 1,
                at_most=0.0,
                smallest=claims.SMALLEST,
            )
            for a, b in itertools.pairwise(alignments)
        ),
        *(
            Finding.gap(r, claims.TOLERANCE)
            for r in evidence.scores("bayes-networks", "adaptive-kernel")
        ),
    ]
    partly = alignments[len(alignments) // 2]
    between = table[partly].iloc[:, 1:-1]
    best = between.mean().idxmin()
    intermediate = [
        Finding.mean(
            f"alignment {partly:g}: loss at delta = {best:g} / at {end:g} - 1",
            between[best] / table[partly][end] - 1,
            at_most=0.0,
            smallest=claims.SMALLEST,
        )
        for end in (weak, strong)
    ]

    def draw(ax: Any) -> None:
        shown = found.assign(
            shifted=found[delta].clip(lower=found[delta][found[delta] > 0].min() / 3)
        )
        claims.draw_means(ax, shown, "shifted", by=alignment, label="alignment {}")
        claims.label_axes(ax, "elastic coupling δ (leftmost: 0)", "target test loss", log=True)

    return Judgement(
        findings,
        "How much of the source to keep depends on how much of it is shared: between the two"
        " ends of alignment an intermediate coupling is best.",
        [
            Condition(
                "an intermediate coupling is best for tasks that are partly aligned", intermediate
            )
        ]
        if len(between.columns)
        else (),
        draw,
    )
