"""Claims on two-layer ReLU networks that transfer between pairs of image classes."""

from __future__ import annotations

import itertools
from typing import Any

import harness
from harness import Condition, Evidence, Finding, Judgement, claim

PAPER = "Lauditi, Bordelon & Pehlevan, arXiv:2507.04448"
TOLERANCE = 0.05
"""Relative difference below which losses count as equal, as for theories and networks."""
THEORY = "mean-field"
P2, GAMMA1, GAMMA2 = "task.target_points", "regime.source_richness", "regime.target_richness"


@claim(
    "richness-at-small-data",
    version="1",
    statement="Fine-tuning from CIFAR-10 {0, 1} to {0, 9}: a larger source richness lowers the loss"
    " at small P_2, and the curves merge as P_2 grows.",
    source=f"{PAPER}, figure on fine-tuning on CIFAR-10",
    experiments=["cifar10-fine-tune-*"],
    order=8,
    tags={"images", "fine-tuning"},
)
def richness_at_small_data(evidence: Evidence) -> Judgement:
    """Losses at the smallest and the largest gamma_1, on the same draws."""

    def difference(best: bool) -> Any:
        look = evidence.best if best else evidence.final
        found = look("cifar10-fine-tune-[0-9]*", solver=THEORY)
        table = found.pivot_table(index=[P2, "data_seed"], columns=GAMMA1, values="value")
        return 1 - table.iloc[:, -1] / table.iloc[:, 0]

    def findings(best: bool) -> list[Finding]:
        gains = difference(best)
        points = sorted(gains.index.get_level_values(P2).unique())
        small, large = (gains.xs(p, level=P2) for p in (points[0], points[-1]))
        return [
            Finding.mean(
                f"1 - loss at the largest gamma_1 / loss at the smallest, P_2 = {points[0]}",
                small,
                at_least=0.0,
            ),
            Finding.mean(f"the same at P_2 = {points[-1]}", large, -TOLERANCE, TOLERANCE),
        ]

    def draw(ax: Any) -> None:
        found = evidence.best("cifar10-fine-tune-[0-9]*", solver=THEORY)
        harness.claims.draw_means(ax, found, P2, by=GAMMA1, label="γ₁ = {}")
        control = evidence.best("cifar10-fine-tune-control", solver=THEORY)
        harness.claims.draw_means(ax, control, P2, label="random features", dashed=True, first=4)
        harness.claims.label_axes(
            ax, "target points P₂", "target test loss, best stopping", log=True
        )

    return Judgement(
        findings(best=True),
        "At the best stopping time of each readout; a subset of CIFAR-10, 200 source images.",
        [Condition("readouts are trained to the end", findings(best=False))],
        draw,
    )


@claim(
    "transfer-at-any-richness",
    version="1",
    statement="CIFAR-10 {1, 2} to {8, 9}, P_2 = 200, jointly rich: transfer lowers the loss at any"
    " gamma_2, with an optimal stopping time; an intermediate gamma_2 is best, and a larger one"
    " forgets more of the source.",
    source=f"{PAPER}, figure on jointly rich transfer on CIFAR-10",
    experiments=["cifar10-jointly-rich*", "cifar10-no-pretraining*"],
    order=9,
    tags={"images", "jointly-rich"},
)
def transfer_at_any_richness(evidence: Evidence) -> Judgement:
    """Gains at best stopping, the cost of longer training, and the forgetting of the source."""
    transfer, control = "cifar10-jointly-rich*", "cifar10-no-pretraining*"
    gains = evidence.gain(transfer, control, [GAMMA2], best=True)
    best = evidence.best(transfer, solver=THEORY)
    end = evidence.final(transfer, solver=THEORY)
    over = end.set_index("key")["value"] / best.set_index("key")["value"] - 1
    late = best.set_index("key")[[GAMMA2]].assign(value=over)
    losses = best.pivot_table(index="data_seed", columns=GAMMA2, values="value")
    middle = losses.iloc[:, 1:-1]
    chosen = middle.mean().idxmin()
    forgotten = _forgotten(evidence, transfer)
    findings = [
        *(
            Finding.mean(f"gain at best stopping, gamma_2 = {g:g}", part["value"], at_least=0.0)
            for g, part in gains.groupby(GAMMA2)
        ),
        *(
            Finding.mean(
                f"loss at the end / at best stopping - 1, gamma_2 = {g:g}",
                part["value"],
                at_least=1e-9,
            )
            for g, part in late.groupby(GAMMA2)
        ),
        *(
            Finding.mean(
                f"best loss at gamma_2 = {g:g} / at {chosen:g} - 1",
                losses[g] / middle[chosen] - 1,
                at_least=0.0,
            )
            for g in (losses.columns[0], losses.columns[-1])
        ),
        *_rises(forgotten, "rise of the source's probe loss at"),
    ]

    def draw(ax: Any) -> None:
        harness.claims.draw_means(ax, best, GAMMA2, label="pretrained, best stopping")
        harness.claims.draw_means(ax, end, GAMMA2, label="pretrained, end", dashed=True)
        without = evidence.best(control, solver=THEORY)
        harness.claims.draw_means(
            ax, without, GAMMA2, label="no pretraining, best stopping", first=2
        )
        harness.claims.label_axes(ax, "γ₂", "target test loss", log=True)

    return Judgement(
        findings,
        "Undecided parts need more draws of the images: differences between draws are larger than"
        " those between gamma_2.",
        (),
        draw,
    )


def _rises(table: Any, what: str) -> list[Finding]:
    """Return the growth of a measure from each gamma_2, a column, to the next."""
    return [
        Finding.mean(
            f"{what} gamma_2 = {high:g} less that at {low:g}",
            table[high] - table[low],
            at_least=0.0,
        )
        for low, high in itertools.pairwise(table.columns)
    ]


def _forgotten(evidence: Evidence, transfer: str) -> Any:
    """Return the rise of the source's probe loss over the target stage, by draw and gamma_2."""
    curve = evidence.curve(transfer, "probe/source-loss", solver=THEORY)
    ordered = curve.sort_values("step").groupby("key", observed=True)["value"]
    rise = (ordered.last() - ordered.first()).rename("rise")
    first = curve.drop_duplicates("key").set_index("key")
    found = first.join(rise)
    table: Any = found.pivot_table(index="data_seed", columns=GAMMA2, values="rise")
    return table


@claim(
    "marginal-at-large-data",
    version="1",
    statement="Source features matter at small P_2; the gain is marginal at large P_2.",
    source=f"{PAPER}, figures on CIFAR-10",
    experiments=["cifar10-fine-tune-*"],
    order=10,
    tags={"images", "fine-tuning"},
)
def marginal_at_large_data(evidence: Evidence) -> Judgement:
    """Gains of learned over random features, at the best stopping time of each."""

    def gained(best: bool) -> Any:
        learned, random = "cifar10-fine-tune-[0-9]*", "cifar10-fine-tune-control"
        return evidence.gain(learned, random, [P2], best=best)

    def findings(gains: Any) -> list[Finding]:
        points = sorted(gains[P2].unique())
        return [
            Finding.mean(
                f"gain over random features, mean over gamma_1, P_2 = {points[0]}",
                gains[gains[P2] == points[0]]["value"],
                at_least=0.0,
            ),
            Finding.mean(
                f"the same, P_2 = {points[-1]}",
                gains[gains[P2] == points[-1]]["value"],
                at_most=TOLERANCE,
            ),
        ]

    stopped = gained(best=True)

    def draw(ax: Any) -> None:
        harness.claims.draw_means(ax, stopped, P2, label="mean over γ₁")
        ax.axhline(0.0, color="#767676", lw=1.0, ls=":")
        harness.claims.label_axes(ax, "target points P₂", "gain over random features", log=True)

    return Judgement(
        findings(stopped),
        "The source's features help most where the target has least to learn from.",
        [Condition("readouts are trained to the end", findings(gained(best=False)))],
        draw,
    )


@claim(
    "non-gaussian-features",
    version="1",
    statement="The density of pre-activations on the target departs further from a Gaussian as"
    " gamma_2 grows.",
    source=f"{PAPER}, figure on pre-activation densities",
    experiments=["cifar10-jointly-rich*"],
    order=11,
    tags={"images", "jointly-rich"},
)
def non_gaussian_features(evidence: Evidence) -> Judgement:
    """1-Wasserstein distance of the projection on target labels from a Gaussian, standardised."""
    name = "preactivation/wasserstein"
    found = evidence.final("cifar10-jointly-rich*", name, solver=THEORY)
    table = found.pivot_table(index="data_seed", columns=GAMMA2, values="value")
    networks = evidence.final("cifar10-jointly-rich", name, solver="network")
    networks = networks[networks["width"] == networks["width"].max()]
    seeds = networks.pivot_table(index="seed", columns=GAMMA2, values="value")
    ends = seeds.columns[-1], seeds.columns[0]
    findings = _rises(table, "distance at")
    findings.append(
        Finding.mean(
            f"networks of width {networks['width'].max()}: distance at gamma_2 = {ends[0]:g} less"
            f" that at {ends[1]:g}",
            seeds.iloc[:, -1] - seeds.iloc[:, 0],
            at_least=0.0,
        )
    )
    kurtosis = evidence.final(
        "cifar10-jointly-rich*", "preactivation/excess-kurtosis", solver=THEORY
    ).pivot_table(index="data_seed", columns=GAMMA2, values="value")

    def draw(ax: Any) -> None:
        harness.claims.draw_means(ax, found, GAMMA2, label="mean-field")
        harness.claims.draw_means(ax, networks, GAMMA2, label="networks", first=1)
        harness.claims.label_axes(ax, "γ₂", "distance from a Gaussian (W₁)", log=True)

    return Judgement(
        findings,
        "At the end of the target stage; finite networks and samples add about 1 / sqrt(n).",
        [
            Condition(
                "the measure is the excess kurtosis",
                _rises(kurtosis, "at"),
            )
        ],
        draw,
    )
