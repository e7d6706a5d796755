"""The built-in tasks at small sizes: how tests draw their data, or ask why they are refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from harness import Component, DataError, Registry, TransferData
from harness.conformance.samples import TABLE as TABLE_SAMPLE
from harness.suites.faults import explain

REGISTRY = Registry.load()

LINEAR: dict[str, Any] = {
    "dimension": 12,
    "source_points": 7,
    "target_points": 5,
    "test_points": 30,
    "alignment": 0.6,
}
POLYNOMIAL: dict[str, Any] = {
    "dimension": 10,
    "source_degree": 2,
    "target_degree": 3,
    "alignment": 0.5,
    "source_points": 7,
    "target_points": 5,
    "test_points": 30,
}
MULTI_INDEX: dict[str, Any] = {
    "dimension": 9,
    "directions": 3,
    "source_directions": 2,
    "source_points": 7,
    "target_points": 5,
    "test_points": 30,
}
TABLE: dict[str, Any] = TABLE_SAMPLE | {"source_points": 7, "target_points": 5, "test_points": 9}
IMAGES: dict[str, Any] = {"source_points": 21, "target_points": 14, "test_points": 17}
TASKS = {
    "linear-transfer": LINEAR,
    "polynomial-transfer": POLYNOMIAL,
    "multi-index": MULTI_INDEX,
    "image-pairs": IMAGES,
    "image-classes": IMAGES,
    "table": TABLE,
}
SETS = ("source", "source_test", "target", "target_test")


def component(name: str) -> Component:
    return REGISTRY.get("task", name)


def draw(name: str, seed: int = 0, **changes: Any) -> TransferData:
    task = component(name)
    made = task.make(task.parse(TASKS[name] | changes), seed)
    assert isinstance(made, TransferData)
    return made


def one_line(message: str) -> str:
    assert message and len(message.splitlines()) == 1
    return message


def refused(name: str, **changes: Any) -> str:
    """Return the line that a user sees for parameters that are not allowed."""
    task = component(name)
    with pytest.raises(ValidationError) as raised:
        task.parse(TASKS[name] | changes)
    faults = explain(raised.value, TASKS[name] | changes, task.params)
    return one_line("\n".join(fault.line("task") for fault in faults))


def impossible(name: str, **changes: Any) -> str:
    """Return the line that a user sees for data that cannot be drawn."""
    with pytest.raises(DataError) as raised:
        draw(name, **changes)
    return one_line(str(raised.value))


def rows(data: TransferData, name: str) -> set[bytes]:
    return {row.tobytes() for row in data.sets()[name].x}


def in_a_new_process(code: str) -> tuple[str, str]:
    """Return what Python code prints to stdout and to stderr."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    return done.stdout, done.stderr
