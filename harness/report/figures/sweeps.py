"""Sweeps: experiments of a suite that differ in swept parameters, and figures over these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator
from matplotlib.transforms import offset_copy

from harness.report.figures.style import (
    AGREEMENT,
    FONT,
    INK,
    SMALL,
    VERDICTS,
    finish,
    label,
    legends_below,
    new_axes,
    percent_label,
    plain_number,
    roomy_axes,
    say_empty,
    scale_gaps,
    styled,
    theory_styles,
)
from harness.report.wording import VERDICT_MARKS, value_in_words
from harness.scoring import PRIMARY
from harness.scoring.row import ScoreRow
from harness.scoring.statistics import TOLERANCE
from harness.store import ExperimentResults
from harness.suites.names import swept_parameters, swept_values

_LOG_RATIO = 8.0
"""Positive values that span more than this factor get a logarithmic axis."""


@dataclass(frozen=True)
class Sweep:
    """Experiments that differ in nothing but swept parameters.

    Attributes:
        name: of the experiment that is swept.
        parameters: dotted names of the swept parameters, as in the suite.
        values: for every parameter its values, sorted where they are numbers.
        points: values of the parameters by name of experiment.
    """

    name: str
    parameters: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]
    points: dict[str, tuple[Any, ...]]


def find_sweeps(experiments: Sequence[ExperimentResults]) -> list[Sweep]:
    """Return the sweeps among experiments, of two points or more, in order.

    An experiment ``name[regime.x=1]`` is a point of the sweep ``name``; values are read from its
    cells, not from its name. Experiments without cells are left out.
    """
    groups: dict[tuple[str, tuple[str, ...]], dict[str, tuple[Any, ...]]] = {}
    for experiment in experiments:
        if not experiment.records:
            continue
        if values := swept_values(experiment.name, experiment.records[0].facts):
            base, parameters = swept_parameters(experiment.name)
            groups.setdefault((base, parameters), {})[experiment.name] = tuple(values.values())
    return [
        Sweep(base, parameters, tuple(map(_distinct, zip(*points.values(), strict=True))), points)
        for (base, parameters), points in groups.items()
        if len(points) > 1
    ]


def sweep_curve(
    rows: Sequence[ScoreRow],
    sweep: Sweep,
    ax: Axes | None = None,
    *,
    observable: str = PRIMARY,
    theories: Sequence[str] = (),
) -> Axes:
    """Draw the limit gap of every theory over a swept parameter, with intervals and verdicts.

    The symbol shows the verdict: circle for agrees, cross for disagrees, diamond for undecided.

    Args:
        rows: leaderboard rows.
        sweep: over one parameter.
        ax: where to draw.
        observable: observable of the rows to draw.
        theories: see `harness.report.loss_curves`.
    """
    with styled():
        ax = ax or new_axes()
        chosen = _of(rows, sweep, observable)
        if not chosen:
            return say_empty(ax, "nothing to compare yet")
        (values,) = sweep.values
        styles = theory_styles([*theories, *sorted(row.theory for row in chosen)])
        place = _places(ax, values)
        handles, names = [], []
        scored = {row.theory for row in chosen}
        for turn, theory in enumerate(name for name in styles if name in scored):
            style = styles[theory]
            # side by side, so that theories that agree do not hide each other
            aside = offset_copy(
                ax.transData,
                fig=ax.get_figure(root=True),
                x=5.0 * (turn - (len(scored) - 1) / 2),
                units="points",
            )
            mine = [r for r in chosen if r.theory == theory]
            mine.sort(key=lambda r: place[_key(sweep.points[r.experiment][0])])
            x = [place[_key(sweep.points[r.experiment][0])] for r in mine]
            line: Any = {"color": style.color, "ls": style.dashes, "lw": 1.5}
            ax.plot(x, [r.limit_gap for r in mine], **line, transform=aside, zorder=2)
            for at, row in zip(x, mine, strict=True):
                if row.limit_gap_ci:
                    bar: Any = {"color": style.color, "lw": 2.0, "transform": aside}
                    ax.plot([at, at], row.limit_gap_ci, **bar, zorder=2)
                marker = VERDICTS[row.verdict][1]
                ax.plot(
                    [at],
                    [row.limit_gap],
                    marker,
                    color=style.color,
                    ms=7,
                    mec="white",
                    mew=0.8,
                    clip_on=False,
                    transform=aside,
                    zorder=3,
                )
            handles.append(Line2D([], [], **line))
            names.append(label(theory, 40))
        ends = [r.limit_gap_ci[1] for r in chosen if r.limit_gap_ci]
        top = 1.25 * max(2 * TOLERANCE, *ends, *(r.limit_gap for r in chosen))
        scale_gaps(ax, "y", top)
        ax.axhspan(0, TOLERANCE, color=AGREEMENT, lw=0, zorder=0)
        ax.axhline(TOLERANCE, color=VERDICTS["agrees"][0], lw=1.1, zorder=1)
        ax.set_xlabel(label(sweep.parameters[0], 40))
        ax.set_ylabel("limit gap")
        finish(ax)
        marks = [Line2D([], [], ls="", marker=m, color=INK, ms=6) for _, m in VERDICTS.values()]
        legends_below(ax, [(handles, names), (marks, list(VERDICTS))])
        return ax


def sweep_map(
    rows: Sequence[ScoreRow],
    sweep: Sweep,
    theory: str,
    ax: Axes | None = None,
    *,
    observable: str = PRIMARY,
) -> Axes:
    """Draw a theory's limit gap over two swept parameters, with the verdict in every cell.

    Args:
        rows: leaderboard rows.
        sweep: over two parameters; the first runs upwards, the second to the right.
        theory: theory of the rows to draw.
        ax: where to draw.
        observable: observable of the rows to draw.
    """
    import seaborn as sns

    with styled():
        ys, xs = sweep.values
        chosen = [r for r in _of(rows, sweep, observable) if r.theory == theory]
        ax = ax or roomy_axes((4.2, 1.1 + 0.42 * min(len(ys), 12)))
        if not chosen:
            return say_empty(ax, "nothing to compare yet")
        gaps = np.full((len(ys), len(xs)), np.nan)
        texts = np.full((len(ys), len(xs)), "", dtype=object)
        for row in chosen:
            y, x = sweep.points[row.experiment]
            at = [_key(v) for v in ys].index(_key(y)), [_key(v) for v in xs].index(_key(x))
            gaps[at] = row.limit_gap
            texts[at] = f"{VERDICT_MARKS[row.verdict]} {_short_percent(row.limit_gap, len(xs))}"
        # equal steps of colour up to the tolerance, and for every doubling beyond it
        shade = np.where(
            gaps < TOLERANCE, gaps / TOLERANCE, 1 + np.log2(np.maximum(gaps, TOLERANCE) / TOLERANCE)
        )
        sns.heatmap(
            shade,
            ax=ax,
            vmin=0,
            vmax=6,
            cmap=sns.color_palette(f"blend:{AGREEMENT},#f6e7c9,#f0a066", 24),
            cbar=False,
            annot=texts,
            fmt="",
            annot_kws={"fontsize": SMALL if len(xs) <= 6 else SMALL - 2, "color": INK},
            linewidths=1.0,
            linecolor="white",
            mask=np.isnan(shade),
            xticklabels=[label(value_in_words(v), 12) for v in xs],
            yticklabels=[label(value_in_words(v), 12) for v in ys],
        )
        ax.grid(visible=False)
        ax.invert_yaxis()
        ax.tick_params(labelsize=SMALL, length=0)
        ax.tick_params(axis="y", labelrotation=0)
        ax.set_xlabel(label(sweep.parameters[1], 40))
        ax.set_ylabel(label(sweep.parameters[0], 40))
        ax.set_title(label(theory, 40), fontsize=FONT, color=INK)
        return ax


def _key(value: Any) -> str:
    """Return a key that distinguishes values; lists cannot be keys."""
    return repr(value)


def _distinct(values: Sequence[Any]) -> tuple[Any, ...]:
    """Return the values without repeats, sorted if all are numbers."""
    found = list({_key(v): v for v in values}.values())
    return tuple(sorted(found) if all(_is_number(v) for v in found) else found)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _of(rows: Sequence[ScoreRow], sweep: Sweep, observable: str) -> list[ScoreRow]:
    return [r for r in rows if r.experiment in sweep.points and r.observable == observable]


def _places(ax: Axes, values: Sequence[Any]) -> dict[str, float]:
    """Label the x axis with the values, and return their positions: numbers to scale."""
    if not all(_is_number(v) for v in values):
        ax.set_xticks(range(len(values)), [label(value_in_words(v), 14) for v in values])
        ax.set_xlim(-0.4, len(values) - 0.6)
        return {_key(v): float(i) for i, v in enumerate(values)}
    low, high = min(values), max(values)
    if low > 0 and high > _LOG_RATIO * low:
        ax.set_xscale("log")
        ax.set_xlim(low / (high / low) ** 0.06, high * (high / low) ** 0.06)
    else:
        margin = 0.06 * (high - low) or 1.0
        ax.set_xlim(low - margin, high + margin)
    if len(values) <= 7:
        ax.xaxis.set_major_locator(FixedLocator(list(values)))
    ax.xaxis.set_major_formatter(FuncFormatter(plain_number))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    return {_key(v): float(v) for v in values}


def _short_percent(gap: float, columns: int) -> str:
    digits = 1 if columns <= 5 and gap < 0.0995 else 0
    return percent_label(round(gap, 2 + digits))
