"""Figures of a site: each on a page, and as files to take away."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.report.figures.style import (
    MUTED,
    RIGHT,
    SMALL,
    TheoryStyle,
    finish,
    give_values,
    label,
    new_axes,
    reason_empty,
    say_empty,
    scale_gaps,
    styled,
    theory_styles,
)
from harness.report.figures.svg import Picture, as_file
from harness.report.parts import Absent, figure, part
from harness.report.wording import duration, percent
from harness.scoring import Ranking, Standing
from harness.scoring.ranking import WORST

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LETTER = 5.6
"""Mean width of a letter of a label, in points."""


@dataclass(frozen=True)
class Drawn:
    """A figure.

    Attributes:
        pictures: the figure on a page, or a sentence in its place; empty if there is none.
        files: as files, by path.
    """

    pictures: list[Picture] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)


def drawn(
    stem: str, key: str, name: str, whose: str, caption: str, draw: Callable[[], Axes | None]
) -> Drawn:
    """Return a figure on the page, as `figure` does, and as files.

    Args:
        stem: path of the files without their endings.
        key: unique on the page.
        name: title of the figure.
        whose: the experiment or theories that it shows.
        caption: text under it.
        draw: returns axes on their own figure.
    """
    kept: list[Axes] = []

    def draw_once() -> Axes | None:
        axes = draw()
        kept.extend([axes] if axes is not None else [])
        return axes

    pictures = figure(key, name, whose, caption, draw_once)
    if not kept or reason_empty(kept[0]):
        return Drawn(pictures)
    files = part(
        f"{name}: {whose}",
        lambda: {f"{stem}.svg": as_file(kept[0], "svg"), f"{stem}.png": as_file(kept[0], "png")},
    )
    return Drawn(pictures) if isinstance(files, Absent) else Drawn(pictures, files)


def cost_and_gap(ranking: Ranking, ax: Axes | None = None) -> Axes:
    """Draw each theory's median gap against the median time of a solution.

    Filled symbols are theories to which none is preferable, being nearer and faster where both
    apply; the line joins those that have the smallest median for their time.

    Args:
        ranking: the ranking.
        ax: where to draw.
    """
    found = [s for s in ranking.standings if ranking.observable in s.records and s.median_seconds]
    with styled():
        ax = ax or new_axes((5.4, 3.6))
        if not found:
            return say_empty(ax, "no theory has a score")
        styles = theory_styles(s.theory for s in ranking.standings)
        points = {s.theory: (float(s.median_seconds or 0), _gap(ranking, s)) for s in found}
        times = [seconds for seconds, _ in points.values()]
        ax.set_xscale("log")
        ax.set_xlim(min(times) / 2.5, max(times) * 2.5)
        scale_gaps(ax, "y", 1.6 * max(0.1, *(gap for _, gap in points.values())))
        _draw_front(ax, list(points.values()))
        for standing in found:
            _draw_theory(ax, standing, points[standing.theory], styles[standing.theory])
        ax.set_xlabel("median time of a solution (seconds)")
        ax.set_ylabel("median gap")
        finish(ax)
        _write_names(ax, points)
        return ax


def _gap(ranking: Ranking, standing: Standing) -> float:
    return min(WORST, standing.records[ranking.observable].median_gap)


def _draw_theory(ax: Axes, standing: Standing, at: tuple[float, float], style: TheoryStyle) -> None:
    filled = style.color if not standing.dominated_by else "white"
    (point,) = ax.plot(
        *[[value] for value in at],
        style.marker,
        color=style.color,
        mfc=filled,
        ms=8,
        mew=1.4,
        clip_on=False,
        zorder=3,
    )
    behind = f"; {', '.join(standing.dominated_by)} nearer and faster"
    give_values(
        point,
        [
            f"{standing.theory}: median gap {percent(at[1])}, {duration(at[0])} a solution"
            + (behind if standing.dominated_by else "")
        ],
    )


def _draw_front(ax: Axes, points: Sequence[tuple[float, float]]) -> None:
    """Draw steps through the points to which none is both faster and nearer."""
    front: list[tuple[float, float]] = []
    for seconds, gap in sorted(points):
        if not front or gap < front[-1][1]:
            front.append((seconds, gap))
    front.append((ax.get_xlim()[1], front[-1][1]))
    ax.step(*zip(*front, strict=True), where="post", color=MUTED, lw=1.1, zorder=1)


def _write_names(ax: Axes, points: dict[str, tuple[float, float]]) -> None:
    """Write names beside their points, where they meet neither points nor other names."""
    scale = 72.0 / ax.get_figure(root=True).dpi  # type: ignore[union-attr]
    places = {name: ax.transData.transform(at) * scale for name, at in points.items()}
    (left, bottom), (right, top) = ax.transAxes.transform([(0, 0), (1, 1)]) * scale
    taken = [(x - 5, x + 5, y) for x, y in places.values()]
    for name in sorted(points, key=lambda each: points[each]):
        x, y = places[name]
        text = label(name, 30)
        length = LETTER * len(text)
        found = (8, 9)
        for away, side in itertools.product((9, -9, 20, -20, 31, -31), (8, -8)):
            start = x + side if side > 0 else x + side - length
            end, height = start + length, y + away
            inside = left < start and end < right + RIGHT * 72 and bottom < height - 5 < top
            if inside and all(
                end < a or b < start or abs(height - other) > SMALL for a, b, other in taken
            ):
                taken.append((start, end, height))
                found = side, away
                break
        ax.annotate(
            text,
            points[name],
            xytext=found,
            textcoords="offset points",
            ha="left" if found[0] > 0 else "right",
            va="center",
            fontsize=SMALL,
        )
