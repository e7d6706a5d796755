"""Formulas of the documentation are LaTeX that becomes MathML; theories have anchors by name."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from harness.registry import Registry

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    for package in ("math_core", "mkdocs"):
        pytest.importorskip(package, reason="needs the packages of the extra docs")
    spec = importlib.util.spec_from_file_location("typeset", DOCS / "typeset.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rendered(text: str) -> str:
    from markdown import markdown

    options = {"generic": True, "block_syntax": ["dollar"], "inline_syntax": ["dollar"]}
    return markdown(
        text,
        extensions=["tables", "fenced_code", "pymdownx.arithmatex"],
        extension_configs={"pymdownx.arithmatex": options},
    )


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_every_formula_of_a_page_is_set(hook: ModuleType, page: Path) -> None:
    marked = rendered(page.read_text())
    assert hook.typeset(marked, page.name).count("<math") == marked.count('class="arithmatex"')


@pytest.mark.parametrize("formula", [r"\fraction{a}{b}", r"\frac{a", "x_a_b", r"\left( x"])
def test_a_wrong_formula_is_named_with_its_page(hook: ModuleType, formula: str) -> None:
    from mkdocs.exceptions import PluginError

    with pytest.raises(PluginError) as fault:
        hook.typeset(rendered(f"As ${formula}$ says"), "theory.md")
    assert str(fault.value).startswith(f"theory.md: ${formula}$: at character ")
    assert "\n" not in str(fault.value)


def test_dollars_in_code_are_no_formulas(hook: ModuleType) -> None:
    assert "<math" not in hook.typeset(rendered("`$HOME` or `$x$`\n\n```sh\necho $x$\n```"), "a.md")


def test_every_theory_has_an_anchor_of_its_name() -> None:
    page = (DOCS / "theory.md").read_text()
    names = [theory.name for theory in Registry.load().components("theory")]
    assert [name for name in names if f'<a id="{name}"></a>' not in page] == []
