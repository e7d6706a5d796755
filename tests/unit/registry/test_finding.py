"""Plugins come from files, folders and installed packages, and are looked up by name."""

from __future__ import annotations

import importlib
import os
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from plugin_files import ROOT, exactly, load, names, task_file

from harness import LimitbenchError, Registry
from harness.errors import PluginError
from harness.registry.component import KINDS

# ---------------------------------------------------------------- files that load


def test_a_file_brings_several_components(tmp_path: Path) -> None:
    registry = load(tmp_path, a=task_file("one") + task_file("two", "other"))
    assert registry.set_aside == []
    assert [c.name for c in registry.plugins[str(tmp_path / "a.py")]] == ["one", "two"]


def test_a_component_that_a_file_imports_is_not_its_own(tmp_path: Path) -> None:
    registry = load(tmp_path, first=task_file("one"), second="from .first import make")
    assert registry.set_aside == []
    assert registry.plugins[str(tmp_path / "second.py")] == []


def test_folders_within_a_folder_are_searched_and_underscores_skipped(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "one.py").write_text(task_file("deep-task"))
    (tmp_path / "_helper.py").write_text("raise RuntimeError")
    (tmp_path / "__init__.py").write_text("raise RuntimeError")
    registry = Registry.load([tmp_path])
    assert "deep-task" in names(registry)
    assert registry.set_aside == []


def test_two_files_of_one_name_in_two_folders_both_load(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.py").write_text(task_file(f"from-{folder}"))
    registry = Registry.load([tmp_path / "a", tmp_path / "b"])
    assert {"from-a", "from-b"} <= names(registry)


def test_a_folder_given_twice_is_loaded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMITBENCH_PLUGIN_DIR", str(tmp_path))
    (tmp_path / "a.py").write_text(task_file("mine"))
    assert Registry.load([tmp_path, tmp_path / "."]).set_aside == []


def test_a_plugin_that_prints_leaves_stdout_clean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = load(tmp_path, a="print('hello')\n" + task_file("mine"))
    assert "mine" in names(registry)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "hello" in captured.err


def test_a_file_may_define_dataclasses_and_annotations_as_strings(tmp_path: Path) -> None:
    text = "from __future__ import annotations\nimport dataclasses\n" + task_file("mine")
    text += "\n@dataclasses.dataclass\nclass Point:\n    x: int\n"
    registry = load(tmp_path, a=text)
    assert registry.set_aside == []
    assert "mine" in names(registry)


# ---------------------------------------------------------------- where plugins come from


def test_folders_come_from_the_environment_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "plugin.py").write_text(task_file(f"from-{folder}"))
    both = os.pathsep.join([str(tmp_path / "a"), "", str(tmp_path / "b")])
    monkeypatch.setenv("LIMITBENCH_PLUGIN_DIR", both)
    assert {"from-a", "from-b"} <= names(Registry.load())


@pytest.mark.parametrize("source", ["argument", "environment"])
def test_a_folder_that_is_not_there_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    missing = tmp_path / "nowhere"
    if source == "environment":
        monkeypatch.setenv("LIMITBENCH_PLUGIN_DIR", str(missing))
    message = (
        f"plugin folder {missing}: no such folder; --plugin-dir (or LIMITBENCH_PLUGIN_DIR)"
        " takes a folder of .py files, or one file"
    )
    with pytest.raises(PluginError, match=exactly(message)):
        Registry.load([missing] if source == "argument" else [])


def test_one_file_may_stand_in_place_of_a_folder(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / f"{name}.py").write_text(task_file(f"{name}-task"))
    registry = Registry.load([tmp_path / "one.py"])
    assert "one-task" in names(registry)
    assert "other-task" not in names(registry)


def test_a_file_that_is_no_python_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "plugin.txt"
    path.write_text(task_file("mine"))
    with pytest.raises(PluginError, match=r"takes a folder of \.py files, or one file$"):
        Registry.load([path])


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path, into which a test installs distributions."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if name.startswith("installed_"):
            del sys.modules[name]


def install(site: Path, module: str, text: str, target: str | None = None) -> None:
    """Install a distribution with one module and one entry point."""
    (site / f"{module}.py").write_text(textwrap.dedent(text))
    info = site / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[limitbench]\n{module} = {target or module}\n")
    importlib.invalidate_caches()


def test_an_installed_package_needs_no_other_registration(site: Path) -> None:
    install(site, "installed_one", task_file("installed"))
    registry = Registry.load()
    component = registry.get("task", "installed")
    assert registry.origin(component) == "entry point installed_one"
    assert registry.set_aside == []


def test_an_entry_point_may_be_an_object_with_the_hook(site: Path) -> None:
    text = """
    from harness import hookimpl
    from harness.registry import Component
    from harness import Params

    class Own(Params): ...

    class Plugin:
        @hookimpl
        def limitbench_components(self):
            return [Component(kind="task", name="of-object", version="1", params=Own, make=print)]

    plugin = Plugin()
    """
    install(site, "installed_two", text, "installed_two:plugin")
    assert "of-object" in names(Registry.load())


@pytest.mark.parametrize(
    ("text", "target", "reason"),
    [
        ("raise RuntimeError('boom')", None, "RuntimeError: boom"),
        ("import sys; sys.exit(1)", None, "called sys.exit(1) on load"),
        ("", "installed_bad:nothing", "AttributeError: module 'installed_bad' has no attribute"),
        ("", "installed_absent", "ModuleNotFoundError: No module named 'installed_absent'"),
    ],
    ids=["raises", "exits", "no such object", "no such module"],
)
def test_a_broken_entry_point_costs_only_itself(
    site: Path, text: str, target: str | None, reason: str
) -> None:
    install(site, "installed_good", task_file("installed"))
    install(site, "installed_bad", text, target)
    registry = Registry.load()
    (aside,) = registry.set_aside
    assert aside.origin == "entry point installed_bad"
    assert aside.reason.startswith(reason)
    assert "installed" in names(registry)


def test_bundled_plugins_come_first_then_entry_points_then_folders(
    site: Path, tmp_path: Path
) -> None:
    install(site, "installed_one", task_file("installed"))
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a.py").write_text(task_file("installed") + task_file("mine", "other"))
    registry = Registry.load([tmp_path / "own"])
    origins = list(registry.plugins)
    assert Path(origins[0]).is_relative_to(ROOT)
    assert origins[-1] == "entry point installed_one"
    assert registry.set_aside[0].reason == (
        "task 'installed' exists already, from entry point installed_one; choose another name"
    )


# ---------------------------------------------------------------- looking up


def test_components_are_ordered_by_kind_and_name() -> None:
    found = [(KINDS.index(c.kind), c.name) for c in Registry.load().components()]
    assert found == sorted(found)


@pytest.mark.parametrize(
    ("kind", "name", "nearest"),
    [
        ("task", "image-piars", "; did you mean 'image-pairs'?"),
        ("architecture", "mpl", "; did you mean 'mlp'?"),
        ("theory", "mean-feild", "; did you mean 'mean-field'?"),
        ("regime", "zzz", ""),
    ],
)
def test_an_unknown_name_is_an_error_that_lists_the_known(
    kind: Any, name: str, nearest: str
) -> None:
    registry = Registry.load()
    known = ", ".join(c.name for c in registry.components(kind))
    with pytest.raises(
        PluginError, match=exactly(f"unknown {kind} {name!r}{nearest}; known are {known}")
    ):
        registry.get(kind, name)


def test_every_error_for_users_has_an_exit_code() -> None:
    found: list[type[LimitbenchError]] = [LimitbenchError, *LimitbenchError.__subclasses__()]
    assert {e.__name__: e.exit_code for e in found if e.__module__ == "harness.errors"} == {
        "LimitbenchError": 2,
        "OutputError": 1,
        "SuiteError": 2,
        "PluginError": 2,
        "DataError": 2,
        "StoreError": 2,
        "ClusterError": 2,
        "NotEnoughError": 2,
        "DivergenceError": 1,
        "ObservableError": 1,
    }
