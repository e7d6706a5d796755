"""Claims on residual networks of any width and depth that train alike at one step size."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from harness import Condition, Evidence, Finding, Judgement, NotEnoughError, claim, claims

if TYPE_CHECKING:
    import pandas as pd

PAPER = "Bordelon, Noci, Li, Hanin & Pehlevan, arXiv:2309.16620"
OCTAVE = 1.0
"""A factor of 2 in the step size, one step of the grid, as a logarithm of base 2."""
DEPTH, WIDTH, DT = "architecture.depth", "width", "regime.dt"
DEPTHS, WIDTHS, LIMIT = "transfer-depths", "transfer-widths", "transfer-limit"
STEPS, UNSCALED = "transfer-steps", "unscaled-steps-*"
LOSS = "loss/train"
STEP = 0.16
"""Step size at which the loss curves of unscaled networks are compared."""


def _distances(evidence: Evidence, experiment: str, column: str) -> list[tuple[str, Any]]:
    """Return the relative distance of each size's mean loss curve from the next one's.

    Returns:
        For every pair of neighbouring sizes its name, and a distance for each draw of the data.
    """
    curve = evidence.curve(experiment, LOSS, solver="network")
    if experiment == UNSCALED:
        curve = curve[curve[DT] == STEP]
    table = curve.pivot_table(index=["data_seed", "step"], columns=column, values="value")
    return [
        (f"{small} and {large}", claims.curve_distances(table[small], table[large]))
        for small, large in itertools.pairwise(table.columns)
    ]


def _coincide(distances: list[tuple[str, Any]], sizes: str) -> list[Finding]:
    """Return the last distance, and by how much it is less than the first one."""
    (first, at_start), (last, at_end) = distances[0], distances[-1]
    return [
        Finding.mean(
            f"distance of the loss curves at {sizes} {last}", at_end, at_most=claims.TOLERANCE
        ),
        Finding.mean(
            f"distance at {sizes} {first} less that at {last}",
            at_start - at_end,
            at_least=0.0,
            smallest=claims.SMALLEST,
        ),
    ]


def _drawn_curves(evidence: Evidence, experiment: str, column: str, label: str) -> Any:
    """Return a function that draws the mean loss curve of every size."""
    curve = evidence.curve(experiment, LOSS, solver="network")

    def draw(ax: Any) -> None:
        shown = claims.averaged(curve, ["data_seed", column, "step"])
        claims.draw_means(ax, shown, "step", by=column, label=label)
        ax.set_xscale("linear")
        claims.label_axes(ax, "step", "training loss")

    return draw


def _shift(
    evidence: Evidence,
    experiment: str,
    what: str,
    at_least: float = -math.inf,
    at_most: float = math.inf,
) -> Finding:
    """Return log2 of the best step size of the deepest network less that of the shallowest.

    The best step is that of the lowest mean over draws; its error comes from leaving out each draw
    in turn (jackknife). Above it a few networks fail, and set the mean; others fit their points
    better and better, so that the mean of the logarithms has no minimum.
    """
    final = evidence.final(experiment, LOSS, solver="network")
    table: Any = final.pivot_table(index=["data_seed", DEPTH], columns=DT, values="value")
    depths = table.index.get_level_values(DEPTH)
    tables = [table[depths == d].dropna(axis=1) for d in (depths.min(), depths.max())]
    draws = sorted(set(table.index.get_level_values("data_seed")))

    def shift(left_out: int | None) -> float:
        kept = [t[t.index.get_level_values("data_seed") != left_out] for t in tables]
        shallow, deep = map(_best_step, kept)
        return deep - shallow

    return Finding.jackknife(
        f"{what} {depths.max()} less that at {depths.min()}",
        shift(None),
        [shift(draw) for draw in draws],
        at_least,
        at_most,
    )


def _best_step(table: pd.DataFrame) -> float:
    """Return log2 of the step with the lowest mean loss, refined by a parabola.

    The parabola goes through the logarithms of that mean and its neighbours.

    Raises:
        NotEnoughError: if it is an end of the grid: the optimum then lies beyond.
    """
    at, losses = np.log2(table.columns.to_numpy(dtype=float)), np.log(table.mean().to_numpy())
    turn = int(losses.argmin())
    if turn in (0, len(at) - 1):
        raise NotEnoughError(f"the best step, {2 ** at[turn]:g}, is an end of the grid")
    before, lowest, after = losses[turn - 1 : turn + 2]
    shift = 0.5 * (before - after) / (before - 2 * lowest + after)
    return float(at[turn] + shift * (at[turn + 1] - at[turn]))


@claim(
    "depths-train-alike",
    version="1",
    statement="With branches of size 1 / sqrt(L), loss curves over depth approach one limit at a"
    " fixed step size.",
    source=f"{PAPER}, convergence in depth",
    experiments=[DEPTHS, UNSCALED],
    order=41,
    tags={"residual", "deep"},
)
def depths_train_alike(evidence: Evidence) -> Judgement:
    """Distances between the loss curves of neighbouring depths, at one width and step size."""
    return Judgement(
        _coincide(_distances(evidence, DEPTHS, DEPTH), "depths"),
        "The sum of L branches of variance 1 / L has a limit; what is left at depth L is of order"
        " 1 / L, and of the width.",
        [
            Condition(
                "branches are not scaled",
                _coincide(_distances(evidence, UNSCALED, DEPTH), "depths"),
            )
        ],
        _drawn_curves(evidence, DEPTHS, DEPTH, "depth {}"),
    )


@claim(
    "widths-train-alike",
    version="1",
    statement="At a fixed depth and step size, loss curves over width approach one limit, that of"
    " the theory.",
    source=f"{PAPER}, convergence in width",
    experiments=[WIDTHS, LIMIT],
    order=42,
    tags={"residual", "deep"},
)
def widths_train_alike(evidence: Evidence) -> Judgement:
    """Distances between the curves of neighbouring widths, and the limit gap of dmft."""
    return Judgement(
        [
            *_coincide(_distances(evidence, WIDTHS, WIDTH), "widths"),
            *(Finding.gap(row, claims.TOLERANCE) for row in evidence.scores(LIMIT, "dmft")),
        ],
        "A mean-field parameterisation has one step for all widths; fluctuations of order"
        " 1 / sqrt(N) are left.",
        (),
        _drawn_curves(evidence, WIDTHS, WIDTH, "width {}"),
    )


@claim(
    "one-step-for-all-depths",
    version="2",
    statement="With branches of size 1 / sqrt(L), the best step size is the same at all depths.",
    source=f"{PAPER}, transfer of learning rates",
    experiments=[STEPS],
    order=43,
    tags={"residual", "deep"},
)
def one_step_for_all_depths(evidence: Evidence) -> Judgement:
    """Shift of the best step size from the shallowest to the deepest network, in octaves."""
    what = "log2 of the best step size at depth"
    return Judgement(
        [_shift(evidence, STEPS, what, at_least=-OCTAVE, at_most=OCTAVE)],
        "Lowest training loss after a given number of steps; the tangent kernel's largest"
        " eigenvalue, which bounds the step, has a limit in depth.",
        (),
        _drawn_steps(evidence, STEPS),
    )


@claim(
    "unscaled-depths-need-smaller-steps",
    version="2",
    statement="With unscaled branches, the best step size falls with depth.",
    source=f"{PAPER}, failure of transfer over depth without the scale",
    experiments=[UNSCALED],
    order=44,
    tags={"residual", "deep", "control"},
)
def unscaled_depths_need_smaller_steps(evidence: Evidence) -> Judgement:
    """Shift of the best step size of unscaled networks, in octaves."""
    what = "unscaled: log2 of the best step size at depth"
    return Judgement(
        [_shift(evidence, UNSCALED, what, at_most=-OCTAVE)],
        "Each unscaled branch adds to the size of features, gradients and tangent kernel, so that"
        " deep networks are stable only at small steps.",
        (),
        _drawn_steps(evidence, UNSCALED),
    )


def _drawn_steps(evidence: Evidence, experiment: str) -> Any:
    """Return a function that draws the final training loss over the step size, by depth."""
    final = evidence.final(experiment, LOSS, solver="network")

    def draw(ax: Any) -> None:
        shown = claims.averaged(final, ["data_seed", DEPTH, DT])
        claims.draw_means(ax, shown, DT, by=DEPTH, label="depth {}")
        ax.set_yscale("log")
        claims.label_axes(ax, "step size dt", "training loss after 15 steps", log=True)

    return draw
