"""Limit gaps and verdicts of every experiment and theory at one glance."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from harness.report.figures.style import (
    AGREEMENT,
    INK,
    SMALL,
    VERDICTS,
    finish,
    give_values,
    label,
    percent_label,
    roomy_axes,
    say_empty,
    scale_gaps,
    styled,
    theory_styles,
)
from harness.report.wording import gap_in_words
from harness.scoring import PRIMARY
from harness.scoring.row import ScoreRow
from harness.scoring.statistics import TOLERANCE

_KIND = re.compile(r"(?<=[\[,])(?:task|architecture|regime)\.(?=\w+=)")
"""Kind prefix of a swept parameter, which the overview has no room for."""

GOLDEN = 0.6180339887498949


def overview(
    rows: Sequence[ScoreRow],
    ax: Axes | None = None,
    *,
    observable: str = PRIMARY,
    theories: Sequence[str] = (),
) -> Axes:
    """Draw the limit gap of every experiment and theory, with its interval and verdict.

    The axis is linear up to the tolerance and logarithmic beyond.

    Args:
        rows: leaderboard rows.
        ax: where to draw; its height should be about one line of text for each row and experiment.
        observable: observable of the rows to draw.
        theories: names that come first in every experiment, in order.
    """
    chosen = [row for row in rows if row.observable == observable]
    groups: dict[str, list[ScoreRow]] = {}
    for row in chosen:
        groups.setdefault(row.experiment, []).append(row)
    place = {
        name: i
        for i, name in enumerate(theory_styles([*theories, *sorted(row.theory for row in chosen)]))
    }
    with styled():
        lines = len(chosen) + 1.15 * len(groups)
        ax = ax or roomy_axes((4.5, 0.9 + 0.205 * lines if chosen else 1.2))
        if not chosen:
            return say_empty(ax, "nothing to compare yet")
        ends = [row.limit_gap_ci[1] for row in chosen if row.limit_gap_ci]
        right = 1.25 * max(2 * TOLERANCE, *ends, *(row.limit_gap for row in chosen))
        y, ticks = 0.0, []
        heads = []
        for experiment, members in groups.items():
            heads.append((y, label(_KIND.sub("", experiment), 50)))
            _shade(ax, y + 0.55, len(members), right)
            for row in sorted(members, key=lambda r: place[r.theory]):
                y += 1
                ticks.append((y, label(row.theory, 30)))
                _draw_gap(ax, row, y)
            y += 1.15
        ax.set_ylim(y - 0.45, -0.6)
        ax.set_yticks([tick for tick, _ in ticks], [name for _, name in ticks])
        _write_heads(ax, heads)
        scale_gaps(ax, "x", right)
        ax.set_xlabel("gap between networks at infinite width and theory", loc="left")
        finish(ax)
        ax.grid(visible=False)
        ax.tick_params(axis="y", length=0, pad=8)
        ax.spines["left"].set_visible(False)
        ax.text(
            TOLERANCE,
            1.0,
            f"tolerance {percent_label(TOLERANCE)}",
            transform=ax.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=SMALL,
            color=VERDICTS["agrees"][0],
        )
        return ax


def gap_distribution(
    rows: Sequence[ScoreRow],
    ax: Axes | None = None,
    *,
    observable: str = PRIMARY,
    theories: Sequence[str] = (),
) -> Axes:
    """Draw the limit gaps of every theory over many experiments, one point for each.

    It serves folders with more experiments than `overview` can show. Symbols mark verdicts.

    Args:
        rows: leaderboard rows.
        ax: where to draw.
        observable: observable of the rows to draw.
        theories: names that come first, in order.
    """
    chosen = [row for row in rows if row.observable == observable]
    names = list(dict.fromkeys([*theories, *sorted(row.theory for row in chosen)]))
    present = [name for name in names if any(row.theory == name for row in chosen)]
    with styled():
        ax = ax or roomy_axes((4.5, 1.2 + 0.75 * len(present)))
        if not chosen:
            return say_empty(ax, "nothing to compare yet")
        right = 1.25 * max(2 * TOLERANCE, *(row.limit_gap for row in chosen))
        scale_gaps(ax, "x", right)
        ax.axvspan(0, TOLERANCE, color=AGREEMENT, lw=0, zorder=0)
        ax.axvline(TOLERANCE, color=VERDICTS["agrees"][0], lw=1.1, zorder=1)
        handles = []
        for verdict, (color, marker) in VERDICTS.items():
            mine = [(i, row) for i, row in enumerate(chosen) if row.verdict == verdict]
            gaps = [row.limit_gap for _, row in mine]
            # the golden ratio spreads points evenly, in the same way in every report
            lines = [present.index(row.theory) + 0.6 * (i * GOLDEN % 1 - 0.5) for i, row in mine]
            look: Any = {"color": color, "ms": 4.5, "mew": 0, "alpha": 0.6, "clip_on": False}
            handles += ax.plot(gaps, lines, marker, **look)
            give_values(handles[-1], (f"{row.experiment}: {gap_in_words(row)}" for _, row in mine))
        ax.set_ylim(len(present) - 0.5, -0.5)
        ax.set_yticks(range(len(present)), [label(name, 30) for name in present])
        ax.set_xlabel("gap between the networks' limit and theory", loc="left")
        finish(ax)
        ax.legend(
            handles,
            list(VERDICTS),
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=3,
            frameon=False,
        )
        return ax


def _write_heads(ax: Axes, heads: Sequence[tuple[float, str]]) -> None:
    """Write experiments' names above their rows, from where the longest row label starts."""
    longest = max(ax.get_yticklabels(), key=lambda text: len(text.get_text()))
    for y, text in heads:
        ax.annotate(
            text,
            (0.0, y),
            xycoords=(longest, "data"),
            va="center",
            fontsize=SMALL,
            weight="bold",
            color=INK,
        ).set_in_layout(False)  # a long name must not shrink the axes


def _shade(ax: Axes, top: float, count: int, right: float) -> None:
    """Shade the rows of an experiment, and the field in which theory and networks agree."""
    ax.add_patch(Rectangle((0, top), right, count, facecolor="#f5f5f5", lw=0, zorder=0))
    ax.add_patch(Rectangle((0, top), TOLERANCE, count, facecolor=AGREEMENT, lw=0, zorder=0))
    ax.plot([TOLERANCE] * 2, [top, top + count], color=VERDICTS["agrees"][0], lw=1.1, zorder=1)


def _draw_gap(ax: Axes, row: ScoreRow, y: float) -> None:
    color, marker = VERDICTS[row.verdict]
    if row.limit_gap_ci:
        ax.plot(row.limit_gap_ci, [y, y], color=color, lw=2.2, solid_capstyle="butt", zorder=2)
    (point,) = ax.plot(
        [row.limit_gap],
        [y],
        marker,
        color=color,
        ms=8,
        mew=0.8,
        mec="white",
        clip_on=False,
        zorder=3,
    )
    give_values(point, [f"{row.experiment}: {gap_in_words(row)}"])
    ax.annotate(
        row.verdict,
        (1.0, y),
        xycoords=ax.get_yaxis_transform(),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=SMALL,
        color=color,
    )
