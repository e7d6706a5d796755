"""Claims on Hermite polynomials of one direction, learned one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Condition, Evidence, Finding, Judgement, claim, claims

PAPER = "Lauditi, Bordelon & Pehlevan, arXiv:2507.04448"
THEORY = "mean-field"
GAMMA1, GAMMA2 = "regime.source_richness", "regime.target_richness"


@claim(
    "easy-to-hard",
    version="2",
    statement="Pretraining on an easy polynomial helps a harder one of the same direction"
    " (He_1 -> He_2); pretraining on a hard one does not help an easier one (He_5 -> He_2).",
    source=f"{PAPER}, figure on Hermite polynomials",
    experiments=["polynomial-?-to-?", "polynomial-?-to-?-control"],
    order=7,
    tags={"polynomial", "jointly-rich"},
)
def easy_to_hard(evidence: Evidence) -> Judgement:
    """Relative gains over no pretraining, on the same draws of the data."""

    def gain(name: str, best: bool) -> Any:
        return evidence.gain(f"polynomial-{name}", f"polynomial-{name}-control", best=best)["value"]

    helped, not_helped = gain("1-to-2", False), gain("5-to-2", False)
    reverse = gain("2-to-1", False)
    names = {"He₁→He₂": helped, "He₂→He₁": reverse, "He₅→He₂": not_helped}

    def draw(ax: Any) -> None:
        for place, values in enumerate(names.values()):
            draws, mean = (None, None) if place else ("a draw", "mean, two standard errors")
            at = np.full(len(values), place)
            ax.plot(at, values, "o", ms=4, color="#0072b2", alpha=0.6, label=draws)
            error = 2 * values.sem()
            ax.errorbar(
                place, values.mean(), error, color="#1a1a1a", capsize=4, fmt="_", label=mean
            )
        ax.axhline(0.0, color="#767676", lw=1.0, ls=":")
        ax.set_xticks(range(len(names)), list(names))
        ax.set_ylabel("gain: 1 - loss / control")

    return Judgement(
        [
            Finding.mean("gain of He_1 -> He_2, equal steps", helped, at_least=claims.TOLERANCE),
            Finding.mean("gain of He_5 -> He_2, equal steps", not_helped, at_most=claims.TOLERANCE),
        ],
        "The direction is learned from He_1 with few points; He_5 has more to learn from than the"
        " source's points tell, so its features carry little of the direction.",
        [
            Condition(
                "each is stopped at its best",
                [
                    Finding.mean(
                        "gain of He_1 -> He_2, best",
                        gain("1-to-2", True),
                        at_least=claims.TOLERANCE,
                    ),
                    Finding.mean(
                        "gain of He_5 -> He_2, best", gain("5-to-2", True), at_most=claims.TOLERANCE
                    ),
                ],
            ),
            Condition(
                "hard to easy is He_2 -> He_1",
                [
                    Finding.mean(
                        "gain of He_2 -> He_1, equal steps", reverse, at_most=claims.TOLERANCE
                    )
                ],
            ),
        ],
        draw,
    )


@claim(
    "easy-to-hard-apart",
    version="1",
    statement="Easy to hard (He_1 -> He_2): the curves with and without pretraining end apart, also"
    " if the target stage is long.",
    source=f"{PAPER}, figure 3",
    experiments=["polynomial-long", "polynomial-long-control"],
    order=14,
    tags={"polynomial", "jointly-rich"},
)
def easy_to_hard_apart(evidence: Evidence) -> Judgement:
    """Gains of a target stage six times as long, its training losses, and what is left to learn."""
    names = ("polynomial-long", "polynomial-long-control")
    gain = evidence.gain(*names)["value"]
    left = {name: evidence.final(name, "loss/train", solver=THEORY)["value"] for name in names}
    tests = [_settled(evidence, name) for name in names]
    return Judgement(
        [
            Finding.mean("gain at the end of the long stage", gain, at_least=claims.TOLERANCE),
            *(
                Finding.mean(
                    f"{what}: change of the loss over the last half of the stage, of its end",
                    change,
                    -claims.TOLERANCE,
                    claims.TOLERANCE,
                )
                for what, change in zip(("pretrained", "from scratch"), tests, strict=True)
            ),
            Finding.mean(
                "training loss at the end, pretrained", left[names[0]], at_most=claims.TOLERANCE
            ),
        ],
        "Both fit their points in the end, and then nothing moves: which of the functions that fit"
        " them is found depends on the features at the start, and those of the source know the"
        " direction. A longer stage cannot close the gap.",
        figure=_curves(evidence, *names),
    )


def _settled(evidence: Evidence, name: str) -> Any:
    """Return the relative change of the test loss over the last half of the stage, by draw."""
    curve = evidence.curve(name, solver=THEORY)
    end = curve[curve["step"] == curve["step"].max()].set_index("data_seed")["value"]
    middle = curve["step"].max() / 2
    near = curve.loc[(curve["step"] - middle).abs().groupby(curve["key"]).idxmin()]
    return near.set_index("data_seed")["value"] / end - 1


@claim(
    "hard-to-easy-alike",
    version="1",
    statement="Hard to easy (He_5 -> He_2): the curves with and without pretraining are alike up to"
    " the peak of the loss, and transfer ends worse than training from scratch.",
    source=f"{PAPER}, figure 3",
    experiments=["polynomial-5-to-2", "polynomial-5-to-2-control"],
    order=15,
    tags={"polynomial", "jointly-rich"},
)
def hard_to_easy_alike(evidence: Evidence) -> Judgement:
    """Peaks of the test loss, the difference of curves up to there, and the loss at the end."""
    import pandas as pd

    names = ("polynomial-5-to-2", "polynomial-5-to-2-control")
    table, control = (
        evidence.curve(name, solver=THEORY).pivot_table(
            index="data_seed", columns="step", values="value"
        )
        for name in names
    )
    shared = table.columns.intersection(control.columns)
    table, control = table[shared], control[shared]
    peak: Any = control.mean().idxmax()
    early = control.columns[control.columns <= peak]
    apart = (table[early] / control[early] - 1).mean(axis=1)
    ends = pd.Series(table.iloc[:, -1] / control.iloc[:, -1] - 1)
    return Judgement(
        [
            Finding.mean(
                f"loss / from scratch - 1, mean up to the peak at step {peak}",
                apart,
                -claims.TOLERANCE,
                claims.TOLERANCE,
            ),
            Finding.mean("loss / from scratch - 1 at the end", ends, 0.0, smallest=claims.SMALLEST),
        ],
        "A network that has fitted He_5 on too few points starts the target stage with the noise of"
        " those points in its features: it is in the way of He_2 from the start.",
        figure=_curves(evidence, *names),
    )


@claim(
    "richer-source-helps",
    version="1",
    statement="Pretraining helps where the source is learned at least as richly as the target,"
    " gamma_1 >= gamma_2 (He_1 -> He_2).",
    source=f"{PAPER}, discussion of richness",
    experiments=["polynomial-richness", "polynomial-richness-control"],
    order=17,
    tags={"polynomial", "jointly-rich"},
)
def richer_source_helps(evidence: Evidence) -> Judgement:
    """Gains over no pretraining for every pair of gamma_1 and gamma_2, on the same draws."""
    losses = evidence.final("polynomial-richness", solver=THEORY)
    control = evidence.final("polynomial-richness-control", solver=THEORY)
    gains: Any = claims.paired(losses, control, [GAMMA2, "data_seed"], by=[GAMMA1])
    gains = gains.assign(value=1 - gains["value"] / gains["other"])

    def finding(pair: tuple[float, float], part: Any) -> Finding:
        what = f"gain at gamma_1 = {pair[0]:g}, gamma_2 = {pair[1]:g}"
        return Finding.mean(what, part["value"], at_least=0.0, smallest=claims.SMALLEST)

    found = {pair: finding(pair, part) for pair, part in gains.groupby([GAMMA1, GAMMA2])}

    def draw(ax: Any) -> None:
        claims.draw_means(ax, gains, GAMMA1, by=GAMMA2, label="γ₂ = {}")
        ax.axhline(0.0, color="#767676", lw=1.0, ls=":")
        claims.label_axes(ax, "γ₁", "gain: 1 - loss / control", log=True)

    return Judgement(
        [f for (source, target), f in found.items() if source >= target],
        "The gain is there where gamma_1 is at least gamma_2, and gone where it is less: a source"
        " that was learned lazily has nothing that a rich target does not find by itself.",
        [
            Condition(
                "the source is learned less richly than the target",
                [f for (source, target), f in found.items() if source < target],
            )
        ],
        draw,
    )


def _curves(evidence: Evidence, transfer: str, control: str) -> Any:
    """Return a function that draws mean losses over steps with and without pretraining."""

    def draw(ax: Any) -> None:
        for turn, (name, label) in enumerate(((transfer, "pretrained"), (control, "from scratch"))):
            steps = evidence.curve(name, solver=THEORY).groupby("step")["value"]
            mean, error = steps.mean(), 2 * steps.sem()
            color = claims.LINE_COLORS[turn]
            ax.plot(mean.index, mean, color=color, lw=1.4, label=label)
            ax.fill_between(mean.index, mean - error, mean + error, color=color, alpha=0.2, lw=0)
        claims.label_axes(ax, "step of the target stage", "target test loss")

    return draw
