"""Figures of an experiment: curves over training, and predictions on the test points.

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
from matplotlib.ticker import FuncFormatter, NullLocator

from harness.report import readings
from harness.report.style import (
    FONT,
    INK,
    MUTED,
    TheoryStyle,
    finish,
    label,
    legends_below,
    new_axes,
    plain_number,
    say_empty,
    styled,
    theory_styles,
    width_colors,
)
from harness.store import ExperimentResults

LOG_RATIO = 20.0
"""A curve whose values span more than this factor is drawn on a logarithmic axis."""

SEED_BAND = (0.16, 0.84)
"""Quantiles over seeds between which a band is drawn."""

STDERRS = 2.0
"""Standard errors that bands and bars of means and theories extend to either side."""

NAMES = {
    "loss/test": "test loss",
    "loss/train": "training loss",
    "probe/source-loss": "source loss",
    "kernel/alignment": "kernel alignment",
}


def loss_curves(
    experiment: ExperimentResults,
    ax: Axes | None = None,
    *,
    observable: str = "loss/test",
    stages: Sequence[int] | None = None,
    theories: Sequence[str] = (),
) -> Axes:
    """Draw a curve over the stages of training, for every width and every theory.

    Networks are means over seeds, with a band that holds two thirds of them; theories carry a
    band of two standard errors.

    Args:
        experiment: what was run.
        ax: where to draw.
        observable: a number recorded over training, such as ``loss/train``.
        stages: indices of the stages to draw, all by default; ``stages=[1]`` with
            ``probe/source-loss`` shows how much of the source is forgotten on the target.
        theories: names that get the first styles, in order; the experiment's own follow. Give the
            same to all figures for the same styles.
    """
    with styled():
        ax = ax or new_axes()
        networks = readings.network_curves(experiment, observable)
        predicted = readings.theory_curves(experiment, observable)
        names = readings.stage_names(experiment)
        if stages is not None:
            networks, predicted = (f[f["stage"].isin(stages)] for f in (networks, predicted))
        if networks.empty and predicted.empty:
            return say_empty(ax, "no finished cell recorded this")
        starts, end = _stage_starts(networks, predicted)
        styles = theory_styles([*theories, *sorted(experiment.theories())])
        drawn_widths = _draw_networks(ax, networks, starts)
        drawn_theories = _draw_theories(ax, predicted, starts, styles)
        _mark_stages(ax, names, starts, end)
        values = pd.concat([networks["value"], predicted["value"]]).astype(float)
        if (values > 0).all() and values.max() > LOG_RATIO * values.min():
            ax.set_yscale("log")
            ax.yaxis.set_minor_locator(NullLocator())
            ax.yaxis.set_major_formatter(FuncFormatter(plain_number))
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


def predictions(
    experiment: ExperimentResults,
    ax: Axes | None = None,
    *,
    theories: Sequence[str] = (),
) -> Axes:
    """Draw the widest networks' mean output against every theory's, for every test point.

    At the end of training. Bars are two standard errors, of the mean over seeds and of the
    theory; a theory whose points lie on the diagonal predicts the networks.

    Args:
        experiment: what was run.
        ax: where to draw.
        theories: see `loss_curves`; the first is drawn above the others.
    """
    with styled():
        ax = ax or new_axes()
        styles = theory_styles([*theories, *sorted(experiment.theories())])
        found = {name: readings.predictions(experiment, name) for name in styles}
        pairs = {name: pair for name, pair in found.items() if pair is not None}
        if not pairs:
            return say_empty(ax, "no theory and networks to compare")
        everything = np.concatenate([v for p in pairs.values() for v in (p.theory, p.network)])
        margin = 0.06 * float(np.ptp(everything)) or 1.0
        low, high = float(everything.min()) - margin, float(everything.max()) + margin
        ax.plot([low, high], [low, high], color="#9a9a9a", lw=1.0, zorder=1)
        handles = [
            _draw_pairs(ax, pair, styles[name], 10 - place)
            for place, (name, pair) in enumerate(pairs.items())
        ]
        ax.set_xlim(low, high)
        ax.set_ylim(low, high)
        ax.set_xlabel("output predicted by theory")
        ax.set_ylabel(f"output, networks of N = {next(iter(pairs.values())).width}")
        finish(ax)
        legends_below(ax, [(handles, [label(name, 40) for name in pairs])])
        return ax


def _draw_pairs(ax: Axes, pair: readings.Predictions, style: TheoryStyle, order: int) -> Any:
    """Draw one theory's outputs against the networks'; return its legend handle."""
    x, y = pair.theory, pair.network
    for error, along_x in ((pair.theory_stderr, True), (pair.network_stderr, False)):
        if error is not None:
            ends = [(x, y - STDERRS * error), (x, y + STDERRS * error)]
            if along_x:
                ends = [(x - STDERRS * error, y), (x + STDERRS * error, y)]
            # all bars in one path, with gaps between them: a tenth of the size of one path each
            gaps = np.full_like(x, np.nan)
            bars = [
                np.stack([low, high, gaps], axis=1).ravel() for low, high in zip(*ends, strict=True)
            ]
            ax.plot(*bars, color=style.color, lw=0.7, alpha=0.5, zorder=order)
    (handle,) = ax.plot(
        x, y, style.marker, ms=3.5, mew=0, color=style.color, alpha=0.65, zorder=order
    )
    return handle


def _stage_starts(*frames: pd.DataFrame) -> tuple[dict[int, float], float]:
    """Return where every stage starts, stages laid one after the other, and where the last ends."""
    joined = pd.concat([frame[["stage", "step"]] for frame in frames if not frame.empty])
    lengths = joined.groupby("stage")["step"].max()
    ends = np.cumsum(lengths.to_numpy(dtype=float))
    stages = [int(stage) for stage in lengths.index]
    return dict(zip(stages, [0.0, *ends[:-1].tolist()], strict=True)), float(ends[-1])


def _draw_networks(ax: Axes, networks: pd.DataFrame, starts: dict[int, float]) -> dict[int, Any]:
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
    ax: Axes, predicted: pd.DataFrame, starts: dict[int, float], styles: dict[str, TheoryStyle]
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


def _mark_stages(ax: Axes, names: Sequence[str], starts: dict[int, float], end: float) -> None:
    """Write the name of every stage above its span, and draw a line where the next starts."""
    spans = zip(starts.items(), [*list(starts.values())[1:], end], strict=True)
    for (stage, left), right in spans:
        if left > 0:
            ax.axvline(left, color=MUTED, lw=1.0, zorder=1)
        ax.annotate(
            names[stage],
            ((left + right) / 2, 1.0),
            xycoords=ax.get_xaxis_transform(),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=FONT,
            color=INK,
        )
