"""The overview: every experiment and theory at one glance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from harness.report.style import (
    INK,
    SMALL,
    VERDICTS,
    finish,
    label,
    new_axes,
    percent,
    say_empty,
    styled,
    theory_styles,
)
from harness.scoring import PRIMARY
from harness.scoring.statistics import TOLERANCE

Row = dict[str, Any]


def overview(
    rows: Sequence[Row],
    ax: Axes | None = None,
    *,
    observable: str = PRIMARY,
    theories: Sequence[str] = (),
) -> Axes:
    """Draw the limit gap of every experiment and theory, with its interval and verdict.

    The axis is linear up to the tolerance and logarithmic beyond.

    Args:
        rows: leaderboard rows.
        ax: where to draw; its height should be about that of a line of text for each row and
            experiment.
        observable: which rows to take.
        theories: names that come first in every experiment, in order.
    """
    chosen = [row for row in rows if row["observable"] == observable]
    groups: dict[str, list[Row]] = {}
    for row in chosen:
        groups.setdefault(row["experiment"], []).append(row)
    place = {
        name: i
        for i, name in enumerate(theory_styles([*theories, *sorted(map(theory_of, chosen))]))
    }
    with styled():
        lines = len(chosen) + 1.15 * len(groups)
        ax = ax or new_axes((4.5, 0.9 + 0.205 * lines if chosen else 1.2))
        if not chosen:
            return say_empty(ax, "nothing to compare yet")
        ends = [row["limit_gap_ci"][1] for row in chosen if row["limit_gap_ci"]]
        right = 1.25 * max(2 * TOLERANCE, *ends, *(row["limit_gap"] for row in chosen))
        y, ticks = 0.0, []
        heads = []
        for experiment, members in groups.items():
            heads.append((y, label(experiment, 50)))
            _shade(ax, y + 0.55, len(members), right)
            for row in sorted(members, key=lambda r: place[r["theory"]]):
                y += 1
                ticks.append((y, label(row["theory"], 30)))
                _draw_gap(ax, row, y)
            y += 1.15
        ax.set_ylim(y - 0.45, -0.6)
        ax.set_yticks([tick for tick, _ in ticks], [name for _, name in ticks])
        _write_heads(ax, heads)
        ax.set_xscale("symlog", linthresh=TOLERANCE, linscale=0.8)
        ax.set_xlim(0, right)
        _label_gaps(ax, right)
        ax.set_xlabel("gap between networks at infinite width and theory", loc="left")
        finish(ax)
        ax.grid(visible=False)
        ax.tick_params(axis="y", length=0, pad=8)
        ax.spines["left"].set_visible(False)
        ax.text(
            TOLERANCE,
            1.0,
            f"tolerance {percent(TOLERANCE)}",
            transform=ax.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=SMALL,
            color=VERDICTS["agrees"][0],
        )
        return ax


def theory_of(row: Row) -> str:
    """Return the theory that a row scores."""
    name: str = row["theory"]
    return name


def _label_gaps(ax: Axes, right: float) -> None:
    decades = [10.0**k for k in range(12)]
    if right > 3:  # the further the axis reaches, the fewer labels find room
        rounds = [0, 0.05, 0.2, *decades]
    elif right > 0.4:
        rounds = [0, 0.02, 0.05, 0.1, 0.2, *(decades if right > 0.9 else [0.5])]
    else:
        rounds = [0, 0.01, 0.02, 0.05, 0.1, 0.2]
    ax.xaxis.set_major_locator(FixedLocator([t for t in rounds if t <= right]))
    ax.xaxis.set_major_formatter(FuncFormatter(percent))
    ax.xaxis.set_minor_locator(NullLocator())


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
        ).set_in_layout(False)  # a long name must not squeeze the axes


def _shade(ax: Axes, top: float, count: int, right: float) -> None:
    """Shade the rows of an experiment, and more of them where theory and networks agree."""
    ax.add_patch(Rectangle((0, top), right, count, facecolor="#f5f5f5", lw=0, zorder=0))
    ax.add_patch(Rectangle((0, top), TOLERANCE, count, facecolor="#d8efe6", lw=0, zorder=0))
    ax.plot([TOLERANCE] * 2, [top, top + count], color=VERDICTS["agrees"][0], lw=1.1, zorder=1)


def _draw_gap(ax: Axes, row: Row, y: float) -> None:
    color, marker = VERDICTS[row["verdict"]]
    if row["limit_gap_ci"]:
        ax.plot(row["limit_gap_ci"], [y, y], color=color, lw=2.2, solid_capstyle="butt", zorder=2)
    ax.plot(
        [row["limit_gap"]],
        [y],
        marker,
        color=color,
        ms=8,
        mew=0.8,
        mec="white",
        clip_on=False,
        zorder=3,
    )
    ax.annotate(
        row["verdict"],
        (1.0, y),
        xycoords=ax.get_yaxis_transform(),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=SMALL,
        color=color,
    )
