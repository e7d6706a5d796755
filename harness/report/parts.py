"""Parts of the page that cannot cost it: where one fails, a sentence stands in its place.

The fault is said in one line by the logger ``harness.report``, which the command line shows on
stderr. Warnings of what draws are for those who wrote it: the logger has them as information.
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
"""Characters of an error's message that are shown."""


@dataclass(frozen=True)
class Absent:
    """A part that could not be made.

    Attributes:
        sentence: which one, and why.
    """

    sentence: str


def part(name: str, make: Callable[[], T]) -> T | Absent:
    """Return what a function makes, or that it could not.

    Args:
        name: of the part, and of the experiment that it belongs to.
        make: may raise anything.
    """
    with warnings.catch_warnings(record=True) as warned:
        try:
            return make()
        except Exception as error:  # whatever is wrong with one part, the others are shown
            message = printable(str(error))[:LONGEST]
            reason = f"{type(error).__name__}: {message}" if message else type(error).__name__
            LOG.error("report: %s: %s", printable(name), reason)
            return Absent(f"{name}: not shown, as it could not be made ({reason}).")
        finally:
            for each in warned:
                LOG.info("report: %s: %s", printable(name), printable(str(each.message)))


def markup(name: str, make: Callable[[], str]) -> str:
    """Return the markup that a function makes, or a sentence in its place."""
    made = part(name, make)
    return _paragraph("alert", made.sentence) if isinstance(made, Absent) else made


def figure(
    key: str, name: str, whose: str, caption: str, draw: Callable[[], Axes | None], spoken: str = ""
) -> list[Picture]:
    """Return a figure, or a sentence in its place; nothing where there is nothing to draw.

    Args:
        key: unique on the page.
        name: what is seen.
        whose: the experiment, sweep or claim that it belongs to.
        caption: shown under it.
        draw: returns axes on a figure of its own, or None if there is nothing to draw.
        spoken: what a screen reader says; the name and whose it is by default.
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
