"""Templates of plugins: a working one of every kind, in the folder ``templates``."""

from __future__ import annotations

from pathlib import Path

from harness.registry.component import Kind

FOLDER = Path(__file__).parent / "templates"


def new_plugin(kind: Kind, name: str) -> str:
    """Return the text of a working plugin file, with comments for a first-time author.

    Args:
        kind: kind of the component that it declares.
        name: name of this component.
    """
    text = (FOLDER / f"{kind}.py").read_text(encoding="utf-8")
    plain = name.replace("/", "-")
    text = text.replace(f"my-{kind}", name).replace(f"my_{kind}", plain.replace("-", "_"))
    words = "".join(word.capitalize() for word in plain.split("-"))
    return text.replace(f"My{kind.capitalize()}", words)
