"""`limitbench list`."""

from __future__ import annotations

import itertools

import click

from harness.cli.common import load_registry, plugin_dir_option
from harness.cli.layout import print_entries, wide_option

SECTIONS = ("tasks", "architectures", "regimes", "theories", "observables", "claims", "suites")


@click.command("list")
@click.argument("section", type=click.Choice(SECTIONS), required=False)
@wide_option
@plugin_dir_option
def command(section: str | None, plugin_dirs: tuple[str, ...]) -> None:
    """List components of every kind, and suites, or one of these sections."""
    from harness.suites.schema import bundled_suites

    registry = load_registry(plugin_dirs)
    for name in (section,) if section else SECTIONS:
        if name == "suites":
            rows = [
                (suite, _first_comment(path.read_text(encoding="utf-8")))
                for suite, path in bundled_suites().items()
            ]
        else:
            rows = [(c.name, c.summary) for c in registry.components() if _plural(c.kind) == name]
        if not section:
            click.secho(name, bold=True)
        print_entries(rows, indent=2)


def _plural(kind: str) -> str:
    return "theories" if kind == "theory" else f"{kind}s"


def _first_comment(text: str) -> str:
    """Return the first paragraph of the comment with which a suite begins, on one line."""
    first = itertools.takewhile(lambda line: line.strip("# "), text.splitlines())
    lines = itertools.takewhile(lambda line: line.startswith("#"), first)
    return " ".join(line.removeprefix("#").strip() for line in lines)
