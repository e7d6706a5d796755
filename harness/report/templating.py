"""Templates of pages, with the style and the script that stand in every page itself."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from harness.report import wording

if TYPE_CHECKING:
    from jinja2 import Environment


def environment(*packages: str) -> Environment:
    """Return the templates of packages, the first ones' before those of the others."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "percent": wording.percent,
        "decimal": wording.decimal,
        "seconds": wording.duration,
        "plural": wording.plural,
        "reaches_tolerance": wording.reaches_tolerance,
        "width_at_tolerance": wording.width_at_tolerance,
    }
    templates.globals["verdict_marks"] = wording.VERDICT_MARKS
    return templates


def shell(templates: Environment, name: str) -> dict[str, Any]:
    """Return the variables of a page's head: style, script, and the digest that permits it.

    Args:
        templates: has ``NAME.css`` and ``NAME.js``.
        name: of both.
    """
    from markupsafe import Markup

    css, script = (templates.get_template(f"{name}.{kind}").render() for kind in ("css", "js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {"css": Markup(css), "script": Markup(script), "script_digest": digest}
