"""The figure behind most claims: means over draws against a swept parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from harness.scoring import ScoreRow

LINE_COLORS = ("#1a1a1a", "#0072b2", "#d97b00", "#00795a", "#b5177e", "#7a4a1e")
MARKERS = "osD^vP"


def draw_means(
    ax: Axes,
    frame: pd.DataFrame,
    x: str,
    *,
    by: str | None = None,
    label: str = "{}",
    dashed: bool = False,
    first: int = 0,
) -> None:
    """Draw the mean of ``value`` at every x, with bars of two standard errors over the rows.

    Args:
        ax: axes to draw on.
        frame: rows with ``value`` and the columns named.
        x: column of the horizontal axis.
        by: column with one line for each of its values.
        label: name of a line, with {} for its value of `by`.
        dashed: whether lines are dashed, as those of a control.
        first: number of colours already in use.
    """
    groups = [("", frame)] if by is None else list(frame.groupby(by))
    for turn, (key, part) in enumerate(groups, start=first):
        found = part.groupby(x)["value"]
        mean, error = found.mean(), found.sem().fillna(0.0)
        shown = f"{key:g}" if isinstance(key, float | int | np.number) else str(key)
        ax.errorbar(
            mean.index.to_numpy(dtype=float),
            mean,
            2 * error,
            color=LINE_COLORS[turn % len(LINE_COLORS)],
            marker=MARKERS[turn % len(MARKERS)],
            ms=4,
            lw=1.4,
            capsize=2,
            ls="--" if dashed else "-",
            label=label.format(shown),
        )


def draw_distances(ax: Axes, rows: Mapping[str, ScoreRow], of: str) -> None:
    """Draw the distance of networks from theories over width, on two logarithmic axes.

    Args:
        ax: axes to draw on.
        rows: rows of the leaderboard, by the name of their line.
        of: the distance, in words, for the vertical axis.
    """
    for name, row in rows.items():
        ax.plot(list(row.discrepancy), list(row.discrepancy.values()), "o-", label=name)
    ax.set_xscale("log")
    ax.set_yscale("log")
    label_axes(ax, "width N", of)


def label_axes(ax: Axes, x: str, y: str, *, log: bool = False, font: float = 8.0) -> None:
    """Name both axes, and show a legend.

    Args:
        ax: axes with all lines drawn.
        x: label of the horizontal axis.
        y: label of the vertical axis.
        log: whether the horizontal axis is logarithmic.
        font: font size of the legend, in points.
    """
    if log:
        ax.set_xscale("log")
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=font, frameon=False)
