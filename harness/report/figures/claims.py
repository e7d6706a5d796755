"""The figure of a claim, for a page and the documentation."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.axes import Axes

from harness.report.figures.style import finish, label, legends_below, new_axes


def claim_figure(draw: Callable[[Axes], None]) -> Axes:
    """Return a claim's figure with its legend under it."""
    axes = new_axes()
    draw(axes)
    if (own := axes.get_legend()) is not None:
        own.remove()  # it may cover data
    finish(axes)
    handles, labels = axes.get_legend_handles_labels()
    legends_below(axes, [(handles, [label(text, 40) for text in labels])])
    return axes
