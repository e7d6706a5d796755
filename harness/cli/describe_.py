"""`limitbench describe`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harness.cli.common import complete_name, load_registry, plugin_dir_option
from harness.cli.layout import print_paragraph

if TYPE_CHECKING:
    from harness.registry import Component


@click.command("describe")
@click.argument("name", shell_complete=complete_name)
@plugin_dir_option
def command(name: str, plugin_dirs: tuple[str, ...]) -> None:
    """Show a component's parameters, domain and source, or a bundled suite's TOML.

    NAME is a component of any kind; where kinds share a name, all are shown. KIND/NAME, such as
    regime/curriculum or suite/curriculum, is one of them: a bare name that is that of a suite too
    is the suite. The TOML of a suite is complete: write it to a file, change it, and run that.
    """
    from harness.errors import PluginError, nearest, printable
    from harness.suites.schema import bundled_suites

    registry = load_registry(plugin_dirs)
    suites, components = bundled_suites(), registry.components()
    kind, _, rest = name.partition("/")
    suite = name if name in suites else rest if kind == "suite" else ""
    found = [c for c in components if c.name == name]
    found = found or [c for c in components if (c.kind, c.name) == (kind, rest)]
    if not found and suite not in suites:
        known = sorted({c.name for c in components})
        raise PluginError(
            f"unknown component or suite {printable(name)!r}{nearest(name, [*known, *suites])};"
            " `limitbench list` shows them all"
        )
    if suite in suites:
        if found:
            kinds = " and ".join(c.kind for c in found)
            spelt = " and ".join(f"`limitbench describe {c.kind}/{name}`" for c in found)
            click.echo(
                f"{name!r} is the name of a {kinds} too, which {spelt} shows; this is the suite",
                err=True,
            )
        click.echo(suites[suite].read_text(encoding="utf-8"), nl=False)
        return
    for position, component in enumerate(found):
        if position:
            click.echo()
        _show(component, registry.origin(component))


def _show(component: Component, origin: str) -> None:
    click.secho(f"{component.kind} {component.name}", bold=True, nl=False)
    click.echo(f"  version {component.version}")
    if component.kind == "claim":
        click.echo(f"\n{component.statement}\n")
        click.echo(f"{component.doc}\n\nexperiments: {', '.join(component.experiments)}")
    else:
        click.echo(f"\n{component.doc}\n")
        click.secho("parameters", bold=True)
        _show_parameters(component)
    if component.citation:
        click.echo(f"\nsource: {component.citation}")
    if component.tags:
        click.echo(f"tags: {', '.join(sorted(component.tags))}")
    click.echo(f"from: {origin}")


def _show_parameters(component: Component) -> None:
    """Show name, default, allowed values and meaning of every parameter."""
    from harness.suites.allowed import allowed_values, default_value

    for name, field in component.params.model_fields.items():
        if field.is_required():
            given = "required"
        else:
            value = default_value(field)
            given = "left out by default" if value is None else f"default {value}"
        allowed = allowed_values(field)
        print_paragraph(f"{name} ({given})" + (f": {allowed}" if allowed else ""), 2)
        if field.description:
            print_paragraph(" ".join(field.description.split()), 6)
    if component.kind == "task":
        click.echo("  data_seed (default 0): a whole number, at least 0")
        click.echo("      Fixes the draw of the data.")
