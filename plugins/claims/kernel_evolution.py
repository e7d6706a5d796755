"""Claims on the evolution of feature kernels in training, and on the theories that follow it."""

from __future__ import annotations

import itertools
from typing import Any

from harness import Evidence, Finding, Judgement, claim, claims

PAPER = "Bordelon & Pehlevan, arXiv:2205.09653"
RICHNESS = "regime.richness"
THEORIES, DRAWS, PATCHES = "evolution-theories", "evolution-draws", "evolution-patches"
EXACT, NO_RESPONSE, LAZY = "dmft", "dmft-no-response", "lazy-ntk"
KERNEL, OUTPUT, ALIGNMENT = "kernel/feature", "output/test", "kernel/alignment"


def _gaps(evidence: Evidence, theory: str, observable: str, **allowed: float) -> list[Finding]:
    """Return the limit gaps of a theory at every richness, with the range that is claimed."""
    rows = sorted(evidence.scores(THEORIES, theory, observable), key=lambda row: row.experiment)
    return [Finding.gap(row, **allowed) for row in rows]


def _draw_distances(evidence: Evidence, observable: str) -> Any:
    """Return a function that draws the distance of networks from each theory over width."""
    rows = {
        theory: sorted(
            evidence.scores(THEORIES, theory, observable), key=lambda row: row.experiment
        )[-1]
        for theory in (EXACT, NO_RESPONSE, LAZY)
    }

    def draw(ax: Any) -> None:
        claims.draw_distances(ax, rows, f"distance from theory, {observable}")

    return draw


@claim(
    "kernels-follow-dmft",
    version="1",
    statement="Networks of three hidden layers follow the self-consistent theory as width grows, in"
    " their predictors and in the feature kernels that training has left.",
    source=f"{PAPER}, comparisons of the self-consistent solution with networks",
    experiments=[THEORIES],
    order=61,
    tags={"deep", "kernel"},
)
def kernels_follow_dmft(evidence: Evidence) -> Judgement:
    """Limit gaps of dmft for the test predictor and the last layer's feature kernel."""
    return Judgement(
        [
            finding
            for observable in (OUTPUT, KERNEL)
            for finding in _gaps(evidence, EXACT, observable, at_most=claims.TOLERANCE)
        ],
        "Distances of networks from theory fall as 1 / sqrt(N) until the errors of both; a gap that"
        " stays would be one of the theory or of its samples.",
        (),
        _draw_distances(evidence, KERNEL),
    )


@claim(
    "approximations-break-down",
    version="1",
    statement="Where features are rich, the static kernel and the independence of gradients fail,"
    " for predictors and for kernels, while the self-consistent theory holds.",
    source=f"{PAPER}, comparisons with approximations",
    experiments=[THEORIES],
    order=62,
    tags={"deep", "kernel", "rival"},
)
def approximations_break_down(evidence: Evidence) -> Judgement:
    """Limit gaps of all three theories at the largest richness."""
    claimed = {
        LAZY: {"at_least": claims.TOLERANCE},
        NO_RESPONSE: {"at_least": claims.TOLERANCE},
        EXACT: {"at_most": claims.TOLERANCE},
    }
    return Judgement(
        [
            _gaps(evidence, theory, observable, **allowed)[-1]
            for theory, allowed in claimed.items()
            for observable in (OUTPUT, KERNEL)
        ],
        "A static kernel leaves out all that is learned; without responses a layer's noise does not"
        " know of the gradients that its own weights have sent.",
        (),
        _draw_distances(evidence, OUTPUT),
    )


@claim(
    "kernels-align",
    version="1",
    statement="The last layer's feature kernel aligns with the labels in training, and the more the"
    " richer the features.",
    source=f"{PAPER}, kernels in the feature-learning regime",
    experiments=[DRAWS],
    order=63,
    tags={"deep", "kernel"},
)
def kernels_align(evidence: Evidence) -> Judgement:
    """Cosines of kernel and labels at the start and the end of training, on the same draws."""
    curve = evidence.curve(DRAWS, ALIGNMENT, solver="network")
    first, last = curve["step"].min(), curve["step"].max()
    start, end = (
        curve[curve["step"] == step].pivot_table(
            index="data_seed", columns=RICHNESS, values="value"
        )
        for step in (first, last)
    )
    findings = [
        *(
            Finding.mean(
                f"rise of the cosine of kernel and labels, gamma = {g:g}",
                end[g] - start[g],
                at_least=0.0,
                smallest=claims.SMALLEST,
            )
            for g in end.columns
        ),
        *(
            Finding.mean(
                f"cosine at the end, gamma = {high:g} less gamma = {low:g}",
                end[high] - end[low],
                at_least=0.0,
                smallest=claims.SMALLEST,
            )
            for low, high in itertools.pairwise(end.columns)
        ),
    ]

    def draw(ax: Any) -> None:
        claims.draw_means(
            ax,
            claims.averaged(curve, ["data_seed", RICHNESS, "step"]),
            "step",
            by=RICHNESS,
            label="gamma = {}",
        )
        claims.label_axes(ax, "step", "cosine of kernel and labels")

    return Judgement(
        findings,
        "At equal times of gradient flow. A cosine ends at 1: where the kernel already is the outer"
        " product of the labels, more richness has no room to add to it.",
        (),
        draw,
    )


@claim(
    "same-over-width",
    version="1",
    statement="Losses and kernels of convolutional networks evolve alike at all widths, at one"
    " richness.",
    source=f"{PAPER}, experiments on CIFAR-10 with convolutional networks",
    experiments=[PATCHES],
    order=64,
    tags={"convolutional", "kernel"},
)
def same_over_width(evidence: Evidence) -> Judgement:
    """Distances between the curves of the two largest widths."""
    curves = {
        name: evidence.curve(PATCHES, name, solver="network")
        for name in ("loss/train", "loss/test", ALIGNMENT)
    }
    findings = []
    for name, curve in curves.items():
        table = curve.pivot_table(index=["data_seed", "step"], columns="width", values="value")
        middle, high = table.columns[-2:]
        findings.append(
            Finding.mean(
                f"distance of the curves of {name} at widths {middle} and {high}",
                claims.curve_distances(table[middle], table[high]),
                at_most=claims.TOLERANCE,
            )
        )

    def draw(ax: Any) -> None:
        shown = claims.averaged(curves["loss/test"], ["data_seed", "width", "step"])
        claims.draw_means(ax, shown, "step", by="width", label="width {}")
        claims.label_axes(ax, "step", "test loss")

    return Judgement(
        findings,
        "Distances are relative, over all recorded steps, of means over seeds; the paper's networks"
        " are deeper, those here have one layer of patches.",
        (),
        draw,
    )
