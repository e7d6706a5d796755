"""Lists of folders and modules in the documentation are those of the tree."""

from __future__ import annotations

import ast
import importlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs/reference.md").read_text()
MODULES = re.findall(r"^\| `(harness\.\w+)` \| (.*) \|$", REFERENCE, flags=re.MULTILINE)


def test_contributing_lists_every_folder_of_the_core() -> None:
    block = (ROOT / "CONTRIBUTING.md").read_text().partition("```text\n")[2].partition("```")[0]
    listed = re.findall(r"^  (\w+(?:/|\.py)) ", block, flags=re.MULTILINE)
    tree = [f"{p.name}/" for p in (ROOT / "harness").iterdir() if (p / "__init__.py").is_file()]
    tree += [p.name for p in (ROOT / "harness").glob("*.py") if p.name != "__init__.py"]
    assert sorted(listed) == sorted(tree)


def test_the_reference_lists_a_module_once() -> None:
    assert [name for name, count in Counter(name for name, _ in MODULES).items() if count > 1] == []


@pytest.mark.parametrize(("module", "words"), MODULES, ids=[name for name, _ in MODULES])
def test_names_of_a_module_are_there(module: str, words: str) -> None:
    found = importlib.import_module(module)
    named = [name for name in re.findall(r"`(\w+)`", words) if not hasattr(found, name)]
    assert named == []


def test_modules_that_plugins_import_are_listed() -> None:
    used = {module for path in plugin_files() for module in imported(path)}
    assert used - {"harness", *(name for name, _ in MODULES)} == set()


def plugin_files() -> Iterator[Path]:
    for folder in ("plugins", "tasks"):
        yield from (ROOT / folder).rglob("*.py")


def imported(path: Path) -> Iterator[str]:
    """Yield the modules of harness that a plugin imports; names of `harness` are no modules."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "harness":
            names = [alias.name for alias in node.names]
            inside = [n for n in names if (ROOT / "harness" / n / "__init__.py").is_file()]
            inside += [n for n in names if (ROOT / "harness" / f"{n}.py").is_file()]
            yield from (f"harness.{name}" for name in inside)
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.startswith("harness."))
