"""The hooks that a plugin may implement: one to register components, the rest to observe."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from harness.registry.component import Component

PROJECT = "limitbench"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def limitbench_components() -> Iterable[Component]:
    """Return the components of this plugin.

    A module needs this hook only to register components without a decorator.
    """
    raise AssertionError("a specification is never called")


@hookspec
def limitbench_cell_finished(experiment: str, solver: str, folder: str, status: str) -> None:
    """Observe that the results of a cell have been written to `folder`."""


@hookspec
def limitbench_report_section(results: str) -> str | None:
    """Return text for an extra section of the report on the folder `results`, or None."""
