"""Claims on two-layer ReLU networks that transfer between pairs of image classes."""

from __future__ import annotations

import itertools
from typing import Any

from harness import Condition, Evidence, Finding, Judgement, claim, claims

PAPER = "Lauditi, Bordelon & Pehlevan, arXiv:2507.04448"
THEORY = "mean-field"
P2, GAMMA1, GAMMA2 = "task.target_points", "regime.source_richness", "regime.target_richness"


@claim(
    "richness-at-small-data",
    version="2",
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
                smallest=claims.SMALLEST,
            ),
            Finding.mean(
                f"the same at P_2 = {points[-1]}", large, -claims.TOLERANCE, claims.TOLERANCE
            ),
        ]

    def draw(ax: Any) -> None:
        found = evidence.best("cifar10-fine-tune-[0-9]*", solver=THEORY)
        claims.draw_means(ax, found, P2, by=GAMMA1, label="γ₁ = {}")
        control = evidence.best("cifar10-fine-tune-control*", solver=THEORY)
        claims.draw_means(ax, control, P2, label="random features", dashed=True, first=4)
        claims.label_axes(ax, "target points P₂", "target test loss, best stopping", log=True)

    return Judgement(
        findings(best=True),
        "At the best stopping time of each readout; a subset of CIFAR-10, 200 source images.",
        [Condition("readouts are trained to the end", findings(best=False))],
        draw,
    )


@claim(
    "transfer-at-any-richness",
    version="2",
    statement="CIFAR-10 {1, 2} to {8, 9}, P_2 = 200, jointly rich: transfer lowers the loss at any"
    " gamma_2, with an optimal stopping time; an intermediate gamma_2 is best, and a larger one"
    " forgets more of the source.",
    source=f"{PAPER}, figure on jointly rich transfer on CIFAR-10",
    experiments=["cifar10-jointly-rich-draws", "cifar10-no-pretraining-draws"],
    order=9,
    tags={"images", "jointly-rich"},
)
def transfer_at_any_richness(evidence: Evidence) -> Judgement:
    """Gains at best stopping, the cost of longer training, and the forgetting of the source."""
    transfer, control = "cifar10-jointly-rich-draws", "cifar10-no-pretraining-draws"
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
            Finding.mean(
                f"gain at best stopping, gamma_2 = {g:g}",
                part["value"],
                at_least=0.0,
                smallest=claims.SMALLEST,
            )
            for g, part in gains.groupby(GAMMA2)
        ),
        *(
            Finding.mean(
                f"loss at the end / at best stopping - 1, gamma_2 = {g:g}",
                part["value"],
                at_least=0.0,
                smallest=claims.SMALLEST,
            )
            for g, part in late.groupby(GAMMA2)
        ),
        *(
            Finding.mean(
                f"best loss at gamma_2 = {g:g} / at {chosen:g} - 1",
                losses[g] / middle[chosen] - 1,
                at_least=0.0,
                smallest=claims.SMALLEST,
            )
            for g in (losses.columns[0], losses.columns[-1])
        ),
        *(
            Finding.mean(
                f"rise of the source's probe loss at gamma_2 = {high:g} less that at {low:g}",
                forgotten[high] - forgotten[low],
                at_least=0.0,
                smallest=claims.SMALLEST,
            )
            for low, high in itertools.pairwise(forgotten.columns)
        ),
    ]

    def draw(ax: Any) -> None:
        claims.draw_means(ax, best, GAMMA2, label="pretrained, best stopping")
        claims.draw_means(ax, end, GAMMA2, label="pretrained, end", dashed=True)
        without = evidence.best(control, solver=THEORY)
        claims.draw_means(ax, without, GAMMA2, label="no pretraining, best stopping", first=2)
        claims.label_axes(ax, "γ₂", "target test loss", log=True)

    return Judgement(
        findings,
        "No intermediate gamma_2 is best: the smallest two have one loss within 1 %. A source of"
        " 400 images of other classes moves the loss by about a hundredth, which more draws would"
        " decide.",
        (),
        draw,
    )


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
    version="2",
    statement="Source features matter at small P_2; the gain is marginal at large P_2.",
    source=f"{PAPER}, figures on CIFAR-10",
    experiments=["cifar10-fine-tune-*"],
    order=10,
    tags={"images", "fine-tuning"},
)
def marginal_at_large_data(evidence: Evidence) -> Judgement:
    """Gains of learned over random features, at the best stopping time of each."""

    def gained(best: bool) -> Any:
        learned, random = "cifar10-fine-tune-[0-9]*", "cifar10-fine-tune-control*"
        return evidence.gain(learned, random, [P2], best=best)

    def findings(gains: Any) -> list[Finding]:
        points = sorted(gains[P2].unique())
        return [
            Finding.mean(
                f"gain over random features, mean over gamma_1, P_2 = {points[0]}",
                gains[gains[P2] == points[0]]["value"],
                at_least=0.0,
                smallest=claims.SMALLEST,
            ),
            Finding.mean(
                f"the same, P_2 = {points[-1]}",
                gains[gains[P2] == points[-1]]["value"],
                at_most=claims.TOLERANCE,
            ),
        ]

    stopped = gained(best=True)

    def draw(ax: Any) -> None:
        claims.draw_means(ax, stopped, P2, label="mean over γ₁")
        ax.axhline(0.0, color="#767676", lw=1.0, ls=":")
        claims.label_axes(ax, "target points P₂", "gain over random features", log=True)

    return Judgement(
        findings(stopped),
        "The source's features help most where the target has least to learn from.",
        [Condition("readouts are trained to the end", findings(gained(best=False)))],
        draw,
    )


@claim(
    "no-optimum-on-images",
    version="1",
    statement="On images there is no optimal source richness: the loss of fine-tuning falls with"
    " gamma_1, CIFAR-10 {0, 1} to {0, 9}.",
    source=f"{PAPER}, figure 2",
    experiments=["cifar10-fine-tune-*"],
    order=19,
    tags={"images", "fine-tuning"},
)
def no_optimum_on_images(evidence: Evidence) -> Judgement:
    """Rise of the loss from each gamma_1 to the next, mean over P_2 and at the largest P_2."""

    def losses(best: bool) -> Any:
        look = evidence.best if best else evidence.final
        found = look("cifar10-fine-tune-[0-9]*", solver=THEORY)
        return found.pivot_table(index=[P2, "data_seed"], columns=GAMMA1, values="value")

    def findings(best: bool) -> list[Finding]:
        table = losses(best)
        return [
            Finding.mean(
                f"loss at gamma_1 = {high:g} / at {low:g} - 1, P_2 = {points}",
                part[high] / part[low] - 1,
                at_most=claims.SMALLEST,
            )
            for points, part in table.groupby(level=P2)
            for low, high in itertools.pairwise(part.columns)
        ]

    def draw(ax: Any) -> None:
        found = evidence.best("cifar10-fine-tune-[0-9]*", solver=THEORY)
        claims.draw_means(ax, found, GAMMA1, by=P2, label="P₂ = {}, best stopping")
        claims.label_axes(ax, "γ₁", "target test loss", log=True)

    return Judgement(
        findings(best=True),
        "A rise above 1 % from one gamma_1 to the next would be an optimum below the richest."
        " The linear model and images meet here: with a readout that is stopped at its best, or"
        " trained to convergence without noise, neither has an optimum; with a fixed budget of"
        " steps, or a readout that fits its points to the end, both have one.",
        [Condition("readouts are trained to the end", findings(best=False))],
        draw,
    )
