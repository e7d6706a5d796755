"""Convergence in width: distances of networks from theories, their fit, and the limit gap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from harness.report.figures.style import (
    VERDICTS,
    TheoryStyle,
    finish,
    give_values,
    label,
    legends_below,
    new_axes,
    percent_label,
    say_empty,
    styled,
    theory_styles,
)
from harness.report.wording import decimal, gap_in_words, interval_in_words, percent
from harness.scoring import PRIMARY
from harness.scoring.gap import Interval
from harness.scoring.row import ScoreRow
from harness.scoring.statistics import TOLERANCE

CAPTION = (
    "Distance from each theory against width, relative to the theory's output, with 95\u00a0%"
    " intervals and fit; at ∞, the limit gap. Networks approach a correct theory with the slope of"
    " 1/√N, and level off from a wrong one. Distances that cannot be told from zero lie on the"
    " lower edge. Hollow: the mean of all seeds."
)
"""Text under the figure."""

SMALLEST = TOLERANCE / 20
"""Limit gap below which an interval does not extend the axis."""


def convergence(
    rows: Sequence[ScoreRow],
    ax: Axes | None = None,
    *,
    observable: str = PRIMARY,
    theories: Sequence[str] = (),
) -> Axes:
    """Draw the distance of networks from each theory over width, on logarithmic axes.

    Filled symbols are single networks, hollow ones the mean of the seeds, bars 95 % intervals.
    The line through the filled ones is the fit d^2 = floor + noise/N + bias/N^2, and the symbol at
    the right end is the limit gap. Values that are not positive lie on the lower edge.

    Args:
        rows: leaderboard rows of one experiment.
        ax: where to draw.
        observable: observable of the rows to draw.
        theories: see `harness.report.loss_curves`.
    """
    with styled():
        ax = ax or new_axes()
        chosen = [row for row in rows if row.observable == observable]
        if not any(d > 0 for row in chosen for d in row.discrepancy.values()):
            return say_empty(ax, "no theory and networks to compare")
        styles = theory_styles([*theories, *sorted(row.theory for row in chosen)])
        chosen.sort(key=lambda row: list(styles).index(row.theory))
        widths = np.array(sorted({width for row in chosen for width in row.widths}), dtype=float)
        drawn = [d for row in chosen for d in row.discrepancy.values() if d > 0]
        gaps = [max(r.limit_gap_ci[1], SMALLEST) for r in chosen if r.limit_gap_ci]
        bottom = min([*drawn, TOLERANCE, *(1.8 * gap for gap in gaps)]) / 3
        ends = [
            hi for r in chosen for _, hi in [*r.discrepancy_ci.values(), r.limit_gap_ci or (0, 0)]
        ]
        top = max(TOLERANCE, *drawn, *ends) * 1.5
        infinity = widths[-1] * max(1.6, (widths[-1] / widths[0]) ** 0.2)
        handles = []
        for place, row in enumerate(chosen):
            style = styles[row.theory]
            handles.append(_draw_distances(ax, row, style, bottom))
            aside = 1.07 ** (2 * place - len(chosen) + 1)
            _draw_limit(ax, row, style, infinity * aside, bottom)
        nearest = min(d for row in chosen for d in list(row.discrepancy.values())[:1])
        guide = max(1.6 * nearest, bottom) * np.sqrt(widths[0] / widths)
        (slope,) = ax.plot(widths, guide, color="#9a9a9a", lw=1.0, zorder=1)
        line = ax.axhline(TOLERANCE, color=VERDICTS["agrees"][0], lw=1.2, ls=(0, (4, 3)), zorder=1)
        edges = widths[0] / 1.25, infinity**2 / np.sqrt(infinity * widths[-1])
        ax.axvspan(np.sqrt(infinity * widths[-1]), edges[1], color="#f1f1f1", lw=0, zorder=0)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_ylim(bottom, top)
        ax.set_xlim(*edges)
        _label_widths(ax, widths, infinity)
        _label_percents(ax, top / bottom)
        ax.set_xlabel("width N")
        ax.set_ylabel("distance from theory")
        finish(ax)
        names = [label(row.theory, 30) + _exponent(row) for row in chosen]
        guides = ([slope, line], ["exponent 0.5 (1/√N)", f"tolerance {percent_label(TOLERANCE)}"])
        legends_below(ax, [(handles, names), guides])
        return ax


def _exponent(row: ScoreRow) -> str:
    return "" if row.exponent is None else f", exponent {decimal(row.exponent)}"


def _draw_distances(ax: Axes, row: ScoreRow, style: TheoryStyle, bottom: float) -> Any:
    """Draw a theory's distances, their intervals and their fit; return its legend handle."""
    widths = np.array(row.widths, dtype=float)
    handle = _draw_bars(ax, row.widths, row.discrepancy, row.discrepancy_ci, style, bottom)
    singles = (
        f"{row.theory}, width {n}: {percent(row.discrepancy[n])}"
        f"{interval_in_words(row.discrepancy_ci[n])}"
        for n in row.widths
    )
    give_values(handle.lines[0], singles)
    together = np.array([row.ensemble_discrepancy[n] for n in row.widths], dtype=float)
    hollow: Any = {"mfc": "white", "mec": style.color, "mew": 1.0, "ms": 4.5}
    means = ax.plot(
        widths, np.maximum(together, bottom), style.marker, **hollow, clip_on=False, zorder=2
    )
    said = (
        f"{row.theory}, width {n}, mean of the seeds: {percent(d)}"
        for n in row.widths
        if (d := row.ensemble_discrepancy[n]) is not None
    )
    give_values(means[0], said)
    grid, fit = np.geomspace(widths[0], widths[-1], 40), row.fit
    curve = np.sqrt(fit.floor + fit.noise / grid + fit.bias / grid**2)
    ax.plot(grid, np.maximum(curve, bottom), color=style.color, ls=style.dashes, lw=1.3, zorder=2)
    return handle


def _draw_bars(
    ax: Axes,
    widths: Sequence[int],
    distances: Mapping[int, float],
    intervals: Mapping[int, Interval],
    style: TheoryStyle,
    bottom: float,
) -> Any:
    """Draw distances with their intervals; values below the lower edge lie on it."""
    value = np.array([distances[n] for n in widths], dtype=float)
    interval = np.array([intervals[n] for n in widths], dtype=float)
    shown = np.maximum(value, bottom)
    handle = ax.errorbar(
        widths,
        shown,
        yerr=np.abs(np.clip(interval, bottom, None).T - shown),
        fmt=style.marker,
        color=style.color,
        ms=5,
        elinewidth=1.2,
        capsize=2.5,
        zorder=3,
    )
    handle.lines[0].set_clip_on(False)
    return handle


def _draw_limit(ax: Axes, row: ScoreRow, style: TheoryStyle, x: float, bottom: float) -> None:
    """Draw the limit gap and its interval where width is infinite."""
    gap, interval = max(row.limit_gap, bottom), row.limit_gap_ci
    if interval:
        low, high = (max(end, bottom) for end in interval)
        ax.plot([x, x], [low, high], color=style.color, lw=2.2, solid_capstyle="butt", zorder=3)
    (point,) = ax.plot([x], [gap], style.marker, color=style.color, ms=6, clip_on=False, zorder=4)
    give_values(point, [gap_in_words(row)])


def _label_widths(ax: Axes, widths: Any, infinity: float) -> None:
    """Tick all widths, or at most eight of them, and infinity."""
    shown = widths[:: -(-len(widths) // 8)]
    ax.xaxis.set_major_locator(FixedLocator([*shown, infinity]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda n, _: "∞" if n == infinity else f"{n:.0f}"))
    ax.xaxis.set_minor_locator(NullLocator())


def _label_percents(ax: Axes, ratio: float) -> None:
    """Tick round percentages, fewer for more decades."""
    subs = (1.0, 2.0, 5.0) if ratio < 300 else (1.0,)
    ax.yaxis.set_major_locator(LogLocator(subs=subs))
    ax.yaxis.set_major_formatter(FuncFormatter(percent_label))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_minor_locator(NullLocator())
