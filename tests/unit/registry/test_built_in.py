"""Built-in files are plugins as users write them, and templates pass every check."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from plugin_files import ROOT

import harness
from harness import Registry
from harness.conformance import check_component
from harness.conformance.samples import sample_parameters
from harness.errors import PluginError
from harness.registry.component import KINDS
from harness.registry.modules import origin_of, plugin_files
from harness.registry.new_plugin import FOLDER, new_plugin

FOLDERS = [ROOT / "plugins", ROOT / "tasks"]
BUILT_IN = sorted(path for folder in FOLDERS for path in folder.rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the module and the name of every import of a file, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, ""
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield "." * node.level + (node.module or ""), alias.name


@pytest.mark.parametrize("path", BUILT_IN, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_built_in_files_import_only_what_users_may(path: Path) -> None:
    public = set(harness.__all__)
    for module, name in imports(path):
        top = module.partition(".")[0]
        assert top not in ("plugins", "tasks", "tests"), f"{module} is another plugin"
        if top == "":  # beside it in a folder that is one plugin, or a helper of several
            beside = module.count(".") == 1 and (path.parent / "__init__.py").is_file()
            assert beside or module.lstrip(".").startswith("_"), module
        if top == "harness":
            assert module == "harness", f"{module} is private"
            if not name:  # the package alone, whose modules are loaded when they are used
                continue
            assert name in public, f"harness.{name} is not public"


def test_every_built_in_file_brings_a_component() -> None:
    registry = Registry.load()
    assert registry.set_aside == []
    plugins = [origin_of(path) for folder in FOLDERS for path in plugin_files(folder)]
    assert plugins and all(registry.plugins[origin] for origin in plugins)


def write_template(kind: str, folder: Path, name: str = "my-own-2") -> Path:
    from harness.cli.plugins_ import command

    done = CliRunner().invoke(command, ["new", kind, name, "--folder", str(folder)])
    assert done.exit_code == 0, done.output
    path = Path(done.stdout.strip())
    assert done.stderr == f"check it with: limitbench plugins check {path}\n"
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_every_template_passes_the_conformance_checks(kind: str, tmp_path: Path) -> None:
    path = write_template(kind, tmp_path)
    assert path == tmp_path / "my_own_2.py"
    registry = Registry.load([tmp_path])
    assert registry.set_aside == []
    (component,) = registry.plugins[str(path)]
    assert (component.kind, component.name) == (kind, "my-own-2")
    parameters = sample_parameters(component)
    assert parameters == {}, "a template runs as it is"
    checks = check_component(component, parameters, [str(tmp_path)])
    assert len(checks) > 2
    assert [f"{c.name}: {c.failure}" for c in checks if c.failure] == []


def test_every_kind_has_a_template_and_a_task_takes_few_lines() -> None:
    assert {path.name for path in FOLDER.iterdir()} - {"__pycache__"} == {f"{k}.py" for k in KINDS}
    assert len([line for line in new_plugin("task", "x").splitlines() if line.strip()]) <= 25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["task", "My Task"],
            "name 'My Task': allowed are lower-case words joined by hyphens, as in 'two-moons'",
        ),
        (["task", "../x"], "name '../x': allowed are lower-case words joined by hyphens"),
        (["task", "there"], "there.py exists; choose another name, or remove it first"),
        (["task", "x", "--folder", "nowhere"], "nowhere: no such folder; make it first"),
    ],
)
def test_a_new_file_is_refused_in_words(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.cli.plugins_ import command

    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.py").write_text("mine")
    done = CliRunner().invoke(command, ["new", *arguments])
    assert isinstance(done.exception, PluginError)
    assert message in str(done.exception)
    assert (tmp_path / "there.py").read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["there.py"]
