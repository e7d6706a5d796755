"""Turn the mathematics of a page into MathML, which a browser sets without a script or a network.

A hook of MkDocs: `pymdownx.arithmatex` has marked $...$ and $$...$$ in the page's HTML.
"""

from __future__ import annotations

import html
import re
from typing import Any

from math_core import LatexError, LatexToMathML
from mkdocs.exceptions import PluginError

LATEX = LatexToMathML(fancy_error=False)
MARKED = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', flags=re.DOTALL)


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """Return the HTML of a page with MathML in the place of marked formulas."""
    return typeset(content, page.file.src_path)


def typeset(content: str, name: str) -> str:
    """Return HTML with MathML in the place of marked formulas.

    Raises:
        PluginError: a formula is wrong; the line has ``name``, the formula and its fault.
    """

    def replace(match: re.Match[str]) -> str:
        block, latex = match[1] == "div", html.unescape(match[2]).strip()
        try:
            mathml = LATEX.convert_with_local_state(latex, displaystyle=block)
        except LatexError as fault:
            raise PluginError(f"{name}: ${latex}$: at character {fault}") from None
        return f'<div class="formula">{mathml}</div>' if block else mathml

    return MARKED.sub(replace, content)
