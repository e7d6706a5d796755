"""`limitbench describe`."""

from __future__ import annotations

import json

import click

from harness.cli.common import complete_name, load_registry, plugin_dir_option
from harness.cli.layout import print_paragraph


@click.command("describe")
@click.argument("name", shell_complete=complete_name)
@plugin_dir_option
def command(name: str, plugin_dirs: tuple[str, ...]) -> None:
    """Show a component's parameters, domain and source, or a bundled suite's TOML.

    NAME is a component of any kind; where kinds share a name, all are shown.
    The TOML of a suite is complete: write it to a file, change it, and run that.
    """
    from harness.errors import PluginError, nearest, printable
    from harness.suites.schema import bundled_suites

    registry = load_registry(plugin_dirs)
    suites = bundled_suites()
    found = [c for c in registry.components() if c.name == name]
    if not found and name not in suites:
        known = sorted({c.name for c in registry.components()})
        raise PluginError(
            f"unknown component or suite {printable(name)!r}{nearest(name, [*known, *suites])};"
            " `limitbench list` shows them all"
        )
    if name in suites:
        if found:
            kinds = " and ".join(c.kind for c in found)
            click.echo(f"{name!r} is the name of a {kinds} too; this is the suite", err=True)
        click.echo(suites[name].read_text(encoding="utf-8"), nl=False)
        return
    for position, component in enumerate(found):
        if position:
            click.echo()
        click.secho(f"{component.kind} {component.name}", bold=True, nl=False)
        click.echo(f"  version {component.version}")
        if component.kind == "claim":
            click.echo(f"\n{component.statement}\n")
            click.echo(f"{component.doc}\n\nexperiments: {', '.join(component.experiments)}")
        else:
            click.echo(f"\n{component.doc}\n")
            click.secho("parameters", bold=True)
        for field, info in component.params.model_fields.items():
            default = "required" if info.is_required() else f"default {_default(info.default)}"
            click.echo(f"  {field} ({default})")
            if info.description:
                print_paragraph(" ".join(info.description.split()), 6)
        if component.kind == "task":
            click.echo("  data_seed (default 0)\n      Fixes the draw of the data.")
        if component.citation:
            click.echo(f"\nsource: {component.citation}")
        if component.tags:
            click.echo(f"tags: {', '.join(sorted(component.tags))}")
        click.echo(f"from: {registry.origin(component)}")


def _default(value: object) -> str:
    return json.dumps(value, default=str)
