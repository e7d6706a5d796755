"""`limitbench worker-check`."""

from __future__ import annotations

from typing import Any

import click

from harness.cli.common import echo_json, load_registry, plugin_dir_option
from harness.cli.layout import print_entries, print_paragraph, say, wide_option


@click.command("worker-check")
@click.argument("scheduler", metavar="ADDRESS")
@plugin_dir_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@wide_option
def command(scheduler: str, plugin_dirs: tuple[str, ...], as_json: bool) -> int:
    """Compare the versions and plugins of each worker of a Dask cluster with this machine's.

    ADDRESS is as for `limitbench run --scheduler`. Exit status: 0 if every worker matches, 1 if
    one does not or there are no workers.
    """
    from pathlib import Path

    from harness.execution.cluster.roll_call import roll_call
    from harness.execution.cluster.scheduler import check_scheduler
    from harness.execution.inventory import take_inventory

    check_scheduler(scheduler)  # before anything is loaded for it
    expected = take_inventory(load_registry(plugin_dirs))
    rows = roll_call(scheduler, expected, [str(Path(d).resolve()) for d in plugin_dirs])
    if as_json:
        echo_json(rows)
    else:
        for row in rows:
            _show(row)
    if not rows:
        say(f"no worker has joined {scheduler}; start some with `dask worker`", err=True)
    return 0 if rows and all(row["match"] for row in rows) else 1


def _show(row: dict[str, Any]) -> None:
    click.secho(f"{row['worker']} ({row['name']})", bold=True)
    size = f"{row['threads']} threads, {_gibibytes(row['memory_limit'])} for its jobs"
    resources = ", ".join(f"{k}={v:g}" for k, v in row["resources"].items())
    facts = [("worker", f"{size}{', offers ' + resources if resources else ''}")]
    if machine := row["machine"]:
        power = f"{machine['processors']} processors, {_gibibytes(machine['memory'])}"
        facts += [
            ("machine", f"{machine['host']}: {power}; {', '.join(machine['devices'])}"),
            ("versions", ", ".join(f"{k} {v}" for k, v in row["versions"].items())),
        ]
        for plugin in row["plugins"]:
            brings = ", ".join(plugin["components"]) or "no components"
            facts.append(("plugin", f"{plugin['name']} {plugin['sha256'][:8]}: {brings}"))
    print_entries(facts, indent=2)
    if row["match"]:
        click.secho("  matches", fg="green")
    else:
        print_paragraph(row["difference"], 12, click.style("  differs   ", fg="red"))


def _gibibytes(number: int | None) -> str:
    return f"{number / 2**30:.1f} GiB" if number else "no limit"
