"""Options and output that verbs share."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from harness.registry import Registry

F = TypeVar("F", bound=Callable[..., Any])


def plugin_dir_option(function: F) -> F:
    """Add --plugin-dir, repeatable."""
    option: Callable[[F], F] = click.option(
        "--plugin-dir",
        "plugin_dirs",
        multiple=True,
        metavar="DIR",
        help="A folder of plugin files, or one file; repeatable. Also LIMITBENCH_PLUGIN_DIR.",
    )
    return option(function)


def load_registry(plugin_dirs: tuple[str, ...]) -> Registry:
    """Load plugins, and say on stderr which were set aside."""
    from harness.registry import Registry

    registry = Registry.load(plugin_dirs)
    for aside in registry.set_aside:
        click.echo(
            f"plugin set aside: {aside.origin}: {aside.reason} (`limitbench plugins list` shows"
            " the traceback)",
            err=True,
        )
    return registry


def say(text: str, err: bool = False) -> None:
    """Print one line that may hold what strangers wrote: no character of it moves a cursor."""
    from harness.errors import printable

    click.echo(printable(text), err=err)


def echo_json(value: Any) -> None:
    """Print a value as JSON on stdout."""
    click.echo(json.dumps(value, indent=1, allow_nan=False))
