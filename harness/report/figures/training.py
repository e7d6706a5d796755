"""Curves of losses and other numbers over the stages of training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullLocator

from harness.report.figures import data
from harness.report.figures.style import (
    FONT,
    INK,
    MUTED,
    STDERRS,
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
"""A curve whose values span more than this factor gets a logarithmic axis."""

SEED_BAND = (0.16, 0.84)
"""Quantiles over seeds at the edges of a band."""

NAMES = {
    "loss/test": "test loss",
    "loss/train": "training loss",
    "accuracy/test": "test accuracy",
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
        experiment: experiment to draw.
        ax: where to draw.
        observable: a number recorded over training, such as ``loss/train``.
        stages: indices of the stages to draw, all by default; ``stages=[1]`` with
            ``probe/source-loss`` shows the forgetting of the source on the target.
        theories: names that get the first styles, in order; the experiment's own follow. Give the
            same to all figures for the same styles.
    """
    with styled():
        ax = ax or new_axes()
        networks = data.network_curves(experiment, observable)
        predicted = data.theory_curves(experiment, observable)
        names = data.stage_names(experiment)
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
        ax.set_ylabel(_name(observable))
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


def _name(observable: str) -> str:
    """Return the words for an observable on an axis."""
    task = observable.removeprefix("probe/").removesuffix("-loss")
    if observable == f"probe/{task}-loss":
        return label(f"{task} loss")
    return NAMES.get(observable, label(observable))


def _stage_starts(*frames: pd.DataFrame) -> tuple[dict[int, float], float]:
    """Return the start of every stage, stages laid one after the other, and the end of the last."""
    joined = pd.concat([frame[["stage", "step"]] for frame in frames if not frame.empty])
    lengths = joined.groupby("stage")["step"].max()
    ends = np.cumsum(lengths.to_numpy(dtype=float))
    stages = [int(stage) for stage in lengths.index]
    return dict(zip(stages, [0.0, *ends[:-1].tolist()], strict=True)), float(ends[-1])


def _draw_networks(ax: Axes, networks: pd.DataFrame, starts: dict[int, float]) -> dict[int, Any]:
    """Draw mean and band of every width; return the legend handle of each."""
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
    """Draw every theory with its standard error; return the legend handle of each."""
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
