"""`limitbench plugins`: list, check, new."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.common import load_registry, plugin_dir_option
from harness.cli.layout import print_entry, print_paragraph, say, wide_option
from harness.registry.component import KINDS, Kind, is_component_name, is_observable_name
from harness.registry.modules import origin_of
from harness.registry.new_plugin import new_plugin

if TYPE_CHECKING:
    from harness.registry import Component


@click.group("plugins", invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """List, check or start plugins."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_plugins)


@command.command("list")
@wide_option
@plugin_dir_option
def list_plugins(plugin_dirs: tuple[str, ...] = ()) -> None:
    """Show every plugin with its components, and those set aside with their traceback."""
    from harness.registry import Registry

    registry = Registry.load(plugin_dirs)
    for origin, components in registry.plugins.items():
        names = [f"{c.kind} {c.name} {c.version}" for c in components]
        print_entry(origin, *(names or ["no components"]))
    for aside in registry.set_aside:
        click.secho(f"set aside: {aside.origin}: {aside.reason}", fg="red")
        click.echo("".join(f"    {line}\n" for line in aside.traceback.splitlines()), nl=False)


@command.command("check")
@click.argument("name")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="PARAMETER=VALUE",
    help="A parameter's value, in JSON; repeatable.",
)
@plugin_dir_option
def check(name: str, settings: tuple[str, ...], plugin_dirs: tuple[str, ...]) -> int:
    """Run a component through the conformance tests.

    NAME is a component, or a plugin: a .py file, or a folder with an __init__.py. All components
    of that name or plugin are checked; with --set, only those that have the parameters set. Exit
    status: 0 if no check fails, 1 if one does.
    """
    from harness.conformance import check_component
    from harness.execution.programs import use_kept_programs

    use_kept_programs()
    found, plugin_dirs = _components_to_check(name, plugin_dirs)
    given = _parse_settings(settings)
    failed = unchecked = 0
    for component in _with_parameters(found, given):
        parameters = _parameters_to_check(component, given)
        with contextlib.redirect_stdout(sys.stderr):  # output of plugins is no result
            results = check_component(component, parameters, plugin_dirs)
        for result in results:
            mark, color, reason = "ok", None, ""
            if result.failure:
                mark, color, reason = "failed", "red", f": {result.failure}"
            elif result.unchecked:
                mark, color, reason = "none", "yellow", f": {result.unchecked}"
            start = click.style(f"{mark:<7}", fg=color)
            print_paragraph(f"{result.component} {result.name}{reason}", 8, f"{start} ")
            failed += bool(result.failure)
            unchecked += bool(result.unchecked)
    if unchecked:
        say(
            f"{unchecked} checks had nothing to look at: they show neither that it works nor that"
            " it does not; try other parameters with --set, or test it yourself",
            err=True,
        )
    return 1 if failed else 0


def _components_to_check(
    name: str, plugin_dirs: tuple[str, ...]
) -> tuple[list[Component], tuple[str, ...]]:
    """Return the components of a name or plugin, and the folders that workers load."""
    from harness.errors import PluginError, nearest

    path = Path(name)
    file = path / "__init__.py" if path.is_dir() else path
    if file.suffix != ".py" or (path.is_dir() and not file.is_file()):
        registry = load_registry(plugin_dirs)
        found = [c for c in registry.components() if c.name == name]
        if found:
            return found, plugin_dirs
        if path.is_dir():
            raise PluginError(
                f"{path}: a folder without __init__.py is no plugin; give one of its files"
            )
        known = sorted({c.name for c in registry.components()})
        raise PluginError(f"no component {name!r}{nearest(name, known)}; try `limitbench list`")
    if not file.is_file():
        raise PluginError(f"{path}: no such file; give a plugin file or a component's name")
    plugin_dirs = (*plugin_dirs, str(file.resolve()))
    registry = load_registry(plugin_dirs)
    origin = origin_of(file.resolve())
    asides = [s for s in registry.set_aside if s.origin == origin]
    if asides:
        raise PluginError(f"{path}: set aside: {asides[0].reason}")
    found = registry.plugins.get(origin, [])
    if not found:
        raise PluginError(f"{path}: declares no component; mark one with a decorator of harness")
    return found, plugin_dirs


def _with_parameters(found: list[Component], given: dict[str, object]) -> list[Component]:
    """Return the components that have all the given parameters."""
    from harness.errors import PluginError, nearest

    kept = [c for c in found if given.keys() <= c.params.model_fields.keys()]
    if not kept:
        known = sorted({name for c in found for name in c.params.model_fields})
        unknown = next((name for name in given if name not in known), None)
        label = " and ".join(f"{c.kind} {c.name}" for c in found)
        if unknown is None:
            raise PluginError(f"--set: none of {label} has all of {', '.join(given)}")
        raise PluginError(
            f"--set {unknown}: {label}: unknown parameter{nearest(unknown, known)}; allowed are"
            f" {', '.join(known) or 'none'}"
        )
    for component in found:
        if component not in kept:
            say(
                f"not checked: {component.kind} {component.name}, which does not have all of"
                f" {', '.join(given)}",
                err=True,
            )
    return kept


def _parameters_to_check(component: Component, given: dict[str, object]) -> dict[str, object]:
    """Return sample values, replaced by the given ones.

    Raises:
        PluginError: if a value is missing or not allowed.
    """
    from pydantic import ValidationError

    from harness.conformance import sample_parameters
    from harness.errors import PluginError
    from harness.suites.faults import explain

    label = f"{component.kind} {component.name}"
    sample = sample_parameters(component)
    required = [n for n, f in component.params.model_fields.items() if f.is_required()]
    unset = [n for n in required if n not in given]
    if sample is None and unset:
        raise PluginError(
            f"{label}: give values for {', '.join(unset)}, as in --set {unset[0]}=VALUE"
        )
    parameters = (sample or {}) | given
    if given:
        try:
            component.parse(parameters)
        except ValidationError as error:
            faults = explain(error, parameters, component.params)
            raise PluginError("\n".join(fault.line(label) for fault in faults)) from error
    return parameters


@command.command("new")
@click.argument("kind", type=click.Choice(sorted(KINDS)))
@click.argument("name")
@click.option("--folder", default=".", show_default=True, help="Where the file goes.")
def new(kind: Kind, name: str, folder: str) -> None:
    """Write a commented, working plugin file to start from."""
    from harness.errors import PluginError
    from harness.store.files import write_text

    allowed = is_observable_name if kind == "observable" else is_component_name
    if not allowed(name):
        raise PluginError(
            f"name {name!r}: allowed are lower-case words joined by hyphens, as in 'two-moons'"
        )
    path = Path(folder) / f"{re.sub('[-/]', '_', name)}.py"
    if os.path.lexists(path):
        raise PluginError(f"{path} exists; choose another name, or remove it first")
    if not path.parent.is_dir():
        raise PluginError(f"{path.parent}: no such folder; make it first")
    write_text(path, new_plugin(kind, name), "choose another folder")
    click.echo(str(path))
    say(f"check it with: limitbench plugins check {path}", err=True)


def _parse_settings(settings: tuple[str, ...]) -> dict[str, object]:
    import json

    given: dict[str, object] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise click.BadParameter(f"{setting!r}; write PARAMETER=VALUE", param_hint="--set")
        try:
            given[key] = json.loads(text)
        except ValueError:
            given[key] = text
    return given
