"""Figures of an experiment: loss curves, convergence in width, predictions, and the overview.

Every function draws on the axes it is given, or on a figure of its own, and returns the axes.
Nothing is kept in pyplot, so nothing leaks; in a notebook, ``ax.figure`` shows the figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from harness.report import readings
from harness.report.overview import Row, overview, theory_of
from harness.report.sentences import decimal
from harness.report.style import (
    FONT,
    INK,
    MUTED,
    VERDICTS,
    TheoryStyle,
    finish,
    label,
    legends_below,
    new_axes,
    percent,
    say_empty,
    styled,
    theory_styles,
    width_colors,
)
from harness.scoring import PRIMARY
from harness.scoring.statistics import TOLERANCE
from harness.store import ExperimentResults

__all__ = ["convergence", "loss_curves", "overview", "predictions"]

LOG_RATIO = 20.0
"""A curve whose values span more than this factor is drawn on a logarithmic axis."""

SEED_BAND = (0.16, 0.84)
"""Quantiles over seeds between which a band is drawn."""

STDERRS = 2.0
"""Standard errors that bands and bars of means and theories extend to either side."""

NAMES = {
    "loss/test": "test loss",
    "loss/train": "training loss",
    "probe/source-loss": "source loss of a probe",
    "kernel/alignment": "kernel alignment",
}


def loss_curves(
    experiment: ExperimentResults,
    ax: Axes | None = None,
    *,
    observable: str = "loss/test",
    theories: Sequence[str] = (),
) -> Axes:
    """Draw a curve over the stages of training, for every width and every theory.

    Networks are means over seeds, with a band that holds two thirds of them; theories carry a
    band of two standard errors.

    Args:
        experiment: what was run.
        ax: where to draw.
        observable: a number recorded over training, such as ``loss/train``.
        theories: names that get the first styles, in order; the experiment's own follow. Give the
            same to all figures for the same styles.
    """
    with styled():
        ax = ax or new_axes()
        networks = readings.network_curves(experiment, observable)
        predicted = readings.theory_curves(experiment, observable)
        if networks.empty and predicted.empty:
            return say_empty(ax, "no finished cell recorded this")
        starts, end = _stage_starts(networks, predicted)
        styles = theory_styles([*theories, *sorted(experiment.theories())])
        drawn_widths = _draw_networks(ax, networks, starts)
        drawn_theories = _draw_theories(ax, predicted, starts, styles)
        _mark_stages(ax, readings.stage_names(experiment), starts, end)
        values = pd.concat([networks["value"], predicted["value"]]).astype(float)
        if (values > 0).all() and values.max() > LOG_RATIO * values.min():
            ax.set_yscale("log")
        ax.set_xlim(0, max(end, 1))
        ax.set_xlabel("training step")
        ax.set_ylabel(NAMES.get(observable, label(observable)))
        finish(ax)
        widths = [f"N = {width}" for width in drawn_widths]
        legends_below(
            ax,
            [
                (list(drawn_theories.values()), [label(name, 40) for name in drawn_theories]),
                (list(drawn_widths.values()), widths),
            ],
        )
        return ax


def convergence(
    rows: Sequence[Row],
    ax: Axes | None = None,
    *,
    observable: str = PRIMARY,
    theories: Sequence[str] = (),
) -> Axes:
    """Draw how far a single network is from each theory as width grows, on logarithmic axes.

    Args:
        rows: leaderboard rows of one experiment.
        ax: where to draw.
        observable: which rows to take.
        theories: see `loss_curves`.
    """
    with styled():
        ax = ax or new_axes()
        chosen = [row for row in rows if row["observable"] == observable]
        if not any(d > 0 for row in chosen for d in row["discrepancy"].values()):
            return say_empty(ax, "no theory and networks to compare")
        styles = theory_styles([*theories, *sorted(map(theory_of, chosen))])
        chosen.sort(key=lambda row: list(styles).index(row["theory"]))
        distances = [d for row in chosen for d in row["discrepancy"].values() if d > 0]
        bottom = min(*distances, TOLERANCE) / 1.8
        top = max(TOLERANCE, *(hi for r in chosen for _, hi in r["discrepancy_ci"].values())) * 1.5
        handles = [_draw_distances(ax, row, styles[row["theory"]], bottom) for row in chosen]
        widths = np.array(sorted({width for row in chosen for width in row["widths"]}), dtype=float)
        nearest = min(d for row in chosen for d in list(row["discrepancy"].values())[:1])
        guide = max(1.35 * nearest, bottom) * np.sqrt(widths[0] / widths)
        (slope,) = ax.plot(widths, guide, color="#9a9a9a", lw=1.0, zorder=1)
        line = ax.axhline(TOLERANCE, color=VERDICTS["agrees"][0], lw=1.2, ls=(0, (4, 3)), zorder=1)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_ylim(bottom, top)
        ax.set_xlim(widths[0] / 1.25, widths[-1] * 1.25)
        _label_widths(ax, widths)
        _label_percents(ax, top / bottom)
        ax.set_xlabel("width N")
        ax.set_ylabel("distance from theory")
        finish(ax)
        names = [label(row["theory"], 30) + _exponent(row) for row in chosen]
        guides = ([slope, line], ["exponent 0.5 (1/√N)", f"tolerance {percent(TOLERANCE)}"])
        legends_below(ax, [(handles, names), guides])
        return ax


def predictions(
    experiment: ExperimentResults,
    theory: str,
    ax: Axes | None = None,
    *,
    theories: Sequence[str] = (),
) -> Axes:
    """Draw the widest networks' mean output against a theory's, for every test point.

    Bars are two standard errors, of the mean over seeds and of the theory.

    Args:
        experiment: what was run.
        theory: name of the theory.
        ax: where to draw.
        theories: see `loss_curves`.
    """
    with styled():
        ax = ax or new_axes()
        found = readings.predictions(experiment, theory)
        if found is None:
            return say_empty(ax, "no theory and networks to compare")
        style = theory_styles([*theories, *sorted(experiment.theories())])[theory]
        x_bars = None if found.theory_stderr is None else STDERRS * found.theory_stderr
        y_bars = None if found.network_stderr is None else STDERRS * found.network_stderr
        both = np.concatenate([found.theory, found.network])
        margin = 0.06 * float(np.ptp(both)) or 1.0
        low, high = float(both.min()) - margin, float(both.max()) + margin
        ax.plot([low, high], [low, high], color="#9a9a9a", lw=1.0, zorder=1)
        ax.errorbar(
            found.theory,
            found.network,
            xerr=x_bars,
            yerr=y_bars,
            fmt="o",
            ms=3.5,
            color=style.color,
            ecolor=style.color,
            elinewidth=0.8,
            alpha=0.65,
            mew=0,
        )
        ax.set_xlim(low, high)
        ax.set_ylim(low, high)
        ax.set_aspect("equal", adjustable="box")
        ax.set_xlabel(f"output, {label(theory, 30)}")
        ax.set_ylabel(f"output, networks of N = {found.width}")
        finish(ax)
        return ax


def _exponent(row: Row) -> str:
    return "" if row["exponent"] is None else f", exponent {decimal(row['exponent'])}"


def _stage_starts(*frames: pd.DataFrame) -> tuple[list[float], float]:
    """Return the step at which every stage starts, stages laid one after the other, and the end."""
    joined = pd.concat([frame[["stage", "step"]] for frame in frames if not frame.empty])
    lengths = joined.groupby("stage")["step"].max()
    count = int(joined["stage"].max()) + 1
    ends = np.cumsum([float(lengths.get(stage, 0)) for stage in range(count)])
    return [0.0, *ends[:-1].tolist()], float(ends[-1])


def _draw_networks(ax: Axes, networks: pd.DataFrame, starts: list[float]) -> dict[int, Any]:
    """Draw mean and band of every width; return what stands for each in a legend."""
    handles = {}
    colors = width_colors([int(n) for n in networks["width"].unique()])
    for width, color in colors.items():
        mine = networks[networks["width"] == width]
        for stage, part in mine.groupby("stage"):
            values = part.groupby("step")["value"]
            mean = values.mean()
            x = mean.index.to_numpy() + starts[int(str(stage))]
            low, high = (values.quantile(q) for q in SEED_BAND)
            ax.fill_between(x, low, high, color=color, alpha=0.18, lw=0)
            ax.plot(x, mean, color=color, lw=1.6)
        handles[width] = (Patch(color=color, alpha=0.25, lw=0), Line2D([], [], color=color, lw=1.6))
    return handles


def _draw_theories(
    ax: Axes, predicted: pd.DataFrame, starts: list[float], styles: dict[str, TheoryStyle]
) -> dict[str, Any]:
    """Draw every theory with its standard error; return what stands for each in a legend."""
    handles: dict[str, Any] = {}
    for theory, style in styles.items():
        mine = predicted[predicted["theory"] == theory]
        if mine.empty:
            continue
        line: Any = {"color": style.color, "ls": style.dashes, "lw": 1.7}
        for stage, part in mine.groupby("stage"):
            x = part["step"].to_numpy() + starts[int(str(stage))]
            value, error = part["value"].to_numpy(), STDERRS * part["stderr"].to_numpy()
            if np.isfinite(error).all():
                lower = np.where(value > error, value - error, value)
                ax.fill_between(x, lower, value + error, color=style.color, alpha=0.2, lw=0)
            ax.plot(x, value, **line, zorder=3)
        handles[theory] = Line2D([], [], **line)
    return handles


def _mark_stages(ax: Axes, names: Sequence[str], starts: list[float], end: float) -> None:
    """Write the name of every stage above its span, and draw a line where the next starts."""
    for start in starts[1:]:
        ax.axvline(start, color=MUTED, lw=1.0, zorder=1)
    for name, left, right in zip(names, starts, [*starts[1:], end], strict=False):
        ax.annotate(
            name,
            ((left + right) / 2, 1.0),
            xycoords=ax.get_xaxis_transform(),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=FONT,
            color=INK,
        )


def _draw_distances(ax: Axes, row: Row, style: TheoryStyle, bottom: float) -> Any:
    """Draw a theory's distances, their intervals and their trend; return its legend handle."""
    widths = np.array(row["widths"], dtype=float)
    value = np.array([row["discrepancy"][str(n)] for n in row["widths"]])
    interval = np.array([row["discrepancy_ci"][str(n)] for n in row["widths"]])
    value_shown = np.maximum(value, bottom)
    bars = np.abs(np.clip(interval, bottom, None).T - value_shown)
    seen = value > 0
    handle = ax.errorbar(
        widths[seen],
        value_shown[seen],
        yerr=bars[:, seen],
        fmt=style.marker,
        color=style.color,
        ms=5,
        elinewidth=1.2,
        capsize=2.5,
        zorder=3,
    )
    if row["exponent"] is not None and seen.all():
        x = np.log(widths)
        fit = np.exp(np.log(value).mean() - row["exponent"] * (x - x.mean()))
        ax.plot(widths, fit, color=style.color, ls=style.dashes, lw=1.3, zorder=2)
    return handle


def _label_widths(ax: Axes, widths: Any) -> None:
    """Tick the widths there are, or at most eight of them."""
    shown = widths[:: -(-len(widths) // 8)]
    ax.xaxis.set_major_locator(FixedLocator(list(shown)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:.0f}"))
    ax.xaxis.set_minor_locator(NullLocator())


def _label_percents(ax: Axes, ratio: float) -> None:
    """Tick round percentages, the fewer the more decades there are."""
    subs = (1.0, 2.0, 5.0) if ratio < 300 else (1.0,)
    ax.yaxis.set_major_locator(LogLocator(subs=subs))
    ax.yaxis.set_major_formatter(FuncFormatter(percent))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_minor_locator(NullLocator())
