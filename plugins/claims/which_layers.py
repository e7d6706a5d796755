"""Claims on the layers that transfer: general first ones, specific last ones."""

from __future__ import annotations

from typing import Any

from harness import Condition, Evidence, Finding, Judgement, claim, claims

PAPER = "Yosinski, Clune, Bengio & Lipson, arXiv:1411.1792"
LAYERS = (1, 2, 3)
SIDES = ("similar", "dissimilar")
LIMIT = "which-limit"


def _names(*kinds: str) -> list[str]:
    """Return the names of experiments that keep each number of layers."""
    return [f"which-{kind}-{n}" for kind in kinds for n in LAYERS]


FROZEN = _names(*(f"frozen-{side}" for side in SIDES))
TUNED = _names(*(f"tuned-{side}" for side in SIDES))
FRESH = ["which-fresh-0", *_names("fresh")]


def _losses(evidence: Evidence, kind: str, best: bool = False) -> Any:
    """Return losses relative to training from scratch, (draws, numbers of kept layers)."""
    look = evidence.best if best else evidence.final

    def mean(name: str) -> Any:
        found = look(name, solver="network")
        return found.groupby("data_seed")["value"].mean()

    scratch = mean("which-fresh-0")
    import pandas as pd

    return pd.DataFrame({n: mean(f"which-{kind}-{n}") / scratch for n in LAYERS})


def _drawn(evidence: Evidence, *kinds: str) -> Any:
    """Return a function that draws relative losses over the number of kept layers."""
    losses = {kind: _losses(evidence, kind) for kind in kinds}

    def draw(ax: Any) -> None:
        for turn, (kind, table) in enumerate(losses.items()):
            shown = table.melt(var_name="kept", value_name="value")
            claims.draw_means(ax, shown, "kept", label=kind.replace("-", ", "), first=turn)
        ax.axhline(1.0, color="#767676", lw=1.0, ls=":")
        ax.set_xticks(LAYERS, [str(n) for n in LAYERS])
        claims.label_axes(ax, "first layers kept", "test loss / from scratch")

    return draw


@claim(
    "last-layers-are-specific",
    version="1",
    statement="First layers are general and last ones specific: frozen layers of a dissimilar task"
    " cost more than those of a similar one, the more of them are kept.",
    source=f"{PAPER}, figures on transferability over layers and distance of tasks",
    experiments=[*FROZEN, *FRESH, LIMIT],
    order=51,
    tags={"images", "layers"},
)
def last_layers_are_specific(evidence: Evidence) -> Judgement:
    """Differences of relative losses of the two sources, with one and with all layers frozen."""

    def findings(best: bool) -> list[Finding]:
        similar, dissimilar = (_losses(evidence, f"frozen-{side}", best) for side in SIDES)
        cost = dissimilar - similar
        first, last = LAYERS[0], LAYERS[-1]
        return [
            Finding.mean(
                f"loss with {last} frozen layers of the dissimilar task less that of the similar"
                " one, of the loss from scratch",
                cost[last],
                at_least=0.0,
                smallest=claims.SMALLEST,
            ),
            Finding.mean(
                f"the same less its value with {first} frozen layer",
                cost[last] - cost[first],
                at_least=0.0,
                smallest=claims.SMALLEST,
            ),
        ]

    gaps = [Finding.gap(row, claims.TOLERANCE) for row in evidence.scores(LIMIT, "dmft")]
    return Judgement(
        findings(best=False),
        "Networks of three layers on small images: a first layer sees all pixels, and can itself be"
        " specific to its task.",
        [
            Condition("each is stopped at its best", findings(best=True)),
            Condition("the theory of infinite width follows networks with frozen layers", gaps),
        ],
        _drawn(evidence, "frozen-similar", "frozen-dissimilar", "fresh"),
    )


@claim(
    "training-on-beats-freezing",
    version="1",
    statement="Kept layers that are trained on have no higher loss than frozen ones, for similar"
    " and for dissimilar tasks.",
    source=f"{PAPER}, fine-tuned against frozen layers",
    experiments=[*FROZEN, *TUNED, *FRESH],
    order=52,
    tags={"images", "layers"},
)
def training_on_beats_freezing(evidence: Evidence) -> Judgement:
    """Differences of relative losses, trained on less frozen, with all layers kept."""

    def findings(best: bool) -> list[Finding]:
        kept = LAYERS[-1]
        found = []
        for side in SIDES:
            tuned, frozen = (_losses(evidence, f"{k}-{side}", best) for k in ("tuned", "frozen"))
            found.append(
                Finding.mean(
                    f"loss of {kept} kept layers trained on less frozen, of the loss from scratch,"
                    f" {side} task",
                    tuned[kept] - frozen[kept],
                    at_most=0.0,
                    smallest=claims.SMALLEST,
                )
            )
        return found

    return Judgement(
        findings(best=False),
        "Layers that train on undo what is specific to the source; with few target images they also"
        " fit more of what those have by chance.",
        [Condition("each is stopped at its best", findings(best=True))],
        _drawn(
            evidence, "frozen-similar", "tuned-similar", "frozen-dissimilar", "tuned-dissimilar"
        ),
    )


@claim(
    "transfer-then-train-beats-scratch",
    version="1",
    statement="Starting from transferred layers and training on gives a lower loss than training"
    " from scratch, for almost any number of layers.",
    source=f"{PAPER}, boost of generalisation after fine-tuning",
    experiments=[*TUNED, *FRESH],
    order=53,
    tags={"images", "layers"},
)
def transfer_then_train_beats_scratch(evidence: Evidence) -> Judgement:
    """Relative losses of kept layers that train on, averaged over their number."""

    def findings(best: bool) -> list[Finding]:
        return [
            Finding.mean(
                f"1 - loss after transfer / from scratch, mean over numbers of layers, {side} task",
                1 - _losses(evidence, f"tuned-{side}", best).mean(axis=1),
                at_least=0.0,
                smallest=claims.SMALLEST,
            )
            for side in SIDES
        ]

    return Judgement(
        findings(best=False),
        "A similar source tells which pixels matter before the target's few images do.",
        [Condition("each is stopped at its best", findings(best=True))],
        _drawn(evidence, "tuned-similar", "tuned-dissimilar"),
    )


@claim(
    "distant-features-beat-random",
    version="1",
    statement="Frozen features of a dissimilar task give a lower loss than features that were never"
    " trained.",
    source=f"{PAPER}, comparison with random features",
    experiments=[*FROZEN, *FRESH],
    order=54,
    tags={"images", "layers"},
)
def distant_features_beat_random(evidence: Evidence) -> Judgement:
    """Differences of relative losses, transferred less random, by the number of frozen layers."""

    def findings(best: bool) -> list[Finding]:
        learned, random = (_losses(evidence, kind, best) for kind in ("frozen-dissimilar", "fresh"))
        return [
            Finding.mean(
                f"loss of {n} frozen layers of the dissimilar task less that of random ones, of the"
                " loss from scratch",
                learned[n] - random[n],
                at_most=0.0,
                smallest=claims.SMALLEST,
            )
            for n in (LAYERS[0], LAYERS[-1])
        ]

    return Judgement(
        findings(best=False),
        "Random features of wide networks keep the geometry of their inputs; a source that differs"
        " in all that matters replaces it by its own.",
        [Condition("each is stopped at its best", findings(best=True))],
        _drawn(evidence, "frozen-dissimilar", "fresh"),
    )
