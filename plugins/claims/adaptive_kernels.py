"""Claims on kernels that feature learning has adapted, against lazy ones and against networks."""

from __future__ import annotations

from typing import Any

from harness import Condition, Evidence, Finding, Judgement, claim, claims

PAPER = "Lauditi, Bordelon & Pehlevan, arXiv:2502.07998"
PUBLISHED = 0.01
"""Largest relative difference of the final losses of theory and networks; 0.7 % was published."""
ADAPTIVE = "adaptive-kernel"
BAYES, FLOW, FLOW_LAZY = (
    "adaptive-bayes-images",
    "adaptive-flow-images",
    "adaptive-flow-images-lazy",
)
PATCHES = "adaptive-patches"
FIXED_POINTS = ("fixed-point-two-layer", "fixed-point-deep-linear", "fixed-point-deep")
DATASET, RICHNESS = "task.dataset", "regime.richness"
RICH = 1.0
"""gamma of the findings; milder richness is a condition."""


def _lower(adaptive: Any, lazy: Any, names: str) -> list[Finding]:
    """Return 1 - adaptive loss / lazy loss for every data set, on the same draws."""
    joined = claims.paired(adaptive, lazy, [DATASET, "data_seed"])
    return [
        Finding.mean(
            f"1 - loss of {names}, {dataset}",
            1 - part["value"] / part["other"],
            at_least=0.0,
            smallest=claims.SMALLEST,
        )
        for dataset, part in joined.groupby(DATASET)
    ]


def _draw_pairs(adaptive: Any, lazy: Any) -> Any:
    """Return a function that draws the adaptive loss of every draw against the lazy one."""
    joined = claims.paired(adaptive, lazy, [DATASET, "data_seed"])

    def draw(ax: Any) -> None:
        for marker, (dataset, part) in zip("osD^v", joined.groupby(DATASET), strict=False):
            ax.plot(part["other"], part["value"], marker, label=dataset)
        ends = joined[["value", "other"]].to_numpy()
        ax.plot([ends.min(), ends.max()], [ends.min(), ends.max()], "k:", lw=1.0, label="equal")
        claims.label_axes(ax, "test loss, lazy kernel", "test loss, adapted kernel")

    return draw


@claim(
    "adapted-kernel-beats-prior",
    version="1",
    statement="On images, Bayesian networks that learn features have a lower test loss than the"
    " kernel of their prior.",
    source=f"{PAPER}, figure on CIFAR-10, Bayesian kernels",
    experiments=[BAYES],
    order=31,
    tags={"images", "bayesian"},
)
def adapted_kernel_beats_prior(evidence: Evidence) -> Judgement:
    """Gains of the adapted feature kernel over the prior's, on the same draws of images."""
    found: list[Any] = [evidence.final(BAYES, solver=solver) for solver in (ADAPTIVE, "lazy-nngp")]
    names = "the adapted feature kernel / of the prior's"
    rich, mild = (
        [losses[(losses[RICHNESS] == RICH) == wanted] for losses in found]
        for wanted in (True, False)
    )
    return Judgement(
        _lower(rich[0], rich[1], names),
        "At one ridge. With few images learning also fits features to what these"
        " images have by chance, which a fixed kernel does not.",
        [
            Condition(
                f"features are less rich, gamma = {mild[0][RICHNESS].min():g}",
                _lower(mild[0], mild[1], names),
            )
        ],
        _draw_pairs(*rich),
    )


@claim(
    "adapted-tangent-kernel-beats-lazy",
    version="1",
    statement="On images, gradient flow with decay that learns features ends at a lower test loss"
    " than regression with the tangent kernel of the start.",
    source=f"{PAPER}, figure on CIFAR-10, tangent kernels",
    experiments=[FLOW, FLOW_LAZY],
    order=32,
    tags={"images", "gradient-flow"},
)
def adapted_tangent_kernel_beats_lazy(evidence: Evidence) -> Judgement:
    """Gains over the lazy tangent kernel, stopped at its best time, on the same draws."""
    adaptive = evidence.final(FLOW, solver=ADAPTIVE)
    lazy = evidence.best(FLOW_LAZY, solver="lazy-ntk")
    return Judgement(
        _lower(adaptive, lazy, "the adapted tangent kernel / of the lazy one at its best"),
        "Decay shrinks all weights that no label needs, so that few features are left; the lazy"
        " kernel is stopped at its best time, which stands for its best ridge.",
        (),
        _draw_pairs(adaptive, lazy),
    )


@claim(
    "fixed-points-follow-networks",
    version="1",
    statement="The fixed points of feature learning describe Bayesian networks of two layers, deep"
    " linear ones and deep nonlinear ones.",
    source=f"{PAPER}, comparisons of saddle points with Langevin networks",
    experiments=FIXED_POINTS,
    order=33,
    tags={"bayesian", "deep"},
)
def fixed_points_follow_networks(evidence: Evidence) -> Judgement:
    """Limit gaps of the adaptive kernel's mean predictor."""
    rows = [row for name in FIXED_POINTS for row in evidence.scores(name, ADAPTIVE)]

    def draw(ax: Any) -> None:
        named = {row.experiment: row for row in rows}
        claims.draw_distances(ax, named, "distance from adaptive-kernel")

    return Judgement(
        [Finding.gap(row, claims.TOLERANCE) for row in rows],
        "The sampled stationary state of networks scatters; a gap beyond that would be one of the"
        " fixed point, or of networks not yet stationary.",
        (),
        draw,
    )


@claim(
    "patches-have-the-loss-of-theory",
    version="1",
    statement="Two-layer convolutional networks on images of animals and vehicles end at the test"
    " loss of the theory, within one per cent.",
    source=f"{PAPER}, table of test losses of convolutional networks",
    experiments=[PATCHES],
    order=34,
    tags={"images", "convolutional"},
)
def patches_have_the_loss_of_theory(evidence: Evidence) -> Judgement:
    """Final test loss of mean-field relative to that of networks, on the same draws."""
    losses = [evidence.final(PATCHES, solver=s) for s in ("mean-field", "network")]
    joined = claims.paired(losses[0], losses[1], ["data_seed"])
    ratio = joined["value"] / joined["other"] - 1

    def draw(ax: Any) -> None:
        theory, network = (
            evidence.curve(PATCHES, solver=s).groupby(["data_seed", "step"])["value"].mean()
            for s in ("mean-field", "network")
        )
        for seed, part in theory.groupby(level="data_seed"):
            first = seed == joined["data_seed"].min()
            steps = part.index.get_level_values("step")
            label = "mean-field, a draw" if first else None
            ax.plot(steps, part.to_numpy(), color="#0072b2", lw=1.0, label=label)
            found = network.xs(seed, level="data_seed")
            label = "networks" if first else None
            ax.plot(found.index, found.to_numpy(), "--", color="#d97b00", lw=1.0, label=label)
        claims.label_axes(ax, "step", "test loss")

    return Judgement(
        [
            Finding.mean(
                "final test loss of mean-field / of networks - 1", ratio, -PUBLISHED, PUBLISHED
            )
        ],
        "Deer against aeroplanes rather than all animals and vehicles, and fewer images than the"
        " paper's: losses compare with each other, not with the published ones.",
        (),
        draw,
    )
