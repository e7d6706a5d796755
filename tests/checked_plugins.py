"""A plugin of a test, and the outcomes of its checks."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from harness import Component, Registry
from harness.conformance import Check, check_component


def load(folder: Path, text: str) -> Registry:
    (folder / "own.py").write_text(textwrap.dedent(text))
    return Registry.load([folder])


def checks(component: Component, parameters: dict[str, Any] | None = None) -> dict[str, Check]:
    """Return the outcome of every check by name; a component of a test loads in no worker."""
    found = check_component(component, parameters or {})
    return {c.name: c for c in found if c.name != "loads in a fresh worker"}


def failures(component: Component, parameters: dict[str, Any] | None = None) -> dict[str, str]:
    return {name: c.failure for name, c in checks(component, parameters).items() if c.failure}
