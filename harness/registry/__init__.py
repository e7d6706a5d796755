"""Components, the decorators that make them, and the plugins that bring them."""

from harness.registry.component import (
    Component,
    Params,
    architecture,
    parameters,
    regime,
    task,
    theory,
)
from harness.registry.hooks import hookimpl
from harness.registry.registry import Registry, SetAside

__all__ = [
    "Component",
    "Params",
    "Registry",
    "SetAside",
    "architecture",
    "hookimpl",
    "parameters",
    "regime",
    "task",
    "theory",
]
