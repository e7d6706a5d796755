"""An observable of one's own over width; the coordinate check, whose slope shows the scaling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from harness.report.figures import data
from harness.report.figures.data import CHANGE
from harness.report.figures.style import (
    STDERRS,
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

MARKERS = "os^vDP"
"""Markers of components, such as layers; a figure has at most as many."""


def over_width(
    experiment: ExperimentResults,
    ax: Axes | None = None,
    *,
    observable: str = CHANGE,
    theories: Sequence[str] = (),
) -> Axes:
    """Draw an observable at the end of training over width, a line for each of its components.

    The default is the coordinate check: components are layers, and a grey line falls as 1/sqrt(N).
    Networks are means over seeds with bars of two standard errors; a theory is a horizontal line
    for each component, in a band of two standard errors.

    Args:
        experiment: experiment to draw.
        ax: where to draw.
        observable: number or vector that is recorded at the end of a stage.
        theories: see `harness.report.loss_curves`.
    """
    with styled():
        ax = ax or new_axes()
        networks = data.ends_by_width(experiment, observable)
        if len(networks) < 2:
            return say_empty(ax, "networks of fewer than two widths recorded this")
        count = next(iter(networks.values())).shape[1]
        if count > len(MARKERS):
            return say_empty(ax, f"more than {len(MARKERS)} components")
        predicted = data.theory_ends(experiment, observable)
        widths = np.array(list(networks), dtype=float)
        means = np.array([rows.mean(axis=0) for rows in networks.values()])
        layers = _draw_networks(ax, widths, means, networks)
        handles = _draw_theories(ax, predicted, count, [*theories, *sorted(experiment.theories())])
        ax.set_xscale("log")
        groups: list[tuple[list[Any], list[str]]] = [
            (layers, _component_names(observable, count)),
            (list(handles.values()), [label(name, 40) for name in handles]),
        ]
        if (means > 0).all():
            ax.set_yscale("log")
            if observable == CHANGE:
                guide = 0.8 * means[0].min() * np.sqrt(widths[0] / widths)
                (slope,) = ax.plot(widths, guide, color="#9a9a9a", lw=1.0, zorder=1)
                groups.append(([slope], ["1/√N"]))
        ax.xaxis.set_major_locator(FixedLocator(widths[:: -(-len(widths) // 8)].tolist()))
        ax.xaxis.set_major_formatter(FuncFormatter(plain_number))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xlabel("width N")
        named = observable == CHANGE
        ax.set_ylabel("change of pre-activations" if named else label(observable, 40))
        finish(ax)
        legends_below(ax, groups)
        return ax


def _draw_networks(
    ax: Axes, widths: NDArray[Any], means: NDArray[Any], networks: dict[int, NDArray[Any]]
) -> list[Any]:
    """Draw every component over width with its errors; return the legend handles."""
    errors = np.array(
        [
            rows.std(axis=0, ddof=1) / np.sqrt(len(rows)) if len(rows) > 1 else 0 * rows[0]
            for rows in networks.values()
        ]
    )
    colors = width_colors(range(means.shape[1]))
    return [
        ax.errorbar(
            widths,
            means[:, k],
            yerr=STDERRS * errors[:, k],
            fmt=MARKERS[k] + "-",
            color=color,
            ms=5,
            lw=1.3,
            elinewidth=1.2,
            capsize=2.5,
            zorder=3,
        )
        for k, color in colors.items()
    ]


def _draw_theories(
    ax: Axes,
    predicted: dict[str, tuple[NDArray[Any], NDArray[Any] | None]],
    count: int,
    theories: Sequence[str],
) -> dict[str, Any]:
    """Draw every theory's components as horizontal lines; return the legend handle of each."""
    handles: dict[str, Any] = {}
    for theory, style in theory_styles(theories).items():
        values, stderr = predicted.get(theory, (np.zeros(0), None))
        if len(values) != count:
            continue
        line: Any = {"color": style.color, "ls": style.dashes, "lw": 1.5}
        for k, value in enumerate(values):
            ax.axhline(value, **line, zorder=2)
            if stderr is not None:
                error = STDERRS * stderr[k]
                ax.axhspan(value - error, value + error, color=style.color, alpha=0.2, lw=0)
        handles[theory] = Line2D([], [], **line)
    return handles


def _component_names(observable: str, count: int) -> list[str]:
    if count == 1:
        return ["networks"]
    part = "layer" if observable == CHANGE else "component"
    return [f"networks, {part} {k + 1}" for k in range(count)]
