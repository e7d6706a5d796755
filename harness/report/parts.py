"""Isolation of the page's parts: where one fails, a sentence replaces it.

The logger ``harness.report`` gives the fault in one line, which the command line shows on stderr.
Warnings of drawing code concern its authors: the logger passes them on as information.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, TypeVar

from harness.errors import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from harness.report.figures.svg import Picture

T = TypeVar("T")
LOG = logging.getLogger("harness.report")

LONGEST = 300
"""Most characters shown of an error's message."""


@dataclass(frozen=True)
class Absent:
    """A part that could not be made.

    Attributes:
        sentence: name of the part, and the reason.
    """

    sentence: str


def part(name: str, make: Callable[[], T]) -> T | Absent:
    """Return the result of a function, or an `Absent` if it fails.

    Args:
        name: of the part, and of its experiment.
        make: may raise anything.
    """
    with warnings.catch_warnings(record=True) as warned:
        try:
            return make()
        except Exception as error:  # a fault in one part leaves the others on the page
            message = printable(str(error))[:LONGEST]
            reason = f"{type(error).__name__}: {message}" if message else type(error).__name__
            LOG.error("report: %s: %s", printable(name), reason)
            return Absent(f"{name}: not shown, as it could not be made ({reason}).")
        finally:
            for each in warned:
                LOG.info("report: %s: %s", printable(name), printable(str(each.message)))


def markup(name: str, make: Callable[[], str]) -> str:
    """Return the markup from a function, or a sentence in its place."""
    made = part(name, make)
    return _paragraph("alert", made.sentence) if isinstance(made, Absent) else made


def figure(
    key: str, name: str, whose: str, caption: str, draw: Callable[[], Axes | None], spoken: str = ""
) -> list[Picture]:
    """Return a figure, or a sentence in its place; nothing where there is nothing to draw.

    Args:
        key: unique on the page.
        name: title of the figure.
        whose: the experiment, sweep or claim that it belongs to.
        caption: text under it.
        draw: returns axes on their own figure, or None if there is nothing to draw.
        spoken: text for screen readers; by default the name and `whose`.
    """
    from harness.report.figures.style import reason_empty
    from harness.report.figures.svg import Picture, picture

    title = f"{name}: {whose}"

    def make() -> list[Picture]:
        axes = draw()
        if axes is None:
            return []
        if reason := reason_empty(axes):
            return [Picture(_paragraph("note", f"{name}: {reason}."), "")]
        return [picture(axes, key, spoken or title, caption)]

    made = part(title, make)
    return [Picture(_paragraph("alert", made.sentence), "")] if isinstance(made, Absent) else made


def _paragraph(kind: str, text: str) -> str:
    return f'<p class="{kind}">{escape(text)}</p>'
