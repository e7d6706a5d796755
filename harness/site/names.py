"""Files of a site by what they show, and links to them."""

from __future__ import annotations

import re
from urllib.parse import quote

from harness.store.check import slug
from harness.store.files import LONGEST

_PLAIN = re.compile(r"(?!(?:con|prn|aux|nul|com\d|lpt\d)$)[a-z0-9][a-z0-9_-]{0,59}")
"""Names that are names of files in every file system."""

_CONVERGENCE = "convergence-"
_MOST = LONGEST - len(f"{_CONVERGENCE}.html")


def theory_page(name: str) -> str:
    """Return the path of a theory's page."""
    return f"theory/{name if _PLAIN.fullmatch(name) else slug(name)}.html"


def experiment_page(name: str) -> str:
    """Return the path of an experiment's page."""
    return f"experiment/{slug(name)}.html"


def convergence_file(name: str, form: str) -> str:
    """Return the path of an experiment's figure of convergence."""
    return f"figures/{_CONVERGENCE}{slug(name, most=_MOST)}.{form}"


def rows_file(name: str, form: str) -> str:
    """Return the path of an experiment's rows."""
    return f"data/{slug(name)}.{form}"


def link(path: str, up: str = "") -> str:
    """Return a path as a relative link, from a page in the folder of the site or one below."""
    return up + quote(path)
