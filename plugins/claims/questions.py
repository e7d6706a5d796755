"""Questions of readers: inputs, lazy fine-tuning, stopping, orders and similarity of tasks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness import Condition, Evidence, Finding, Judgement, NotEnoughError, claim, claims

ASKED = "asked by readers; docs/theory.md"
EXACT, THEORY = "linear-transfer", "mean-field"
SAME = 0.1
"""Difference of gains, or relative one of losses, that leaves the picture as it is."""
ALIGNMENT, STEPS, SOURCES = "task.alignment", "regime.source_steps", "task.source_classes"
DRAW = "data_seed"


def _relative(frame: Any, other: Any, on: list[str]) -> NDArray[np.float64]:
    """Return the ratio of two mean losses less 1, as numbers of draws."""
    joined = claims.paired(frame, other, on)
    return claims.ratio_of_means(joined["value"], joined["other"]) - 1


def _followed(evidence: Evidence, theory: str, *experiments: str) -> Condition:
    """Return whether networks of one draw follow the theory that answers the question."""
    rows = [row for name in experiments for row in evidence.scores(name, theory)]
    return Condition(
        "networks of one draw follow the theory",
        [Finding.gap(row, claims.TOLERANCE) for row in rows],
    )


SPECTRUM, DIRECTIONS = "question-spectrum", "question-directions"


@claim(
    "anisotropic-inputs",
    version="2",
    statement="Do anisotropic inputs change the picture? Little: where variances fall as 1 / k, a"
    " converged readout gains from an aligned source what it gains with isotropic inputs, within"
    " 0.1, and an unaligned source changes the loss by less than a tenth; it gains more where"
    " source and target lie along strong inputs than where they lie along weak ones.",
    source=ASKED,
    experiments=[
        *(f"{name}{end}" for name in (SPECTRUM, DIRECTIONS) for end in ("", "-control")),
        f"{SPECTRUM}-networks",
    ],
    order=71,
    tags={"linear", "fine-tuning", "question"},
)
def anisotropic_inputs(evidence: Evidence) -> Judgement:
    """Gains over a control on the same draws, for spectra, alignments and directions."""
    on = ["task.spectrum", ALIGNMENT]
    gains = _gains(evidence, SPECTRUM, on)
    table = gains.pivot_table(index=DRAW, columns=on, values="value")
    along = _gains(evidence, DIRECTIONS, ["task.directions"]).pivot_table(
        index=DRAW, columns="task.directions", values="value"
    )
    flat, falling = (gains["task.spectrum"].agg(end) for end in ("min", "max"))
    low, high = (gains[ALIGNMENT].agg(end) for end in ("min", "max"))
    falling_gain = table[falling, high]

    def draw(ax: Any) -> None:
        claims.draw_means(ax, gains, ALIGNMENT, by="task.spectrum", label="variances k^-{}")
        ax.axhline(0.0, color="#767676", lw=1.0, ls=":")
        claims.label_axes(ax, "alignment", "gain: 1 - loss / control")

    return Judgement(
        [
            Finding.mean(
                f"gain at alignment {high:g}, variances as 1 / k",
                falling_gain,
                at_least=0.0,
                smallest=claims.SMALLEST,
            ),
            Finding.mean(
                "the same less that of isotropic inputs",
                falling_gain - table[flat, high],
                -SAME,
                SAME,
            ),
            Finding.mean(
                f"gain at alignment {low:g}, variances as 1 / k", table[falling, low], -SAME, SAME
            ),
            Finding.mean(
                "gain along strong inputs less that along weak ones",
                along["strong"] - along["weak"],
                at_least=0.0,
                smallest=claims.SMALLEST,
            ),
        ],
        "The kernel's spike lies along the source's predictor n whatever the spectrum, with one"
        " strength chi: it adds chi (n.x)(n.x') to the kernel, which is large beside the rest where"
        " inputs vary much along n.",
        [_followed(evidence, EXACT, f"{SPECTRUM}-networks")],
        draw,
    )


def _gains(evidence: Evidence, experiment: str, on: list[str]) -> Any:
    """Return the gain over a control at each point of a sweep, as numbers of draws."""
    with_source, without = (
        evidence.final(f"{experiment}{end}", solver=EXACT) for end in ("", "-control")
    )
    joined = claims.paired(with_source, without, [DRAW, *on])
    return joined.assign(value=claims.gains_by(joined, on))


RESAMPLES = 4000
CORRELATED = 0.3
"""Smallest correlation that counts."""


def _correlation(what: str, x: ArrayLike, y: ArrayLike) -> Finding:
    """Return a correlation with its bootstrap interval over pairs; claimed to be positive."""
    pairs = np.stack([np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)])
    if pairs.shape[1] < 3:
        raise NotEnoughError(f"{what}: {pairs.shape[1]} pairs, and at least 3 are needed")
    rows = np.random.default_rng(0).integers(pairs.shape[1], size=(RESAMPLES, pairs.shape[1]))
    with np.errstate(invalid="ignore"):  # a sample of one pair alone has no correlation
        drawn = np.array([_pearson(pairs[:, row]) for row in rows])
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return Finding(
        what=what,
        value=_pearson(pairs),
        known=(float(low), float(high)),
        at_least=0.0,
        smallest=CORRELATED,
    )


def _pearson(pairs: NDArray[np.float64]) -> float:
    return float(np.asarray(np.corrcoef(pairs))[0, 1])


LAZY = "question-lazy"


@claim(
    "lazy-all-weights",
    version="1",
    statement="Does lazy fine-tuning of all weights differ from that of the readout? Yes: with an"
    " aligned source the readout alone ends at the lower loss; with an unaligned one both end at"
    " the same, within a tenth.",
    source=ASKED,
    experiments=[f"{LAZY}-{part}{end}" for part in ("all", "readout") for end in ("", "-networks")],
    order=72,
    tags={"fine-tuning", "question"},
)
def lazy_all_weights(evidence: Evidence) -> Judgement:
    """Losses at the end of the two kernels' training, on the same draws."""
    every, readout = (
        evidence.final(f"{LAZY}-{part}", solver=THEORY) for part in ("all", "readout")
    )
    alignments = sorted(every[ALIGNMENT].unique())
    low, high = (
        _relative(readout[readout[ALIGNMENT] == a], every[every[ALIGNMENT] == a], [DRAW])
        for a in (alignments[0], alignments[-1])
    )
    what = "loss of the readout alone / of all weights - 1, alignment"

    def draw(ax: Any) -> None:
        claims.draw_means(ax, every, ALIGNMENT, label="all weights, linearised")
        claims.draw_means(ax, readout, ALIGNMENT, label="readout alone", first=1)
        claims.label_axes(ax, "alignment", "target test loss")

    return Judgement(
        [
            Finding.mean(f"{what} {alignments[-1]:g}", high, at_most=0.0, smallest=claims.SMALLEST),
            Finding.mean(f"{what} {alignments[0]:g}", low, -SAME, SAME),
        ],
        "The tangent kernel adds to the features' kernel that of the hidden weights, which does not"
        " know the source's direction as well. In linear networks features have I + chi n n', all"
        " weights (2 + chi) [I + chi / (2 + chi) n n']: a spike that is less than the rest, however"
        " rich the source.",
        [_followed(evidence, THEORY, f"{LAZY}-all-networks", f"{LAZY}-readout-networks")],
        draw,
    )


STOP = "question-stop"
EARLY = 100
"""Steps of a source stage that is stopped early, chosen on draws of a pilot."""


@claim(
    "source-stop",
    version="1",
    statement="When should the source stage stop? At convergence if labels are clean, earlier if"
    " they are noisy: then the target's loss is lower from a source that was stopped early.",
    source=ASKED,
    experiments=[STOP, f"{STOP}-networks"],
    order=73,
    tags={"linear", "fine-tuning", "question"},
)
def source_stop(evidence: Evidence) -> Judgement:
    """Target losses after an early and a late end of the source stage, on the same draws."""
    found = evidence.final(STOP, solver=EXACT)
    steps = sorted(found[STEPS].unique())
    early, late = (EARLY if EARLY in steps else steps[0]), steps[-1]
    noises = sorted(found["task.label_noise"].unique())

    def change(noise: float) -> NDArray[np.float64]:
        part = found[found["task.label_noise"] == noise]
        return _relative(part[part[STEPS] == early], part[part[STEPS] == late], [DRAW])

    what = f"loss after {early:g} source steps / after {late:g} - 1, label noise"

    def draw(ax: Any) -> None:
        started = found[found[STEPS] > 0]
        claims.draw_means(ax, started, STEPS, by="task.label_noise", label="label noise {}")
        for turn, (_, part) in enumerate(found[found[STEPS] == 0].groupby("task.label_noise")):
            name = None if turn else "without a source"
            ax.axhline(part["value"].mean(), color="#767676", lw=1.0, ls=":", label=name)
        claims.label_axes(ax, "steps of the source stage", "target test loss", log=True)

    return Judgement(
        [
            Finding.mean(
                f"{what} {noises[0]:g}", change(noises[0]), at_least=0.0, smallest=claims.SMALLEST
            ),
            Finding.mean(
                f"{what} {noises[-1]:g}", change(noises[-1]), at_most=0.0, smallest=claims.SMALLEST
            ),
        ],
        "With as many source points as dimensions a converged source interpolates: of noisy labels,"
        " most of its predictor, hence of the spike, is noise. Stopped early it has learned the"
        " directions with large variance, which hold signal.",
        [_followed(evidence, EXACT, f"{STOP}-networks")],
        draw,
    )


ORDER, TASKS = "question-order", "regime.tasks"
RISING = "source → step-2 → target"


@claim(
    "order-of-tasks",
    version="1",
    statement="In what order should three tasks be learned? In the order of a staircase, from the"
    " lowest step: the target's loss is lower than in the reverse order, with a step left out, and"
    " from scratch.",
    source=ASKED,
    experiments=[ORDER, f"{ORDER}-networks"],
    order=74,
    tags={"multi-index", "curriculum", "question"},
)
def order_of_tasks(evidence: Evidence) -> Judgement:
    """Target losses at best stopping, and at the end, on the same draws and at equal steps."""
    best, end = (_by_order(look(ORDER, solver=THEORY)) for look in (evidence.best, evidence.final))

    def findings(table: Any) -> list[Finding]:
        return [
            Finding.mean(
                f"loss of {RISING} / of {other} - 1",
                claims.ratio_of_means(table[RISING], table[other]) - 1,
                at_most=0.0,
                smallest=claims.SMALLEST,
            )
            for other in table.columns
            if other != RISING
        ]

    def draw(ax: Any) -> None:
        names = best.mean().sort_values().index
        for turn, (table, label) in enumerate(((best, "best stopping"), (end, "end"))):
            relative = table.div(table["target"], axis=0)[names]
            error = 2 * relative.sem()
            color = ("#0072b2", "#d97b00")[turn]
            at = np.arange(len(names)) + 0.15 * turn
            ax.errorbar(relative.mean(), at, xerr=error, fmt="o", ms=4, color=color, label=label)
        ax.axvline(1.0, color="#767676", lw=1.0, ls=":")
        ax.set_yticks(range(len(names)), [_short(name) for name in names])
        ax.set_xlabel("loss / from scratch (1: source, 2: step-2, 3: target)")

    return Judgement(
        findings(best),
        "Both earlier tasks point to directions of the target, so that either helps. Features of a"
        " step survive the next stage: their order counts for less than whether step-2, which"
        " holds both directions, is among them.",
        [
            Condition("the target stage is trained to the end", findings(end)),
            _followed(evidence, THEORY, f"{ORDER}-networks"),
        ],
        draw,
    )


def _short(order: str) -> str:
    for name, step in (("source", "1"), ("step-2", "2"), ("target", "3"), (" ", "")):
        order = order.replace(name, step)
    return order


def _by_order(frame: Any) -> Any:
    """Return losses by draw and order of the tasks."""
    named = frame.assign(order=[" → ".join(tasks) for tasks in frame[TASKS]])
    return named.pivot_table(index=DRAW, columns="order", values="value")


PAIRS = "question-pairs"
RIDGE = 1e-2
"""Ridge of the predictors that are compared, in units of the kernel's mean diagonal."""


@claim(
    "similar-tasks",
    version="1",
    statement="Does the similarity of real pairs of classes predict the gain? Yes: over pairs of"
    " digits as sources, the gain is correlated with the overlap of the two tasks' predictors under"
    " the input kernel, and with the alignment of the learned kernel with the target's labels.",
    source=ASKED,
    experiments=[PAIRS, f"{PAIRS}-control", f"{PAIRS}-networks"],
    order=75,
    tags={"images", "fine-tuning", "question"},
)
def similar_tasks(evidence: Evidence) -> Judgement:
    """Correlation over source pairs of their mean gain with two measures of similarity."""
    losses = [_by_pair(evidence.final(f"{PAIRS}{end}", solver=THEORY)) for end in ("", "-control")]
    gain = 1 - losses[0].mean() / losses[1].mean()
    aligned = [
        _by_pair(evidence.final(f"{PAIRS}{end}", "kernel/alignment", solver=THEORY)).mean()
        for end in ("", "-control")
    ]
    learned = aligned[0] - aligned[1]
    overlap = _overlaps(evidence).mean()[gain.index]

    def draw(ax: Any) -> None:
        ax.plot(overlap, gain, "o", color="#0072b2", label="a pair of digits, mean over draws")
        for pair in gain.index:
            ax.annotate(
                pair, (overlap[pair], gain[pair]), (4, 3), textcoords="offset points", fontsize=7
            )
        ax.axhline(0.0, color="#767676", lw=1.0, ls=":")
        claims.label_axes(ax, "overlap of predictors under K_x", "gain: 1 - loss / control")

    return Judgement(
        [
            _correlation("correlation of the gain with the overlap under K_x", overlap, gain),
            _correlation(
                "correlation of the gain with the rise of the kernel's alignment", learned, gain
            ),
        ],
        "Features grow along the source's predictor, but a source is not the better the more this"
        " resembles the target's: over all pairs of digits the overlap under the kernel of the"
        " inputs says nothing of the gain, and the alignment of the learned kernel does.",
        [_followed(evidence, THEORY, f"{PAIRS}-networks")],
        draw,
    )


def _by_pair(frame: Any) -> Any:
    """Return values by draw and pair of source classes."""
    named = frame.assign(pair=["/".join(map(str, pair)) for pair in frame[SOURCES]])
    return named.pivot_table(index=DRAW, columns="pair", values="value")


def _overlaps(evidence: Evidence) -> Any:
    """Return |cos| of the two tasks' ridge predictors on the target's test points."""
    cells = evidence.cells(PAIRS, THEORY)
    values = [_overlap(evidence, str(key)) for key in cells.index]
    return _by_pair(cells.assign(value=values))


def _overlap(evidence: Evidence, key: str) -> float:
    data = evidence.problem(key).data
    assert data.source is not None
    x = data.target_test.x
    found = []
    for train in (data.source, data.target):
        kernel = train.x @ train.x.T
        ridge = RIDGE * np.trace(kernel) / len(kernel)
        weights = np.linalg.solve(kernel + ridge * np.eye(len(kernel)), train.y)
        found.append(x @ (train.x.T @ weights))
    f, g = (each / np.linalg.norm(each) for each in found)
    return float(abs(f @ g))
