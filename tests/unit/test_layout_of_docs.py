"""Lists of folders and modules in the documentation are those of the tree."""

from __future__ import annotations

import ast
import importlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

import harness
from harness.registry.component import KINDS, Kind

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
    assert [name for name in named(words) if not hasattr(found, name)] == []


def test_what_plugins_use_of_modules_is_listed() -> None:
    listed = {f"{module}.{name}" for module, words in MODULES for name in named(words)}
    used = {name for path in plugin_files() for name in attributes(path)}
    assert used - listed == set()


def test_names_of_harness_are_those_of_the_package() -> None:
    block = REFERENCE.partition("## Modules for plugins")[0]
    listed = set(re.findall(r"^\| `(\w+)`", block, flags=re.MULTILINE))
    modules = {name.partition(".")[2] for name, _ in MODULES}
    assert listed == set(harness.__all__) - modules


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind != "claim"], ids=lambda kind: f"{kind}s"
)
def test_the_contents_name_every_component_of_a_kind(kind: Kind) -> None:
    contents = (ROOT / "README.md").read_text().partition("## Contents")[2]
    plural = "theories" if kind == "theory" else f"{kind}s"
    (row,) = re.findall(rf"^\| {plural} \| (.*) \|$", contents, flags=re.MULTILINE)
    names = {component.name for component in harness.Registry.load().components(kind)}
    assert names - set(re.findall(r"`([\w/-]+)`", row)) == set()


def test_the_reference_names_every_setting_of_a_stage() -> None:
    (line,) = re.findall(r"^\| `Stage` \| .*: (.*)\. \|$", REFERENCE, flags=re.MULTILINE)
    settings = [field.name for field in fields(harness.Stage) if field.repr]
    assert line.split(", ") == settings


def named(words: str) -> list[str]:
    return re.findall(r"`(\w+)`", words)


def plugin_files() -> Iterator[Path]:
    for folder in ("plugins", "tasks"):
        yield from (ROOT / folder).rglob("*.py")


def attributes(path: Path) -> Iterator[str]:
    """Yield what a plugin takes from modules of harness, as ``harness.module.name``."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
            inner = node.value
            if isinstance(inner.value, ast.Name) and inner.value.id == "harness":
                yield f"harness.{inner.attr}.{node.attr}"
