"""`limitbench plugins`: list, check, new."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import click

from harness.cli.common import load_registry, plugin_dir_option
from harness.registry.templates import TEMPLATES


@click.group("plugins", invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """List, check or start plugins."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_plugins)


@command.command("list")
@plugin_dir_option
def list_plugins(plugin_dirs: tuple[str, ...] = ()) -> None:
    """Show every plugin with its components, and those set aside with their traceback."""
    from harness.registry import Registry

    registry = Registry.load(plugin_dirs)
    for origin, components in registry.plugins.items():
        names = ", ".join(f"{c.kind} {c.name} {c.version}" for c in components)
        click.echo(f"{origin}: {names or 'no components'}")
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

    NAME is a component, or a plugin file, whose components are all checked. Exit status: 0 if
    every check holds, 1 if one does not.
    """
    from harness.errors import PluginError, nearest
    from harness.registry.conformance import check_component, sample_parameters

    path = Path(name)
    if path.suffix == ".py":
        if not path.is_file():
            raise PluginError(f"{path}: no such file; give a plugin file or a component's name")
        plugin_dirs = (*plugin_dirs, str(path.resolve()))
    registry = load_registry(plugin_dirs)
    if path.suffix == ".py":
        asides = [s for s in registry.set_aside if Path(s.origin) == path.resolve()]
        if asides:
            raise PluginError(f"{path}: set aside: {asides[0].reason}")
        found = registry.plugins.get(str(path.resolve()), [])
    else:
        found = [c for c in registry.components() if c.name == name]
    if not found and path.suffix == ".py":
        raise PluginError(f"{path}: declares no component; mark one with a decorator of harness")
    if not found:
        known = sorted({c.name for c in registry.components()})
        raise PluginError(f"no component {name!r}{nearest(name, known)}; try `limitbench list`")
    given = _parse_settings(settings)
    failed = 0
    for component in found:
        parameters = sample_parameters(component)
        if parameters is None:
            required = [n for n, f in component.params.model_fields.items() if f.is_required()]
            unset = [n for n in required if n not in given]
            if unset:
                raise PluginError(
                    f"{component.kind} {component.name}: give values for {', '.join(unset)},"
                    f" as in --set {unset[0]}=VALUE"
                )
        with contextlib.redirect_stdout(sys.stderr):  # what plugins print is no result
            results = check_component(component, (parameters or {}) | given, plugin_dirs)
        for result in results:
            mark = click.style("failed", fg="red") if result.failure else "ok"
            reason = f": {result.failure}" if result.failure else ""
            click.echo(f"{mark:<7} {result.component} {result.name}{reason}")
            failed += bool(result.failure)
    return 1 if failed else 0


@command.command("new")
@click.argument("kind", type=click.Choice(sorted(TEMPLATES)))
@click.argument("name")
@click.option("--folder", default=".", show_default=True, help="Where the file goes.")
def new(kind: str, name: str, folder: str) -> None:
    """Write a commented, working plugin file to start from."""
    from harness.errors import PluginError
    from harness.registry.component import is_component_name
    from harness.store.files import write_text

    if not is_component_name(name):
        raise PluginError(
            f"name {name!r}: allowed are lower-case words joined by hyphens, as in 'two-moons'"
        )
    path = Path(folder) / f"{name.replace('-', '_')}.py"
    if os.path.lexists(path):
        raise PluginError(f"{path} exists; choose another name, or remove it first")
    if not path.parent.is_dir():
        raise PluginError(f"{path.parent}: no such folder; make it first")
    words = "".join(word.capitalize() for word in name.split("-"))
    text = TEMPLATES[kind].replace("{name}", name).replace("{Class}", words)
    write_text(path, text.replace("{function}", name.replace("-", "_")), "choose another folder")
    click.echo(str(path))
    click.echo(f"check it with: limitbench plugins check {path}", err=True)


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
