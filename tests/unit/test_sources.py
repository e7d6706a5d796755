"""Source files of a component: edits that count, edits that do not, and files that are followed."""

from __future__ import annotations

import functools
import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import Component, Params, Registry, task
from harness.registry.declare import MARK
from harness.registry.sources import Place, files_beside, source_digest, source_files

TASK = '''
from harness import Params, task

class Own(Params):
    points: int = 4
    """How many."""

@task("own", version="1")
def own(params: Own, seed: int):
    """A task of a test."""
    import _lazily
    return _lazily.make(params.points + 1)
'''
FACTORY = '''
from harness import Params, task

def made(scale):
    @task("own", version="1")
    def own(params: Params, seed: int):
        """A task of a test."""
        return scale
    return own
'''
HELPER = (
    '"""Helps."""\n\nimport numpy\n\nimport _deeper\n\ndef make(points):\n    return points * 2\n'
)


@pytest.fixture(autouse=True)
def forget_test_modules() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("limitbench_plugin", "installed_")):
            del sys.modules[name]


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = folder / f"{name.replace('__in__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def own(folder: Path, **files: str) -> Component:
    """Return the component of a folder with two helpers, after some files were changed."""
    first = {"task": TASK, "_lazily": HELPER, "_deeper": "SCALE = 1.0\n", "_other": "x = 1\n"}
    write(folder, **{**first, **files})
    return Registry.load([folder]).get("task", "own")


def names(files: tuple[Path, ...], folder: Path) -> list[str]:
    return [f.relative_to(folder).as_posix() for f in files]


def test_the_files_are_the_plugin_and_what_it_imports_wherever(tmp_path: Path) -> None:
    found = source_files(own(tmp_path))
    assert names(found, tmp_path) == ["_deeper.py", "_lazily.py", "task.py"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("task", TASK.replace("+ 1", "+ 2")),
        ("task", TASK.replace("= 4", "= 5")),
        ("_lazily", HELPER.replace("* 2", "* 3")),
        ("_lazily", HELPER.replace("* 2", "* 2.0")),
        ("_deeper", "SCALE = 2.0\n"),
        ("_deeper", "SCALE = 1\n"),
        ("_deeper", "SCALE = True\n"),
        ("_deeper", "SCALE = None\n"),
        ("_deeper", "SCALE = '1.0'\n"),
        ("_deeper", "SCALE = b'1.0'\n"),
        ("_deeper", "SCALE = \n"),
    ],
)
def test_an_edit_that_may_change_results_changes_the_digest(
    tmp_path: Path, file: str, text: str
) -> None:
    before = source_digest(own(tmp_path))
    assert source_digest(own(tmp_path, **{file: text})) != before


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("task", TASK.replace("A task of a test.", "Another summary.")),
        ("task", TASK.replace("How many.", "How many points.")),
        ("task", TASK.replace("params.points + 1", "(  params.points+1 )  # more\n")),
        ("_lazily", HELPER.replace('"""Helps."""', "# helps\n")),
        ("_lazily", HELPER.replace("\n", "\r\n")),
        ("_lazily", HELPER + "'\\d'\n"),
        ("_deeper", "SCALE = 1.00\n"),
        ("_other", "x = 2\n"),
        ("_new", "y = 1\n"),
    ],
)
def test_comments_formatting_docstrings_and_other_files_do_not(
    tmp_path: Path, file: str, text: str
) -> None:
    before = source_digest(own(tmp_path))
    assert source_digest(own(tmp_path, **{file: text})) == before


def test_neither_the_place_of_the_folder_nor_the_name_of_the_file_counts(tmp_path: Path) -> None:
    before = source_digest(own(tmp_path / "a"))
    shutil.copytree(tmp_path / "a", tmp_path / "deep" / "b")
    (tmp_path / "deep" / "b" / "task.py").rename(tmp_path / "deep" / "b" / "zz.py")
    moved = Registry.load([tmp_path / "deep" / "b"]).get("task", "own")
    assert source_digest(moved) == before


def test_helpers_that_change_places_change_the_digest(tmp_path: Path) -> None:
    one, two = "import _deeper\nx = 1\n", "import _lazily\nx = 2\n"
    before = source_digest(own(tmp_path, _lazily=one, _deeper=two))
    other = own(tmp_path, _lazily=two.replace("_lazily", "_deeper"), _deeper=one)
    assert source_digest(other) != before


def test_a_helper_that_does_not_parse_counts_by_its_bytes(tmp_path: Path) -> None:
    one, two, three = (
        source_digest(own(tmp_path, _deeper=text)) for text in ("x = (", "x = [", "x = (")
    )
    assert one == three != two
    deep = "x = " + "-" * 20000 + "1"  # too deep for a parser
    assert source_digest(own(tmp_path, _deeper=deep)) not in (one, two)


@pytest.mark.parametrize(
    "statement",
    [
        "from ._helper import x",
        "from . import _helper",
        "from ..deep._helper import x",
        "from ..deep import *",
        "import deep._helper",
        "from deep import _helper",
        "import importlib; importlib.import_module('._helper', __package__)",
        "def later():\n    from deep._helper import x",
    ],
)
def test_every_way_to_import_a_sibling_is_followed(tmp_path: Path, statement: str) -> None:
    write(tmp_path, deep__in____init__="", deep__in___helper="x = 1", deep__in__one=statement)
    file = tmp_path / "deep" / "one.py"
    assert tmp_path / "deep" / "_helper.py" in files_beside(file, Place(tmp_path))


@pytest.mark.parametrize(
    "statement",
    [
        "from ..... import _helper",
        "import numpy, harness",
        "from . import nothing",
        "from os import *",
    ],
)
def test_what_lies_outside_is_not_followed(tmp_path: Path, statement: str) -> None:
    write(tmp_path / "in", one=statement, _helper="x = 1")
    write(tmp_path, _helper="x = 1")
    file = tmp_path / "in" / "one.py"
    assert files_beside(file, Place(tmp_path / "in")) == (file,)


def test_a_circle_of_imports_ends(tmp_path: Path) -> None:
    write(tmp_path, one="from . import two", two="from . import one")
    found = files_beside(tmp_path / "one.py", Place(tmp_path))
    assert names(found, tmp_path) == ["one.py", "two.py"]


def test_of_a_package_only_what_is_imported_counts_with_its_init(tmp_path: Path) -> None:
    write(
        tmp_path,
        kit__in____init__="from . import solver",
        kit__in__solver="from .inner import a",
        kit__in__inner__in____init__="",
        kit__in__inner__in__a="",
        kit__in__inner__in__b="",
        kit__in__unused="",
    )
    found = names(files_beside(tmp_path / "kit" / "__init__.py", Place(tmp_path)), tmp_path)
    init, inner = "kit/__init__.py", "kit/inner/__init__.py"
    assert found == [init, inner, "kit/inner/a.py", "kit/solver.py"]


def test_an_installed_plugin_is_followed_within_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = TASK.replace("import _lazily", "from installed_kit.tools import _lazily")
    write(
        tmp_path,
        installed_kit__in____init__="",
        installed_kit__in__plugin=plugin,
        installed_kit__in__tools__in____init__="",
        installed_kit__in__tools__in___lazily="import numpy, installed_other",
        installed_kit__in__unused="",
        installed_other="x = 1",
        installed_alone=TASK.replace("import _lazily", "import installed_other"),
    )
    monkeypatch.syspath_prepend(tmp_path)

    def files(module: str) -> list[str]:
        component = vars(importlib.import_module(module).own)[MARK]
        return names(source_files(component), tmp_path)

    kit = "installed_kit"
    assert files("installed_kit.plugin") == [
        f"{kit}/__init__.py",
        f"{kit}/plugin.py",
        f"{kit}/tools/__init__.py",
        f"{kit}/tools/_lazily.py",
    ]
    assert files("installed_alone") == ["installed_alone.py"], "others there are not its own"


NAMED = "from pathlib import Path\n\ndef look():\n    return Path(__file__).parent / {name}\n"


@pytest.mark.parametrize(
    ("helper", "file"),
    [
        (NAMED.format(name="'coef.json'"), "coef.json"),
        (NAMED.format(name="'data/coef.csv'"), "data/coef.csv"),
        (NAMED.format(name="f'{kind}.toml'"), "deep/other.toml"),
        ("import runpy\nrunpy.run_path('_exec.py')\n", "_exec.py"),
        ("import importlib\nimportlib.import_module(f'._{name}', __package__)\n", "_fast.py"),
    ],
)
def test_the_source_of_a_plugin_has_files_that_it_names_and_computed_imports(
    helper: str, file: str, tmp_path: Path
) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)

    def digest(text: str, name: str = "task") -> str:
        path.write_text(text)
        (tmp_path / "task.py").write_text(TASK)
        write(tmp_path, _lazily=helper, _deeper="")
        registry = Registry.load([tmp_path])
        return registry.source(registry.get("task", "own"))

    assert digest("x = 1") != digest("x = 2")
    assert digest("x = 2") == digest("x = 2")


def test_the_source_of_a_plugin_has_its_own_file_though_a_helper_makes_its_components(
    tmp_path: Path,
) -> None:
    plugin = (
        "from ._factory import made\n\nSCALE = {}\n\n"
        "def limitbench_components():\n    return [vars(made(SCALE))['__limitbench_component__']]\n"
    )
    found = set()
    for scale in (1.0, 2.0):
        write(tmp_path, _factory=FACTORY, hooked=plugin.format(scale))
        registry = Registry.load([tmp_path])
        found.add(registry.source(registry.get("task", "own")))
    assert len(found) == 2


def test_results_beside_a_plugin_are_no_part_of_its_source(tmp_path: Path) -> None:
    registry = Registry.load([write(tmp_path, task=TASK, _lazily="NAME = 'cell.json'\n")])
    before = registry.source(registry.get("task", "own"))
    results = tmp_path / "results"
    results.mkdir()
    (results / "limitbench.json").write_text("{}")
    (results / "cell.json").write_text("{}")
    registry = Registry.load([tmp_path])
    assert registry.source(registry.get("task", "own")) == before


def test_a_wrapped_component_is_found_and_one_without_a_file_has_no_digest() -> None:
    def make(own: int, params: Params, seed: int) -> Any: ...

    @task("here", version="1")
    def here(params: Params, seed: int) -> Any: ...

    component: Component = vars(here)[MARK]
    partial = Component(
        kind="task", name="p", version="1", params=Params, make=functools.partial(make, 1)
    )
    assert source_files(partial) == source_files(component) == (Path(__file__),)
    made = Component(kind="task", name="b", version="1", params=Params, make=len)
    assert (source_files(made), source_digest(made)) == ((), "")


def test_every_built_in_component_has_a_digest_of_its_own_files() -> None:
    registry = Registry.load()
    for component in registry.components():
        origin = Path(registry.origin(component))
        files = {origin} if origin.is_file() else set(origin.glob("*.py"))
        helpers = set(origin.parent.glob("_*.py"))
        assert files <= set(source_files(component)) <= files | helpers
        assert len(source_digest(component)) == 64
