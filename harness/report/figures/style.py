"""Style of figures: fonts, palettes, legends beside the data, and axes without global state."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.legend_handler import HandlerTuple
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)
from matplotlib.transforms import offset_copy

from harness.scoring.statistics import TOLERANCE

SIZE = (4.2, 3.2)
"""Inches of a figure; a narrow screen shows it at about this size, so text stays legible."""

LEFT, RIGHT, TOP, BOTTOM = 0.72, 0.14, 0.28, 0.52
"""Inches around the axes of a `Panel`: the same in every figure, so that a row of them aligns."""

FONT, SMALL = 10.0, 9.0
"""Sizes of labels and of ticks and legends, in points."""

LINE = 55
"""Characters of a legend's line in a figure of `SIZE`; a symbol takes the place of seven."""

INK, MUTED = "#1a1a1a", "#767676"

STDERRS = 2.0
"""Standard errors that bands and bars of means and theories extend to either side."""

VERDICTS = {
    "agrees": ("#00795a", "o"),
    "disagrees": ("#c44601", "X"),
    "undecided": ("#6b6b6b", "D"),
}
"""Colour and marker of every verdict; either alone distinguishes verdicts."""

AGREEMENT = "#d8efe6"
"""Colour of the field in which theory and networks agree."""

_THEORIES: tuple[tuple[str, Any, str], ...] = (
    ("#111111", (0, (5, 2)), "o"),
    ("#b5177e", (0, (1, 1.3)), "s"),
    ("#d97b00", (0, (6, 1.5, 1, 1.5)), "^"),
    ("#7a4a1e", (0, (9, 2)), "v"),
    ("#6a3d9a", (0, (3, 1, 1, 1, 1, 1)), "P"),
    ("#cc3311", (0, (2, 2)), "*"),
)
_EMPTY = "empty"
_VALUES = "values"
_BETWEEN = "\u241f"
_ESCAPED_DOLLAR = r"\$"


@dataclass(frozen=True)
class TheoryStyle:
    """Colour, marker and line of a theory, the same in every figure."""

    color: str
    dashes: Any
    marker: str


def theory_styles(names: Iterable[str]) -> dict[str, TheoryStyle]:
    """Return a style for every theory, in the order given; styles repeat after six."""
    ordered = dict.fromkeys(names)
    return {name: TheoryStyle(*_THEORIES[i % len(_THEORIES)]) for i, name in enumerate(ordered)}


def width_colors(widths: Sequence[int]) -> dict[int, tuple[float, float, float]]:
    """Return a sequential palette, darker for larger widths."""
    import seaborn as sns

    return dict(zip(sorted(widths), sns.color_palette("crest", len(widths)), strict=True))


@contextmanager
def styled() -> Iterator[None]:
    """Apply the style to figures made inside the context, and to no others."""
    import seaborn as sns

    fonts = {
        # matplotlib ships the first font, so figures have the same layout on every machine
        "font.sans-serif": ["DejaVu Sans", "Verdana", "Helvetica", "Arial"],
        "font.size": FONT,
        "axes.labelsize": FONT,
        "xtick.labelsize": SMALL,
        "ytick.labelsize": SMALL,
        "legend.fontsize": SMALL,
    }
    reproducible = {"svg.fonttype": "none", "svg.hashsalt": "limitbench"}
    style = sns.axes_style("ticks") | sns.plotting_context("paper") | fonts | reproducible
    style |= {"axes.grid": True, "grid.color": "#e6e6e6", "grid.linewidth": 0.7}
    with mpl.rc_context(style):
        yield


class Panel(Figure):
    """A figure of fixed margins, outside pyplot, that grows downwards to hold its legends.

    Its layout needs no measurement, and takes a third of the time of a layout engine.
    """

    def __init__(self, size: tuple[float, float] = SIZE) -> None:
        super().__init__(figsize=size, facecolor="white")
        self._place(BOTTOM)

    def grow(self, points: float) -> None:
        """Make room for so many points under the labels of the x axis."""
        width, height = self.get_size_inches()
        self.set_size_inches(width, height + points / 72)
        self._place(BOTTOM + points / 72)

    def _place(self, bottom: float) -> None:
        width, height = self.get_size_inches()
        self.subplots_adjust(
            left=LEFT / width, right=1 - RIGHT / width, bottom=bottom / height, top=1 - TOP / height
        )


def new_axes(size: tuple[float, float] = SIZE) -> Axes:
    """Return the axes of a new `Panel`."""
    return Panel(size).subplots()


def roomy_axes(size: tuple[float, float]) -> Axes:
    """Return the axes of a new figure whose margins follow the labels, however long."""
    return Figure(figsize=size, layout="constrained", facecolor="white").subplots()


def finish(ax: Axes) -> None:
    """Remove redundant marks; ticks keep their size when drawn outside the style."""
    import seaborn as sns

    sns.despine(ax=ax)
    figure = ax.get_figure(root=True)
    if isinstance(figure, Panel):
        inches = ax.get_position().width * figure.get_size_inches()[0]
        ax.yaxis.set_label_coords(-(LEFT - 0.16) / inches, 0.5)
    label_logarithmic(ax)
    ax.tick_params(which="both", labelsize=SMALL, color="#b0b0b0", length=3, width=0.8)
    ax.set_axisbelow(True)


def label_logarithmic(ax: Axes) -> None:
    """Add ticks between powers of ten to logarithmic axes that show fewer than two powers.

    Ticks that were set explicitly stay; minor ticks have no label beside major ones.
    """
    for axis, scale in ((ax.xaxis, ax.get_xscale()), (ax.yaxis, ax.get_yscale())):
        if scale != "log":
            continue
        low, high = sorted(axis.get_view_interval())
        if not isinstance(axis.get_major_locator(), FixedLocator):
            inside = [tick for tick in axis.get_majorticklocs() if low <= tick <= high]
            if len(inside) > 1 or low <= 0:
                continue
            axis.set_major_locator(FixedLocator(_between_powers(low, high)))
            axis.set_major_formatter(FuncFormatter(plain_number))
        axis.set_minor_formatter(NullFormatter())


def _between_powers(low: float, high: float) -> list[float]:
    """Return a few round numbers between two positive numbers, at least two."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)):
        found = [digit * 10.0**power for power in powers for digit in digits]
        inside = [number for number in found if low <= number <= high]
        if len(inside) > 1:
            return inside
    steps = MaxNLocator(nbins=4, steps=[1, 2, 5, 10]).tick_values(low, high)
    return [float(number) for number in steps if low <= number <= high]


def scale_gaps(ax: Axes, which: Literal["x", "y"], end: float) -> None:
    """Scale an axis for gaps: linear up to the tolerance, logarithmic beyond, up to `end`."""
    axis = ax.xaxis if which == "x" else ax.yaxis
    decades = [10.0**k for k in range(12)]
    if end > 3:  # a longer axis has room for fewer labels
        rounds = [0, 0.05, 0.2, *decades]
    elif end > 0.4:
        rounds = [0, 0.02, 0.05, 0.1, 0.2, *(decades if end > 0.9 else [0.5])]
    else:
        rounds = [0, 0.01, 0.02, 0.05, 0.1, 0.2]
    scale, limits = (ax.set_xscale, ax.set_xlim) if which == "x" else (ax.set_yscale, ax.set_ylim)
    scale("symlog", linthresh=TOLERANCE, linscale=0.8)
    limits(0, end)
    axis.set_major_locator(FixedLocator([t for t in rounds if t <= end]))
    axis.set_major_formatter(FuncFormatter(percent_label))
    axis.set_minor_locator(NullLocator())


def say_empty(ax: Axes, reason: str) -> Axes:
    """Show the reason for missing data in their place."""
    ax.set_axis_off()
    ax.set_gid(_EMPTY)
    ax.text(0.5, 0.5, reason, transform=ax.transAxes, ha="center", va="center", color=MUTED)
    return ax


def reason_empty(ax: Axes) -> str:
    """Return the reason for missing data on axes; empty if there are data."""
    return ax.texts[0].get_text() if ax.get_gid() == _EMPTY else ""


def give_values(artist: Artist, texts: Iterable[str]) -> None:
    """Give each marker of a line a text, which a page shows where the pointer is."""
    if shown := [label(text, 120) for text in texts]:
        artist.set_gid(_BETWEEN.join([_VALUES, *shown]))


def values_of(identity: str) -> list[str]:
    """Return the texts of the markers of an artist with this id; empty if it has none."""
    first, *texts = identity.split(_BETWEEN)
    return [text.replace(_ESCAPED_DOLLAR, "$") for text in texts] if first == _VALUES else []


def label(text: str, limit: int = 60) -> str:
    """Return a name for figures: on one line, never parsed as mathematics, of bounded length.

    A long name keeps both ends, as points of a sweep differ at the end. Characters that no font
    shows, or that XML forbids, become U+FFFD.
    """
    flat = " ".join(text.split())
    shown = "".join("\ufffd" if unicodedata.category(c)[0] == "C" else c for c in flat)
    head = (limit - 1) // 2
    short = shown if len(shown) <= limit else f"{shown[:head]}…{shown[head + 1 - limit :]}"
    return short.replace("$", _ESCAPED_DOLLAR)


def legends_below(ax: Axes, groups: Sequence[tuple[Sequence[Any], Sequence[str]]]) -> None:
    """Put legends under the axes, one group of (handles, labels) below the other.

    They start under the label of the x axis, at a distance in points, so that they meet neither
    data nor labels at any size.
    """
    offset = 36.0
    for handles, labels in groups:
        if not handles:
            continue
        fitting = max(1, min(len(labels), LINE // (max(map(len, labels)) + 7)))
        rows = math.ceil(len(labels) / fitting)
        columns = math.ceil(len(labels) / rows)
        legend = Legend(
            ax,
            _by_rows(handles, columns),
            _by_rows(labels, columns),
            loc="upper center",
            bbox_to_anchor=(0.5, 0.0),
            bbox_transform=offset_copy(
                ax.transAxes, fig=ax.get_figure(root=True), y=-offset, units="points"
            ),
            ncols=columns,
            frameon=False,
            fontsize=SMALL,
            handlelength=2.2,
            handletextpad=0.5,
            columnspacing=1.2,
            labelspacing=0.35,
            borderaxespad=0.0,
            borderpad=0.0,
            handler_map={tuple: HandlerTuple(ndivide=1, pad=0.0)},
        )
        ax.add_artist(legend)
        legend.set_clip_on(False)
        offset += rows * (SMALL * 1.5) + 3.0
    figure = ax.get_figure(root=True)
    if isinstance(figure, Panel):
        figure.grow(offset - 36.0)


def _by_rows(items: Sequence[Any], columns: int) -> list[Any]:
    """Reorder items so that a legend, which fills columns first, reads row by row."""
    return [item for column in range(columns) for item in items[column::columns]]


def percent_label(value: float, _: Any = None) -> str:
    """Return a share in percent for axes and legends; a formatter passes the position."""
    return f"{100 * value:.6g} %"


def plain_number(value: float, _: Any = None) -> str:
    """Return a number as a tick label, without mathematical markup."""
    return f"{value:g}"
