"""Hooks register components and observe runs; one that fails costs only its own answer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from plugin_files import load, names, the_only_reason

from harness import Registry, hookimpl

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
