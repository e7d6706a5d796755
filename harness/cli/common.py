"""Options and output that verbs share."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.cli.layout import say

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

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


def only_option(function: F) -> F:
    """Add --only, repeatable."""
    option: Callable[[F], F] = click.option(
        "--only",
        multiple=True,
        metavar="GLOB",
        help="Only experiments whose names match; repeatable, for any of several.",
    )
    return option(function)


def workers_option(function: F) -> F:
    """Add --workers."""
    option: Callable[[F], F] = click.option(
        "--workers",
        type=click.IntRange(min=1),
        help="Processes; all processors by default.",
    )
    return option(function)


def complete_suite(
    context: click.Context, _: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return shell completions for a suite: files, and the names of bundled suites."""
    from click.shell_completion import CompletionItem

    from harness.suites.schema import bundled_suites

    names = [name for name in bundled_suites() if name.startswith(incomplete)]
    return [CompletionItem(incomplete, type="file"), *map(CompletionItem, names)]


def complete_name(
    context: click.Context, _: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return shell completions for a name: components, and bundled suites; KIND/NAME if shared."""
    from click.shell_completion import CompletionItem

    from harness.registry import Registry
    from harness.suites.schema import bundled_suites

    components = Registry.load(context.params.get("plugin_dirs") or ()).components()
    named = [(str(c.kind), c.name, f"{c.kind}: {c.summary}") for c in components]
    named += [("suite", name, "suite") for name in bundled_suites()]
    names = [name for _, name, _ in named]
    known = {name: text for _, name, text in named}
    known |= {f"{kind}/{name}": text for kind, name, text in named if names.count(name) > 1}
    return [
        CompletionItem(name, help=known[name])
        for name in sorted(known)
        if name.startswith(incomplete)
    ]


def complete_folder(
    context: click.Context, _: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return shell completions for a results folder: folders."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="dir")]


def load_registry(plugin_dirs: tuple[str, ...]) -> Registry:
    """Load plugins, and list on stderr those that were set aside."""
    from harness.registry import Registry

    registry = Registry.load(plugin_dirs)
    for aside in registry.set_aside:
        say(
            f"plugin set aside: {aside.origin}: {aside.reason} (`limitbench plugins list` shows"
            " the traceback)",
            err=True,
        )
    return registry


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, plural unless the number is 1."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def echo_json(value: Any) -> None:
    """Print a value as JSON on stdout."""
    click.echo(json.dumps(value, indent=1, allow_nan=False))
