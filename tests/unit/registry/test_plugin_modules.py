"""Every folder of plugins is a package: helpers beside plugins, packages, names, edits."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness import Component, Registry
from harness.errors import PluginError
from harness.registry.modules import PACKAGE, plugin_files

TASK = '''
import numpy as np
from harness import Dataset, Params, TransferData, task
{imports}

class Own(Params):
    points: int = 4
    """How many."""

@task("{name}", version="1")
def make(params: Own, seed: int) -> TransferData:
    """A task of a test."""
    rng = np.random.default_rng(seed)
    one, two = ({scale} * rng.standard_normal((params.points, 2)) for _ in range(2))
    return TransferData(target=Dataset(one, one[:, 0]), target_test=Dataset(two, two[:, 0]))
'''


def task_file(name: str, imports: str = "", scale: str = "1.0") -> str:
    return TASK.format(name=name, imports=imports, scale=scale)


SCALED = task_file("scaled", "from ._scale import SCALE", "SCALE")


@pytest.fixture(autouse=True)
def forget_test_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("LIMITBENCH_PLUGIN_DIR", raising=False)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(PACKAGE):
            del sys.modules[name]


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def scale(component: Component) -> float:
    """Return the size of a task's first input, against that of an unscaled one."""
    import numpy as np

    made = component.make(component.parse({}), 0)
    return float(made.target.x[0, 0] / np.random.default_rng(0).standard_normal())


def reasons(registry: Registry) -> dict[str, str]:
    return {Path(a.origin).name: a.reason for a in registry.set_aside}


def test_two_folders_may_each_have_a_helper_of_one_name(tmp_path: Path) -> None:
    for name in ("two", "five"):
        text = task_file(name, "from ._scale import SCALE", "SCALE")
        number = {"two": 2.0, "five": 5.0}[name]
        write(tmp_path / name, {"scaled.py": text, "_scale.py": f"SCALE = {number}"})
    for folders in ([tmp_path / "two", tmp_path / "five"], [tmp_path]):
        registry = Registry.load(folders)
        assert registry.set_aside == []
        assert scale(registry.get("task", "two")) == 2
        assert scale(registry.get("task", "five")) == 5


def test_a_file_given_alone_finds_its_helpers(tmp_path: Path) -> None:
    write(tmp_path, {"scaled.py": SCALED, "_scale.py": "from ._deep import SCALE"})
    write(tmp_path, {"_deep/__init__.py": "SCALE = 3.0", "other.py": task_file("other")})
    registry = Registry.load([tmp_path / "scaled.py"])
    assert scale(registry.get("task", "scaled")) == 3
    assert "other" not in {c.name for c in registry.components()}


def test_a_plugin_may_use_another_of_its_folder_and_both_are_plugins(tmp_path: Path) -> None:
    first = task_file("first", "from .second import Own as Other") + "assert Other is not Own\n"
    write(tmp_path, {"first.py": first, "second.py": task_file("second")})
    registry = Registry.load([tmp_path])
    assert registry.set_aside == []
    module = sys.modules[registry.get("task", "first").make.__module__]
    assert vars(module)["Other"] is registry.get("task", "second").params


def test_a_folder_with_an_init_below_a_plugin_folder_is_one_plugin(tmp_path: Path) -> None:
    files = {
        "kit/__init__.py": "from .solver import make\n",
        "kit/solver.py": task_file("kit", "from .inner.scale import SCALE", "SCALE"),
        "kit/inner/__init__.py": "",
        "kit/inner/scale.py": "from ..._shared import SCALE",
        "kit/broken.py": "raise RuntimeError('not a plugin')",
        "_shared.py": "SCALE = 7.0",
        "alone.py": task_file("alone"),
    }
    write(tmp_path, files)
    registry = Registry.load([tmp_path])
    assert registry.set_aside == []
    kit = registry.get("task", "kit")
    assert (registry.origin(kit), scale(kit)) == (str(tmp_path / "kit"), 7)
    assert registry.origin(registry.get("task", "alone")) == str(tmp_path / "alone.py")
    alone = Registry.load([tmp_path / "kit" / "__init__.py"])
    assert alone.get("task", "kit") is kit


def test_helpers_and_what_tools_leave_behind_are_no_plugins(tmp_path: Path) -> None:
    broken = "raise RuntimeError"
    places = ("_helper.py", "_lib/a.py", ".venv/lib/b.py", ".hidden.py", "__init__.py", "x.txt")
    write(tmp_path, dict.fromkeys(places, broken))
    write(tmp_path, {"deep/er/one.py": "", "a.py": "", "z.py": ""})
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "circle").symlink_to(tmp_path, target_is_directory=True)
    found = [p.relative_to(tmp_path).as_posix() for p in plugin_files(tmp_path)]
    assert found == ["a.py", "deep/er/one.py", "z.py"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "import _scale",
            "no module '_scale'; one beside a plugin is imported by a relative import:"
            " 'from . import _scale'",
        ),
        (
            "from kit.part import x",
            "no module 'kit'; one beside a plugin is imported by a relative import:"
            " 'from . import kit'",
        ),
        ("from ._scael import x", "ModuleNotFoundError: No module named '_scael'"),
        ("from . import nothing", "ImportError: cannot import name 'nothing' from its folder"),
        ("from .. import x", "ImportError: attempted relative import beyond top-level package"),
        ("from ._broken import x", "RuntimeError: boom"),
    ],
)
def test_an_import_that_fails_costs_its_plugin_and_says_why(
    tmp_path: Path, text: str, reason: str
) -> None:
    write(tmp_path, {"bad.py": text, "fine.py": SCALED, "_scale.py": "SCALE = 1"})
    write(tmp_path, {"_broken.py": "raise RuntimeError('boom')", "kit/part.py": "x = 1"})
    registry = Registry.load([tmp_path])
    assert reasons(registry) == {"bad.py": reason}
    assert registry.get("task", "scaled").name == "scaled"


def test_files_that_make_one_module_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path, {"a.b.py": task_file("dotted"), "c-d.py": task_file("hyphen")})
    write(tmp_path, {"same.py": task_file("file"), "same/__init__.py": task_file("folder")})
    registry = Registry.load([tmp_path])
    assert {"dotted", "hyphen", "folder"} <= {c.name for c in registry.components()}
    assert reasons(registry) == {
        "same.py": f"{tmp_path / 'same' / '__init__.py'} beside it makes a module of the same name;"
        " rename one of them"
    }


def test_a_folder_in_another_that_is_given_too_is_loaded_once(tmp_path: Path) -> None:
    write(tmp_path, {"in/scaled.py": SCALED, "in/_scale.py": "SCALE = 1", "in/bad.py": "1 / 0"})
    registry = Registry.load([tmp_path, tmp_path / "in", tmp_path / "in" / "scaled.py"])
    assert list(reasons(registry)) == ["bad.py"]
    assert len(registry.set_aside) == 1


# ---------------------------------------------------------------- names and edits


def test_what_a_plugin_defines_can_be_pickled_into_another_process(tmp_path: Path) -> None:
    write(tmp_path, {"scaled.py": SCALED, "_scale.py": "class Unit: ...\nSCALE = 2.0"})
    component = Registry.load([tmp_path]).get("task", "scaled")
    Registry.load([tmp_path])  # again, as checks of components do
    helper = sys.modules[f"{component.make.__module__.rpartition('.')[0]}._scale"]
    values = (component.parse({"points": 3}), component.make, vars(helper)["Unit"]())
    code = (
        "import pickle, sys; from harness import Registry\n"
        "registry = Registry.load([sys.argv[1]])\n"
        "params, make, unit = pickle.loads(sys.stdin.buffer.read())\n"
        "assert make is registry.get('task', 'scaled').make\n"
        "print(params.points, type(unit).__name__)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        input=pickle.dumps(values),
        capture_output=True,
        check=True,
    )
    assert ran.stdout.decode().split() == ["3", "Unit"]


def test_a_folder_that_is_unchanged_is_not_run_again(tmp_path: Path) -> None:
    write(tmp_path / "a", {"scaled.py": SCALED, "_scale.py": "SCALE = 2.0"})
    write(tmp_path / "b", {"other.py": task_file("other")})
    before = Registry.load([tmp_path])
    (tmp_path / "b" / "other.py").write_text(task_file("other", scale="2.0"))
    after = Registry.load([tmp_path])
    assert after.get("task", "scaled") is before.get("task", "scaled")
    assert after.get("task", "image-pairs") is before.get("task", "image-pairs")
    assert scale(after.get("task", "other")) == 2


def test_an_edited_helper_is_run_anew_however_little_was_changed(tmp_path: Path) -> None:
    """Compiled files would be taken for current: same size, same second."""
    write(tmp_path, {"scaled.py": SCALED, "_scale.py": "SCALE = 2.0"})
    for number in (2.0, 5.0, 2.0):
        (tmp_path / "_scale.py").write_text(f"SCALE = {number}")
        assert scale(Registry.load([tmp_path]).get("task", "scaled")) == number
    assert not list(tmp_path.rglob("__pycache__")), "nothing is written to users' folders"


def test_a_plugin_that_was_mended_or_broken_is_seen(tmp_path: Path) -> None:
    write(tmp_path, {"scaled.py": SCALED})
    assert list(reasons(Registry.load([tmp_path]))) == ["scaled.py"]
    write(tmp_path, {"_scale.py": "SCALE = 2.0"})
    assert scale(Registry.load([tmp_path]).get("task", "scaled")) == 2
    (tmp_path / "_scale.py").unlink()
    assert list(reasons(Registry.load([tmp_path]))) == ["scaled.py"]


# ---------------------------------------------------------------- `plugins check`


def check(name: Path, *options: str) -> str:
    from harness.cli.plugins_ import command

    done = CliRunner().invoke(command, ["check", str(name), *options])
    if isinstance(done.exception, PluginError):
        return str(done.exception)
    return done.stdout


@pytest.mark.parametrize("options", [[], ["--plugin-dir"]], ids=["alone", "folder given too"])
def test_one_file_is_checked_with_its_helpers(tmp_path: Path, options: list[str]) -> None:
    write(tmp_path, {"scaled.py": SCALED, "_scale.py": "SCALE = 2.0"})
    lines = check(tmp_path / "scaled.py", *options, *([str(tmp_path)] if options else []))
    assert lines and all(line.startswith("ok ") for line in lines.splitlines())


def test_a_folder_that_is_one_plugin_is_checked_by_its_name(tmp_path: Path) -> None:
    write(tmp_path, {"kit/__init__.py": "from .solver import make"})
    write(tmp_path, {"kit/solver.py": task_file("kit")})
    for name in ("kit", "kit/__init__.py"):
        lines = check(tmp_path / name)
        assert lines and all(line.startswith("ok      task kit") for line in lines.splitlines())
    (tmp_path / "kit" / "__init__.py").write_text("1 / 0")
    assert check(tmp_path / "kit").endswith("kit: set aside: ZeroDivisionError: division by zero")


def test_a_folder_of_plugins_is_refused_with_advice(tmp_path: Path) -> None:
    write(tmp_path, {"plugins/scaled.py": SCALED})
    assert check(tmp_path / "plugins") == (
        f"{tmp_path / 'plugins'}: a folder without __init__.py is no plugin; give one of its files"
    )
