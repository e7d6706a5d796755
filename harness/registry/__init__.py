"""Components, the decorators that make them, and the plugins that provide them."""

from harness.registry.component import Component, Params
from harness.registry.declare import (
    architecture,
    observable,
    parameters,
    regime,
    task,
    theory,
)
from harness.registry.hooks import hookimpl
from harness.registry.parameters import Unkeyed
from harness.registry.registry import Registry, SetAside

__all__ = [
    "Component",
    "Params",
    "Registry",
    "SetAside",
    "Unkeyed",
    "architecture",
    "hookimpl",
    "observable",
    "parameters",
    "regime",
    "task",
    "theory",
]
