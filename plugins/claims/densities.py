"""Claims on densities of pre-activations, of two-layer ReLU networks on images."""

from __future__ import annotations

import itertools
from typing import Any

import harness
from harness import Condition, Evidence, Finding, Judgement, claim

PAPER = "Lauditi, Bordelon & Pehlevan, arXiv:2507.04448"
THEORY = "mean-field"
GAMMA1, GAMMA2 = "regime.source_richness", "regime.target_richness"
DISTANCE, KURTOSIS = "preactivation/wasserstein", "preactivation/excess-kurtosis"
SMALLEST = 0.01
"""Smallest change of the distance that counts, in standard deviations of the density."""
SMALLEST_KURTOSIS = 0.1
"""Smallest change of the excess kurtosis that counts."""
GAUSSIAN = 0.05
"""Distance below which a density counts as Gaussian, in its standard deviations."""


@claim(
    "non-gaussian-features",
    version="2",
    statement="The density of pre-activations on the target departs further from a Gaussian as"
    " gamma_2 grows.",
    source=f"{PAPER}, figure on pre-activation densities",
    experiments=["cifar10-jointly-rich", "cifar10-jointly-rich-draws"],
    order=11,
    tags={"images", "jointly-rich"},
)
def non_gaussian_features(evidence: Evidence) -> Judgement:
    """1-Wasserstein distance of the projection on target labels from a Gaussian, standardised."""
    found = evidence.final("cifar10-jointly-rich-draws", DISTANCE, solver=THEORY)
    table = found.pivot_table(index="data_seed", columns=GAMMA2, values="value")
    networks = evidence.final("cifar10-jointly-rich", DISTANCE, solver="network")
    networks = networks[networks["width"] == networks["width"].max()]
    seeds = networks.pivot_table(index="seed", columns=GAMMA2, values="value")
    ends = seeds.columns[-1], seeds.columns[0]
    findings = _rises(table, "distance at", SMALLEST)
    findings.append(
        Finding.mean(
            f"networks of width {networks['width'].max()}: distance at gamma_2 = {ends[0]:g} less"
            f" that at {ends[1]:g}",
            seeds.iloc[:, -1] - seeds.iloc[:, 0],
            at_least=0.0,
            smallest=SMALLEST,
        )
    )
    kurtosis = evidence.final("cifar10-jointly-rich-draws", KURTOSIS, solver=THEORY).pivot_table(
        index="data_seed", columns=GAMMA2, values="value"
    )

    def draw(ax: Any) -> None:
        harness.claims.draw_means(ax, found, GAMMA2, label="mean-field")
        harness.claims.draw_means(ax, networks, GAMMA2, label="networks", first=1)
        harness.claims.label_axes(ax, "γ₂", "distance from a Gaussian (W₁)", log=True)

    return Judgement(
        findings,
        "At the end of the target stage; finite networks and samples add about 1 / sqrt(n). Below"
        " gamma_2 = 0.3 the target moves features too little to show: the density is that which the"
        " source has left, and departs with gamma_2 from there on.",
        [
            Condition(
                "the measure is the excess kurtosis",
                _rises(kurtosis, "at", SMALLEST_KURTOSIS),
            )
        ],
        draw,
    )


@claim(
    "gaussian-when-lazy",
    version="1",
    statement="The density of pre-activations on the target stays Gaussian in the lazy limit, and"
    " departs from it with gamma_2 only.",
    source=f"{PAPER}, figure on pre-activation densities",
    experiments=["cifar10-source-richness", "cifar10-jointly-rich-draws"],
    order=18,
    tags={"images", "jointly-rich"},
)
def gaussian_when_lazy(evidence: Evidence) -> Judgement:
    """Distances from a Gaussian over gamma_1 at the smallest gamma_2, and over gamma_2."""
    sources = evidence.final("cifar10-source-richness", DISTANCE, solver=THEORY)
    by_source = sources.pivot_table(index="data_seed", columns=GAMMA1, values="value")
    targets = evidence.final("cifar10-jointly-rich-draws", DISTANCE, solver=THEORY)
    by_target = targets.pivot_table(index="data_seed", columns=GAMMA2, values="value")
    low, high = by_source.columns[0], by_source.columns[-1]
    least, most = by_target.columns[0], by_target.columns[-1]
    lazy = sources[GAMMA2].min()

    def draw(ax: Any) -> None:
        label = f"over γ₁, γ₂ = {lazy:g}"
        harness.claims.draw_means(ax, sources, GAMMA1, label=label)
        label = f"over γ₂, γ₁ = {targets[GAMMA1].min():g}"
        harness.claims.draw_means(ax, targets, GAMMA2, label=label, first=1)
        ax.axhline(GAUSSIAN, color="#767676", lw=1.0, ls=":")
        harness.claims.label_axes(ax, "richness", "distance from a Gaussian (W₁)", log=True)

    return Judgement(
        [
            Finding.mean(
                f"distance at gamma_1 = {low:g}, gamma_2 = {lazy:g}",
                by_source[low],
                at_most=GAUSSIAN,
            ),
            Finding.mean(
                f"distance at gamma_2 = {most:g} less that at {least:g}",
                by_target[most] - by_target[least],
                at_least=0.0,
                smallest=SMALLEST,
            ),
            Finding.mean(
                f"distance at gamma_1 = {high:g} less that at {low:g}, gamma_2 = {lazy:g}",
                by_source[high] - by_source[low],
                at_most=SMALLEST,
            ),
        ],
        "Gaussian where both stages are lazy. A rich source leaves features that are not Gaussian"
        " on the target either, so that gamma_1 matters as well as gamma_2.",
        (),
        draw,
    )


def _rises(table: Any, what: str, smallest: float) -> list[Finding]:
    """Return the growth of a measure from each gamma_2, a column, to the next."""
    return [
        Finding.mean(
            f"{what} gamma_2 = {high:g} less that at {low:g}",
            table[high] - table[low],
            at_least=0.0,
            smallest=smallest,
        )
        for low, high in itertools.pairwise(table.columns)
    ]
