"""Figures of the last hidden layer at the end of training: feature kernels and pre-activations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from numpy.typing import NDArray

from harness.report.figures import data
from harness.report.figures.style import (
    FONT,
    INK,
    MUTED,
    SMALL,
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
from harness.report.wording import percent
from harness.store import ExperimentResults

KERNEL_SHOWN = 50
"""Most training points, and most test points, in the figure of a feature kernel."""

SHADES = 48
"""Steps of a colour scale: enough for the eye, and few enough for good compression."""

BRIGHTEST = 0.995
"""Quantile of a kernel at which its colour scale ends, so that no single point sets it."""

LOWEST_DENSITY = 1e-4
"""Lowest density drawn, relative to the highest."""


def feature_kernels(
    experiment: ExperimentResults, theory: str, axes: Sequence[Axes] | None = None
) -> list[Axes]:
    """Draw the feature kernel of a theory, of the widest networks, and their difference.

    Kernels are those of the last hidden layer at the end of training; the networks' is a mean over
    seeds. Training points come first, then test points, `KERNEL_SHOWN` of each at most, both
    ordered along the first principal component of the theory's kernel, so that clusters appear as
    blocks.

    Args:
        experiment: experiment to draw.
        theory: name of the theory.
        axes: three, where to draw.

    Returns:
        The axes: theory, networks, difference; a single one with the reason where one is missing.
    """
    with styled():
        found = data.kernel_pair(experiment, theory)
        if found is None:
            where = new_axes() if axes is None else axes[0]
            return [say_empty(where, "no feature kernels to compare")]
        own = axes is None
        axes = _three_axes() if axes is None else list(axes)
        shown, line = _shown(found)
        kernels = [k[np.ix_(shown, shown)] for k in (found.theory_kernel, found.network_kernel)]
        difference = kernels[1] - kernels[0]
        low, high = float(np.min(kernels)), float(np.quantile(kernels, BRIGHTEST))
        if high <= low:  # a kernel of equal entries has a scale all the same
            high = low + (abs(low) or 1.0)
        span = float(np.quantile(np.abs(difference), BRIGHTEST)) or 1.0
        names = [label(theory, 24), f"networks, N = {found.width}", "difference"]
        scales: list[tuple[str, float, float]] = [("mako", low, high)] * 2 + [
            ("icefire", -span, span)
        ]
        for ax, kernel, name, scale in zip(
            axes, [*kernels, difference], names, scales, strict=True
        ):
            _draw_kernel(ax, kernel, name, scale, line)
        if own:
            _write_distance(axes[-1], found)
        return axes


def preactivation_density(
    experiment: ExperimentResults, ax: Axes | None = None, *, theories: Sequence[str] = ()
) -> Axes:
    """Draw the density of pre-activations, networks against theories, on a logarithmic axis.

    The densities are those of the last hidden layer at the end of training, over units and training
    points, for the widest networks averaged over seeds. A Gaussian with the networks' mean and
    variance shows the distance of features from the lazy limit.

    Args:
        experiment: experiment to draw.
        ax: where to draw.
        theories: see `harness.report.loss_curves`.
    """
    from harness.observables import DENSITY_EDGES

    with styled():
        ax = ax or new_axes()
        width, measured, predicted = data.densities(experiment)
        centres = (DENSITY_EDGES[1:] + DENSITY_EDGES[:-1]) / 2
        if measured is None and not predicted:
            return say_empty(ax, "no finished cell recorded pre-activations")
        predicted = {n: d for n, d in predicted.items() if _lies_inside(d)}
        if not (predicted if measured is None else _lies_inside(measured)):
            return say_empty(ax, f"all lie beyond ±{DENSITY_EDGES[-2]:g}, where none is recorded")
        drawn = [_shown_density(d) for d in [measured, *predicted.values()] if d is not None]
        top = max(float(np.nanmax(d)) for d in drawn)
        handles, names = [], []
        (color,) = width_colors([width]).values()
        if measured is not None:
            floor = LOWEST_DENSITY * top / 10
            filled = np.nan_to_num(_shown_density(measured), nan=floor)
            ax.fill_between(centres, floor, filled, color=color, alpha=0.25, lw=0, step="mid")
            handles += ax.step(centres, _shown_density(measured), where="mid", color=color, lw=1.2)
            names.append(f"networks, N = {width}")
            (gaussian,) = ax.plot(
                centres, _gaussian(centres, measured), color=MUTED, lw=1.3, ls=(0, (1, 1))
            )
        styles = theory_styles([*theories, *sorted(predicted)])
        for name, style in styles.items():
            if name in predicted:
                handles += ax.plot(
                    centres,
                    _shown_density(predicted[name]),
                    color=style.color,
                    ls=style.dashes,
                    lw=1.6,
                )
                names.append(label(name, 40))
        if measured is not None:
            handles.append(gaussian)
            names.append("Gaussian")
        visible = np.any([d > LOWEST_DENSITY * top for d in drawn], axis=0)
        reach = float(np.abs(centres[visible]).max()) + 0.3
        ax.set_xlim(-reach, reach)
        ax.set_yscale("log")
        ax.set_ylim(LOWEST_DENSITY * top, 2 * top)
        ax.yaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_formatter(FuncFormatter(plain_number))
        ax.set_xlabel("pre-activation h")
        ax.set_ylabel("density")
        finish(ax)
        legends_below(ax, [(handles, names)])
        return ax


def _shown(found: data.KernelPair) -> tuple[NDArray[Any], int]:
    """Return the indices of the points drawn, in order, and the number of training points."""
    count = len(found.theory_kernel)
    train = np.arange(found.train)[:KERNEL_SHOWN]
    shown = np.concatenate([train, np.arange(found.train, count)[:KERNEL_SHOWN]])
    kernel = found.theory_kernel[np.ix_(shown, shown)]
    centred = kernel - kernel.mean(axis=0) - kernel.mean(axis=1)[:, None] + kernel.mean()
    component = np.linalg.eigh(centred)[1][:, -1]
    component = component * np.sign(component[np.argmax(np.abs(component))])
    order = np.argsort(component, kind="stable")
    is_train = order < len(train)
    return shown[np.concatenate([order[is_train], order[~is_train]])], len(train)


def _three_axes() -> list[Axes]:
    """Return axes of a new figure: two above, one below, each as wide as half the page."""
    figure = Figure(figsize=(4.2, 4.0), facecolor="white")
    places = [(0.01, 0.56), (0.51, 0.56), (0.01, 0.04)]
    return [figure.add_axes((x, y, 0.357, 0.375)) for x, y in places]


def _draw_kernel(
    ax: Axes,
    kernel: Float[np.ndarray, "points points"],
    name: str,
    scale: tuple[str, float, float],
    line: int,
) -> None:
    """Draw a kernel with its colour scale, and lines between training and test points."""
    import seaborn as sns

    palette, low, high = scale
    colors = ListedColormap(sns.color_palette(palette, SHADES))
    ax.imshow(kernel, cmap=colors, vmin=low, vmax=high, interpolation="none")
    if 0 < line < len(kernel):
        ax.axhline(line - 0.5, color="white", lw=0.8)
        ax.axvline(line - 0.5, color="white", lw=0.8)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_title(name, fontsize=FONT, color=INK, pad=4)
    bar = ax.inset_axes((1.03, 0.0, 0.05, 1.0))
    steps = np.linspace(low, high, SHADES)[:, None]
    bar.imshow(
        steps,
        cmap=colors,
        aspect="auto",
        origin="lower",
        extent=(0, 1, low, high),
        interpolation="none",
    )
    bar.set_xticks([])
    bar.set_yticks([low, high] if low * high >= 0 else [low, 0.0, high])
    bar.yaxis.tick_right()
    decimals = max(0, 1 - math.floor(math.log10(max(abs(low), abs(high), 1e-9))))
    bar.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.{decimals}f}"))
    for part in (ax, bar):
        part.tick_params(labelsize=SMALL, length=2, pad=2, color=MUTED)
        part.spines[:].set(color=MUTED, linewidth=0.6)


def _write_distance(ax: Axes, found: data.KernelPair) -> None:
    """Write the relative distance of the kernels beside the difference."""
    size = float(np.linalg.norm(found.theory_kernel))
    if size == 0:
        return
    distance = float(np.linalg.norm(found.network_kernel - found.theory_kernel)) / size
    text = f"relative\ndistance\n{percent(distance)}"
    ax.text(
        1.4,
        0.98,
        text,
        transform=ax.transAxes,
        va="top",
        fontsize=FONT,
        color=INK,
        linespacing=1.4,
    )


def _shown_density(density: Float[np.ndarray, " bins"]) -> NDArray[Any]:
    """Return a density with gaps at zero and in the outermost bins, which count outliers."""
    shown = np.where(density > 0, density, np.nan)
    shown[[0, -1]] = np.nan
    return shown


def _lies_inside(density: Float[np.ndarray, " bins"]) -> bool:
    """Return whether any of a density lies in the bins that are drawn."""
    return bool((density[1:-1] > 0).any())


def _gaussian(at: Float[np.ndarray, " bins"], density: Float[np.ndarray, " bins"]) -> NDArray[Any]:
    """Return the Gaussian density with the mean and variance of a density."""
    weight = density / (density.sum() or 1.0)
    mean = float(weight @ at)
    variance = float(weight @ (at - mean) ** 2) or 1.0
    return np.asarray(np.exp(-((at - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance))
