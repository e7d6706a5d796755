"""`limitbench worker-check`."""

from __future__ import annotations

from typing import Any

import click

from harness.cli.common import echo_json, load_registry, plugin_dir_option


@click.command("worker-check")
@click.argument("scheduler", metavar="ADDRESS")
@plugin_dir_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(scheduler: str, plugin_dirs: tuple[str, ...], as_json: bool) -> int:
    """Say what each worker of a Dask cluster has, and what differs from this machine.

    ADDRESS is as for `limitbench run --scheduler`. Exit status: 0 if every worker matches, 1 if
    one does not or there is none.
    """
    from pathlib import Path

    from harness.execution.inventory import take_inventory
    from harness.execution.roll_call import roll_call

    expected = take_inventory(load_registry(plugin_dirs))
    rows = roll_call(scheduler, expected, [str(Path(d).resolve()) for d in plugin_dirs])
    if as_json:
        echo_json(rows)
    else:
        for row in rows:
            _show(row)
    if not rows:
        click.echo(f"no worker has joined {scheduler}; start some with `dask worker`", err=True)
    return 0 if rows and all(row["match"] for row in rows) else 1


def _show(row: dict[str, Any]) -> None:
    click.secho(f"{row['worker']} ({row['name']})", bold=True)
    size = f"{row['threads']} threads, {_gibibytes(row['memory_limit'])} for its jobs"
    resources = ", ".join(f"{k}={v:g}" for k, v in row["resources"].items())
    click.echo(f"  worker     {size}{', offers ' + resources if resources else ''}")
    if machine := row["machine"]:
        click.echo(
            f"  machine    {machine['host']}: {machine['processors']} processors,"
            f" {_gibibytes(machine['memory'])}; {', '.join(machine['devices'])}"
        )
        click.echo(f"  versions   {', '.join(f'{k} {v}' for k, v in row['versions'].items())}")
        for plugin in row["plugins"]:
            brings = ", ".join(plugin["components"]) or "no components"
            click.echo(f"  plugin     {plugin['name']} {plugin['sha256'][:8]}: {brings}")
    if row["match"]:
        click.secho("  matches", fg="green")
    else:
        click.secho(f"  differs    {row['difference']}", fg="red")


def _gibibytes(number: int | None) -> str:
    return f"{number / 2**30:.1f} GiB" if number else "no limit"
