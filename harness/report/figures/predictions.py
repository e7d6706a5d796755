"""Outputs on the test points at the end of training: networks against theories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from harness.report.figures import data
from harness.report.figures.style import (
    STDERRS,
    TheoryStyle,
    finish,
    label,
    legends_below,
    new_axes,
    say_empty,
    styled,
    theory_styles,
)
from harness.store import ExperimentResults


def predictions(
    experiment: ExperimentResults,
    ax: Axes | None = None,
    *,
    theories: Sequence[str] = (),
) -> Axes:
    """Draw the widest networks' mean output at the end of training against every theory's.

    Each test point is a symbol. Bars are two standard errors, of the mean over seeds and of the
    theory; a theory whose points lie on the diagonal predicts the networks.

    Args:
        experiment: experiment to draw.
        ax: where to draw.
        theories: see `harness.report.loss_curves`; the first lies above the others.
    """
    with styled():
        ax = ax or new_axes()
        styles = theory_styles([*theories, *sorted(experiment.theories())])
        found = {name: data.output_pair(experiment, name) for name in styles}
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


def _draw_pairs(ax: Axes, pair: data.OutputPair, style: TheoryStyle, order: int) -> Any:
    """Draw one theory's outputs against the networks'; return its legend handle."""
    x, y = pair.theory, pair.network
    for error, along_x in ((pair.theory_stderr, True), (pair.network_stderr, False)):
        if error is not None:
            ends = [(x, y - STDERRS * error), (x, y + STDERRS * error)]
            if along_x:
                ends = [(x - STDERRS * error, y), (x + STDERRS * error, y)]
            # all bars in one path, with gaps between them: a tenth of the size of separate paths
            gaps = np.full_like(x, np.nan)
            bars = [
                np.stack([low, high, gaps], axis=1).ravel() for low, high in zip(*ends, strict=True)
            ]
            ax.plot(*bars, color=style.color, lw=0.7, alpha=0.5, zorder=order)
    (handle,) = ax.plot(
        x, y, style.marker, ms=3.5, mew=0, color=style.color, alpha=0.65, zorder=order
    )
    return handle
