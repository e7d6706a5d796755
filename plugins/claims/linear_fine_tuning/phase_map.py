"""A map of the gain over two ratios: the formula, its line of no gain, and measured points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

POINTS = 15
"""Points of the map along each axis."""
LEVELS = 17
MOST = 0.8
"""Gain at which the colours end, in either direction."""
COLORS = "RdBu"


def gain_map(
    gains: Any,
    networks: Any,
    formula: Callable[[float, float], float],
    columns: tuple[str, str],
    labels: tuple[str, str],
) -> Callable[[Any], None]:
    """Return a function that draws a map of the gain.

    Args:
        gains: measured gains with the columns of the two axes and ``value``.
        networks: those of networks, or None.
        formula: gain of typical draws at a point.
        columns: of the horizontal and the vertical axis.
        labels: of the axes.
    """

    def draw(ax: Any) -> None:
        x, y = (_span(gains[of]) for of in columns)
        surface = np.array([[formula(float(a), float(b)) for a in x] for b in y])
        levels = np.linspace(-MOST, MOST, LEVELS)
        ax.contourf(x, y, surface, levels, cmap=COLORS, extend="both")
        ax.contour(x, y, surface, [0.0], colors="#1a1a1a", linewidths=1.6)
        ax.plot([], [], color="#1a1a1a", lw=1.6, label="no gain, formula")
        _marks(ax, gains, columns, "o", "exact theory, mean over draws")
        if networks is not None:
            _marks(ax, networks, columns, "s", "networks, one draw")
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        shades = ScalarMappable(Normalize(-MOST, MOST), COLORS)
        bar = ax.figure.colorbar(shades, ax=ax, ticks=[-MOST, 0.0, MOST])
        bar.ax.set_title("gain", fontsize=8)
        for axis, of in zip(("x", "y"), columns, strict=True):
            if _is_wide(gains[of]):
                ax.set(**{f"{axis}scale": "log"})
        ax.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]), xlabel=labels[0], ylabel=labels[1])
        ax.grid(visible=False)

    return draw


def _is_wide(values: Any) -> bool:
    """Return whether measured values ask for a logarithmic axis."""
    return bool(values.min() > 0 and values.max() / values.min() > 5)


def _span(values: Any) -> Any:
    """Return points that reach a little beyond the measured values, ratios from 0 to 1."""
    low, high = float(values.min()), float(values.max())
    if _is_wide(values):
        return np.geomspace(low / 1.5, high * 1.5, POINTS)
    margin = 0.12 * (high - low) or 0.1
    return np.linspace(max(low - margin, 0.0), min(high + margin, 1.0), POINTS)


def _marks(ax: Any, gains: Any, columns: tuple[str, str], marker: str, name: str) -> None:
    """Mark measured points in the colour of their gain, with its sign and size beside them."""
    at = gains.groupby(list(columns))["value"].mean().reset_index()
    ax.scatter(
        at[columns[0]],
        at[columns[1]],
        c=at["value"],
        s=70 if marker == "o" else 24,
        cmap=COLORS,
        vmin=-MOST,
        vmax=MOST,
        marker=marker,
        edgecolors="#1a1a1a",
        label=name,
        zorder=3,
        clip_on=False,
    )
    if marker == "o":
        for x, y, gain in at[[*columns, "value"]].to_numpy():
            ax.annotate(
                f"{gain:+.2f}",
                (x, y),
                (0, 8),
                textcoords="offset points",
                ha="center",
                fontsize=7,
                bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.8},
            )
