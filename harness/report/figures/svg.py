"""Figures as text of a page: inline SVG with unique ids, or PNG where that is smaller."""

from __future__ import annotations

import base64
import colorsys
import io
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.report.figures.style import styled, values_of
from harness.store.files import write_file

LARGEST_SVG = 300_000
"""Characters above which a figure is embedded as PNG."""

PNG_DPI = 160
_SVG = "http://www.w3.org/2000/svg"
_LONG = re.compile(r"-?\d+\.\d{3,}")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_COLOR = re.compile(r"#[0-9a-f]{6}")


@dataclass(frozen=True)
class Picture:
    """A figure ready for a page.

    Attributes:
        markup: an ``<svg>`` or ``<img>`` element; safe, as all text in it is escaped.
        caption: description in one or two sentences.
        colors: colours in the markup, each a custom property ``--c-rrggbb`` with the colour itself
            as the fallback where a page does not define the property.
    """

    markup: str
    caption: str
    colors: frozenset[str] = frozenset()


def on_dark(color: str) -> str:
    """Return a colour of the same hue for a dark background: dark becomes light."""
    red, green, blue = (int(color[k : k + 2], 16) / 255 for k in (1, 3, 5))
    hue, lightness, saturation = colorsys.rgb_to_hls(red, green, blue)
    flipped = colorsys.hls_to_rgb(hue, 0.95 - 0.82 * lightness, 0.9 * saturation)
    return "#" + "".join(f"{round(255 * part):02x}" for part in flipped)


def dark_colors(pictures: Iterable[Picture]) -> list[tuple[str, str]]:
    """Return every colour of the figures with its replacement on a dark background."""
    named = sorted({color for shown in pictures for color in shown.colors})
    return [(color, on_dark(color)) for color in named]


def picture(ax: Axes, key: str, title: str, caption: str, largest: int = LARGEST_SVG) -> Picture:
    """Return the figure of an axes as markup.

    Args:
        ax: axes on their own figure.
        key: unique on the page, of letters, digits and hyphens; every id in the figure starts
            with it.
        title: text for screen readers instead of the figure.
        caption: text under the figure.
        largest: most characters of an SVG; a larger figure is an image of pixels.
    """
    figure = ax.get_figure(root=True)
    assert isinstance(figure, Figure)
    figure.set_facecolor("none")
    for part in figure.axes:
        part.patch.set_visible(False)
    drawn, colors = _inline(_render(figure, "svg").decode(), key, title)
    if len(drawn) > largest:
        figure.set_facecolor("white")
        colors = frozenset()
        data = base64.b64encode(_render(figure, "png")).decode()
        width, height = (round(96 * inches) for inches in figure.get_size_inches())
        drawn = (
            f'<img src="data:image/png;base64,{data}" alt="{escape(title)}"'
            f' width="{width}" height="{height}">'
        )
    return Picture(drawn, caption, colors)


def save_svg(ax: Axes, path: Path) -> None:
    """Write the figure of an axes as an SVG file on a white background, for documents."""
    content = as_file(ax, "svg")
    write_file(path, lambda opened: opened.write(content), "choose another file")


def as_file(ax: Axes, form: Literal["png", "svg"]) -> bytes:
    """Return the figure of an axes as the content of a file, on a white background."""
    figure = ax.get_figure(root=True)
    assert isinstance(figure, Figure)
    figure.set_facecolor("white")
    content = _render(figure, form)
    if form == "png":
        return content
    for prefix, namespace in (("", _SVG), ("xlink", "http://www.w3.org/1999/xlink")):
        ElementTree.register_namespace(prefix, namespace)
    root = ElementTree.fromstring(content)
    _add_values(root)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _render(figure: Figure, form: str) -> bytes:
    buffer = io.BytesIO()
    metadata = {"Date": None} if form == "svg" else None
    with styled(), warnings.catch_warnings():
        # names may hold characters that the layout's font lacks; the reader's fonts show them
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(buffer, format=form, dpi=PNG_DPI, metadata=metadata)
    return buffer.getvalue()


def _inline(svg: str, key: str, title: str) -> tuple[str, frozenset[str]]:
    """Return an SVG document as an element of an HTML page, and its colours.

    Namespaces, comments and metadata are removed; ids with a reference are numbered under `key`,
    and the others removed, so that no two figures of a page share an id. Colours become custom
    properties of the page, so that one CSS rule adapts all figures to a dark background.
    """
    colors: set[str] = set()

    def named(match: re.Match[str]) -> str:
        colors.add(match[0])
        return f"var(--c-{match[0][1:]},{match[0]})"

    root = ElementTree.fromstring(svg)
    _add_values(root)
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in ("metadata", "style"):
                parent.remove(child)
    names = {name: f"{key}-{i}" for i, name in enumerate(_referred(root), start=1)}
    for element in root.iter():
        element.tag = _local(element.tag)
        attributes = {_local(name): value for name, value in element.attrib.items()}
        element.attrib.clear()
        for name, value in attributes.items():
            if name == "id":
                if value in names:
                    element.set("id", names[value])
            elif name in ("d", "x", "y", "transform"):
                element.set(name, _LONG.sub(_short, value))
            elif name == "href":
                element.set("href", f"#{names[value[1:]]}" if value[0] == "#" else value)
            elif name == "style":
                element.set(
                    name, _REFERENCE.sub(lambda m: f"url(#{names[m[1]]})", _COLOR.sub(named, value))
                )
            else:
                element.set(name, _REFERENCE.sub(lambda m: f"url(#{names[m[1]]})", value))
    spoken = ElementTree.Element("title", {"id": f"{key}-title"})
    spoken.text = title
    root.insert(0, spoken)
    root.set("role", "img")
    root.set("aria-labelledby", f"{key}-title")
    root.attrib.pop("version", None)
    return ElementTree.tostring(root, encoding="unicode"), frozenset(colors)


def _add_values(root: ElementTree.Element) -> None:
    """Give markers their texts as titles, in place of the ids that hold these."""
    for group in root.iter(f"{{{_SVG}}}g"):
        texts = values_of(group.get("id", ""))
        if not texts:
            continue
        del group.attrib["id"]
        markers = list(group.iter(f"{{{_SVG}}}use"))
        if len(markers) == len(texts):
            for marker, text in zip(markers, texts, strict=True):
                ElementTree.SubElement(marker, f"{{{_SVG}}}title").text = text


def _referred(root: ElementTree.Element) -> list[str]:
    """Return the ids with a reference, in the order of the document."""
    found: dict[str, None] = {}
    for element in root.iter():
        for name, value in element.attrib.items():
            if _local(name) == "href" and value.startswith("#"):
                found[value.removeprefix("#")] = None
            for match in _REFERENCE.finditer(value):
                found[match[1]] = None
    return list(found)


def _short(number: re.Match[str]) -> str:
    """Return a coordinate to a hundredth of a point; more digits are invisible."""
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def _local(name: str) -> str:
    return name.rpartition("}")[2]
