"""A broken file is set aside with a reason, as a whole, and harms no other."""

from __future__ import annotations

from pathlib import Path

import pytest
from plugin_files import ROOT, asides, load, names, task_file, the_only_reason


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
