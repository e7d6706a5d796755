"""Plugins: how components are declared, found and refused, and what a broken file may not break."""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.metadata
import os
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

import harness
from harness import Component, LimitbenchError, Params, Registry, Stage, hookimpl, regime, task
from harness.conformance import check_component
from harness.conformance.samples import sample_parameters
from harness.errors import PluginError
from harness.registry import SetAside
from harness.registry.component import KINDS, is_component_name
from harness.registry.declare import MARK
from harness.registry.modules import PACKAGE, origin_of, plugin_files
from harness.registry.new_plugin import FOLDER, new_plugin
from harness.suites.faults import explain

ROOT = Path(__file__).parents[2]
FOLDERS = [ROOT / "plugins", ROOT / "tasks"]
BUILT_IN = sorted(path for folder in FOLDERS for path in folder.rglob("*.py"))

TASK = '''
import numpy as np
from harness import Dataset, Params, TransferData, task

class Own(Params):
    points: int = 4

@task("{name}", version="1")
def {function}(params: Own, seed: int) -> TransferData:
    """A task of a test."""
    x = np.random.default_rng(seed).standard_normal((params.points, 2))
    return TransferData(target=Dataset(x, x[:, 0]), target_test=Dataset(x, x[:, 0]))
'''


def task_file(name: str, function: str = "make") -> str:
    return TASK.format(name=name, function=function)


@pytest.fixture(autouse=True)
def no_folder_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIMITBENCH_PLUGIN_DIR", raising=False)


@pytest.fixture(autouse=True)
def forget_test_modules() -> Iterator[None]:
    """Files of a test are imported under names that hold their path; forget them afterwards."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(PACKAGE):
            del sys.modules[name]


def load(folder: Path, **files: str) -> Registry:
    """Write plugin files and load their folder."""
    for stem, text in files.items():
        (folder / f"{stem}.py").write_text(textwrap.dedent(text))
    return Registry.load([folder])


def names(registry: Registry) -> set[str]:
    return {c.name for c in registry.components()}


def asides(registry: Registry) -> dict[str, SetAside]:
    return {Path(a.origin).stem: a for a in registry.set_aside}


def the_only_reason(folder: Path, text: str) -> str:
    """Return why a file is set aside; nothing else may be."""
    registry = load(folder, broken=text, fine=task_file("fine"))
    assert "fine" in names(registry), "a broken plugin harms no other"
    (aside,) = registry.set_aside
    assert Path(aside.origin) == folder / "broken.py"
    assert aside.traceback.startswith("Traceback")
    assert len(aside.reason.splitlines()) == 1
    return aside.reason


def exactly(message: str) -> str:
    return f"^{re.escape(message)}$"


class Numbers(Params):
    count: int = Field(default=4, ge=1)
    """How many."""
    share: float = 0.5
    """Which part."""
    label: str = "x"
    """What it is called."""


# ---------------------------------------------------------------- decorators


def test_a_decorator_marks_and_returns_what_it_decorates() -> None:
    def make(params: Numbers) -> list[Stage]:
        """Do one thing.

        And explain it.
        """
        return [Stage(data="target", richness=1.0, steps=params.count)]

    decorated = regime("one-thing", version="2", tags={"b", "a"}, citation="someone")(make)
    assert decorated is make
    component = vars(make)[MARK]
    assert component == Component(
        kind="regime",
        name="one-thing",
        version="2",
        params=Numbers,
        make=make,
        tags=frozenset({"a", "b"}),
        citation="someone",
        summary="Do one thing.",
        doc="Do one thing.\n\nAnd explain it.",
    )
    assert component.make(component.parse({"count": 3}))[0].steps == 3


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "claim"])
def test_every_kind_has_a_decorator_of_its_name(kind: str) -> None:
    def make(params: Numbers) -> None: ...

    getattr(harness, kind)("a-name", version="1")(make)
    assert vars(make)[MARK].kind == kind


def test_a_claim_says_what_it_claims_and_where() -> None:
    @harness.claim(
        "one-claim",
        version="3",
        statement="It holds.",
        source="someone",
        experiments=["a-*"],
        order=4,
    )
    def one(evidence: harness.Evidence) -> harness.Judgement: ...

    component = vars(one)[MARK]
    assert (component.kind, component.version, component.order) == ("claim", "3", 4)
    assert (component.statement, component.summary) == ("It holds.", "It holds.")
    assert (component.citation, component.experiments) == ("someone", ("a-*",))


def test_a_theory_takes_its_parameters_where_it_is_made() -> None:
    @harness.theory("a-theory", version="1")
    class Solver:
        """Solve."""

        def __init__(self, params: Numbers) -> None:
            self.params = params

    component = vars(Solver)[MARK]
    assert component.params is Numbers
    assert component.make(component.parse({"share": 0.25})).params.share == 0.25


def test_a_task_may_say_how_its_data_are_fetched() -> None:
    fetched: list[Any] = []

    @task("a-task", version="1", prepare=fetched.append)
    def make(params: Numbers, seed: int) -> Any: ...

    assert vars(make)[MARK].prepare == fetched.append


def no_arguments() -> None: ...


def untyped(params, seed):  # type: ignore[no-untyped-def]
    ...


def wrong_type(params: dict, seed: int) -> None:  # type: ignore[type-arg]
    ...


@pytest.mark.parametrize("make", [no_arguments, untyped, wrong_type])
def test_a_component_without_a_parameter_model_is_refused(make: Any) -> None:
    message = (
        f"{make.__name__}: the first argument needs a type that derives from harness.Params,"
        " such as 'def my_task(params: MyParams, seed: int)'"
    )
    with pytest.raises(PluginError, match=exactly(message)):
        task("a-task", version="1")(make)


@pytest.mark.parametrize("name", ["mlp", "two-moons", "he2", "2-layer", "a-1-b"])
def test_names_are_lower_case_words_joined_by_hyphens(name: str) -> None:
    assert is_component_name(name)


@pytest.mark.parametrize(
    "name", ["", "-", "a-", "-a", "a--b", "My", "two moons", "two_moons", "é", "a/b", "..", "a\n"]
)
def test_other_names_are_refused_with_an_example(name: str) -> None:
    message = f"task name {name!r}: allowed are lower-case words joined by hyphens, as in 'my-task'"
    with pytest.raises(PluginError, match=exactly(message)):
        task(name, version="1")


# ---------------------------------------------------------------- parameters


def refusal(table: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as raised:
        numbers().parse(table)
    return "\n".join(fault.line("task") for fault in explain(raised.value, table, Numbers))


@functools.cache
def numbers() -> Component:
    @task("numbers", version="1")
    def make(params: Numbers, seed: int) -> Any: ...

    found: Component = vars(make)[MARK]
    return found


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"conut": 3},
            "task.conut: unknown parameter 'conut'; did you mean 'count'?;"
            " allowed are count, label, share",
        ),
        (
            {"zzz": 3},
            "task.zzz: unknown parameter 'zzz'; allowed are count, label, share",
        ),
        ({"count": 0}, "task.count = 0: at least 1"),
        ({"count": "3"}, 'task.count = "3": a whole number'),
        ({"count": 3.0}, "task.count = 3.0: a whole number"),
        ({"count": True}, "task.count = true: a whole number"),
        ({"share": "0.5"}, 'task.share = "0.5": a number'),
        ({"share": float("nan")}, "task.share = NaN: a finite number"),
        ({"share": float("inf")}, "task.share = Infinity: a finite number"),
        ({"label": 3}, "task.label = 3: text in quotes"),
        ({"label": None}, "task.label = null: text in quotes"),
        (
            {"count": 0, "share": "x"},
            'task.count = 0: at least 1\ntask.share = "x": a number',
        ),
    ],
)
def test_parameters_are_strict(table: dict[str, Any], message: str) -> None:
    assert refusal(table) == message


def test_whole_numbers_are_numbers() -> None:
    assert numbers().parse({"share": 1}).model_dump() == {"count": 4, "share": 1.0, "label": "x"}


def test_parameters_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        numbers().parse({}).count = 5  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["source-points", "count ", "3d"])
def test_an_unknown_parameter_need_not_be_an_identifier(name: str) -> None:
    assert f"unknown parameter {name!r}" in refusal({name: 3})


def test_a_date_is_no_string() -> None:
    import datetime

    assert refusal({"label": datetime.date(1979, 5, 27)})


@given(st.dictionaries(st.sampled_from(["count", "share"]), st.integers(1, 9)))
def test_complete_parameters_parse_to_themselves(table: dict[str, Any]) -> None:
    once = numbers().parse(table)
    assert numbers().parse(once.model_dump(mode="json")) == once


# ---------------------------------------------------------------- files that are set aside


def test_a_file_that_raises_is_set_aside_with_its_traceback(tmp_path: Path) -> None:
    reason = the_only_reason(tmp_path, 'raise RuntimeError("no such\\n luck")')
    assert reason == "RuntimeError: no such luck"


def test_the_traceback_names_the_line_that_raised(tmp_path: Path) -> None:
    registry = load(tmp_path, broken="\n\nraise RuntimeError('here')")
    assert 'broken.py", line 3' in asides(registry)["broken"].traceback


@pytest.mark.parametrize(
    ("code", "shown"), [("sys.exit(4)", "4"), ("sys.exit()", "None"), ("sys.exit('no')", "'no'")]
)
def test_a_file_that_exits_is_set_aside(tmp_path: Path, code: str, shown: str) -> None:
    reason = the_only_reason(tmp_path, f"import sys\n{code}")
    assert reason == f"called sys.exit({shown}) on load; a plugin must not end the program"


def test_even_an_error_beyond_exception_is_set_aside(tmp_path: Path) -> None:
    reason = the_only_reason(tmp_path, "class Odd(BaseException): ...\nraise Odd('odd')")
    assert reason == "Odd: odd"


def test_ctrl_c_while_loading_is_not_swallowed(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        load(tmp_path, slow="raise KeyboardInterrupt")


def test_a_file_that_is_not_python_is_set_aside(tmp_path: Path) -> None:
    assert the_only_reason(tmp_path, "def (:").startswith("SyntaxError: ")


def test_a_file_that_is_not_text_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe\x00")
    assert "bytes" in asides(load(tmp_path))


def test_a_missing_import_is_named(tmp_path: Path) -> None:
    reason = the_only_reason(tmp_path, "import no_such_library")
    assert reason == "ModuleNotFoundError: No module named 'no_such_library'"


def test_a_wrong_decoration_is_set_aside(tmp_path: Path) -> None:
    text = task_file("My Task")
    assert the_only_reason(tmp_path, text) == (
        "task name 'My Task': allowed are lower-case words joined by hyphens, as in 'my-task'"
    )


def test_a_clash_with_a_built_in_name_is_set_aside(tmp_path: Path) -> None:
    reason = the_only_reason(tmp_path, task_file("linear-transfer"))
    origin = ROOT / "tasks" / "linear_transfer.py"
    assert reason == (f"task 'linear-transfer' exists already, from {origin}; choose another name")


def test_of_two_files_that_clash_the_first_is_kept(tmp_path: Path) -> None:
    registry = load(tmp_path, a=task_file("mine"), b=task_file("mine"))
    assert registry.origin(registry.get("task", "mine")) == str(tmp_path / "a.py")
    assert list(asides(registry)) == ["b"]


def test_a_clash_costs_the_file_all_its_components(tmp_path: Path) -> None:
    registry = load(tmp_path, a=task_file("mine") + task_file("linear-transfer", "other"))
    assert list(asides(registry)) == ["a"]
    assert "mine" not in names(registry)


def test_a_name_may_be_used_by_two_kinds(tmp_path: Path) -> None:
    text = """
    from harness import Params, Stage, regime

    class Own(Params): ...

    @regime("linear-transfer", version="1")
    def make(params: Own) -> list[Stage]:
        return [Stage(data="target", richness=1.0, steps=1)]
    """
    registry = load(tmp_path, a=text)
    assert registry.set_aside == []
    assert registry.get("regime", "linear-transfer").kind == "regime"
    assert registry.get("task", "linear-transfer").kind == "task"


def test_a_name_declared_twice_in_one_file_is_set_aside(tmp_path: Path) -> None:
    text = task_file("mine") + task_file("mine", "other")
    reason = the_only_reason(tmp_path, text)
    assert reason == "task 'mine' is declared twice; names are unique"


def test_an_alias_is_no_second_component(tmp_path: Path) -> None:
    registry = load(tmp_path, a=task_file("mine") + "\nalias = make\n")
    assert registry.set_aside == []


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


# ---------------------------------------------------------------- the registration hook


def test_a_hook_registers_what_decorators_cannot_see(tmp_path: Path) -> None:
    text = """
    from harness import Component, Params, hookimpl

    class Own(Params): ...

    @hookimpl
    def limitbench_components():
        return [
            Component(kind="task", name=f"made-{k}", version="1", params=Own, make=print)
            for k in range(3)
        ]
    """
    assert {"made-0", "made-1", "made-2"} <= names(load(tmp_path, a=text))


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ("[3]", "limitbench_components returned a int"),
        ("['mlp']", "limitbench_components returned a str"),
        ("3", "TypeError: 'int' object is not iterable"),
        ("None", "TypeError: 'NoneType' object is not iterable"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_hook_that_returns_something_else_is_set_aside(
    tmp_path: Path, returned: str, reason: str
) -> None:
    text = f"""
    from harness import hookimpl

    @hookimpl
    def limitbench_components():
        return {returned}
    """
    assert the_only_reason(tmp_path, text) == reason


def test_a_hook_with_an_argument_that_does_not_exist_is_set_aside_with_all_its_hooks(
    tmp_path: Path,
) -> None:
    text = """
    from harness import hookimpl

    @hookimpl
    def limitbench_cell_finished(experiment):
        return "still called"

    @hookimpl
    def limitbench_report_section(resluts): ...
    """
    reason = the_only_reason(tmp_path, text)
    assert "limitbench_report_section" in reason and "resluts" in reason
    assert Registry.load([tmp_path]).notify("limitbench_cell_finished", **FACTS) == []


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
        "OutputError": 2,
        "SuiteError": 2,
        "PluginError": 2,
        "DataError": 2,
        "StoreError": 2,
        "ClusterError": 2,
        "NotEnoughError": 2,
        "DivergenceError": 1,
    }


# ---------------------------------------------------------------- observers

FACTS = {"experiment": "e", "solver": "network", "folder": "f", "status": "done"}


def registry_with(**plugins: Any) -> Registry:
    registry = Registry()
    for name, plugin in plugins.items():
        registry.manager.register(plugin, name=name)
    return registry


def observer(function: Any) -> Any:
    """Return a plugin with one implementation of `limitbench_cell_finished`."""

    class Plugin:
        limitbench_cell_finished = staticmethod(hookimpl(function))

    return Plugin()


def test_observers_are_told_what_they_ask_for_and_answer_in_text() -> None:
    registry = registry_with(
        two=observer(lambda experiment, status: f"{experiment} {status}"),
        none=observer(lambda: None),
        number=observer(lambda: 3),
    )
    assert registry.notify("limitbench_cell_finished", **FACTS) == ["e done"]


def test_an_observer_that_raises_costs_only_its_own_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        raise RuntimeError("boom")

    registry = registry_with(
        before=observer(lambda: "before"), bad=observer(fail), after=observer(lambda: "after")
    )
    assert sorted(registry.notify("limitbench_cell_finished", **FACTS)) == ["after", "before"]
    assert capsys.readouterr().err == ("plugin bad: limitbench_cell_finished: RuntimeError: boom\n")


def test_an_observer_that_exits_costs_only_its_own_answer() -> None:
    registry = registry_with(bad=observer(lambda: sys.exit(3)), after=observer(lambda: "after"))
    assert registry.notify("limitbench_cell_finished", **FACTS) == ["after"]


def test_an_observer_that_prints_leaves_stdout_clean(capsys: pytest.CaptureFixture[str]) -> None:
    registry = registry_with(loud=observer(lambda: print("hello")))
    registry.notify("limitbench_cell_finished", **FACTS)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "hello\n")


# ---------------------------------------------------------------- built-in files and templates


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
    modules = {"claims", "networks", "numerics", "observables", "points", "stationary_ends"}
    public = {*harness.__all__, *modules}
    for module, name in imports(path):
        top = module.partition(".")[0]
        assert top not in ("plugins", "tasks", "tests"), f"{module} is another plugin"
        if top == "":  # beside it in a folder that is one plugin
            assert module.count(".") == 1 and (path.parent / "__init__.py").is_file(), module
        if top == "harness":
            assert module == "harness", f"{module} is private"
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
