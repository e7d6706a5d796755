"""`limitbench leaderboard`."""

from __future__ import annotations

import click

from harness.cli.common import echo_json


@click.command("leaderboard")
@click.argument("folders", metavar="DIR...", nargs=-1, required=True)
@click.option("--observable", default="output/test", show_default=True, help='Or "all".')
@click.option("--json", "form", flag_value="json", help="As one JSON array, in full precision.")
@click.option("--csv", "form", flag_value="csv", help="As comma-separated values.")
@click.option("--markdown", "form", flag_value="markdown", help="As a Markdown table.")
def command(folders: tuple[str, ...], observable: str, form: str | None) -> None:
    """Show how closely each theory describes wide networks, from one or more results folders.

    The limit gap is the distance between the theory and the networks' limit of infinite width,
    relative to the theory. A theory agrees if the gap's 95 % interval lies under 5 %.
    """
    from harness.cli import tables
    from harness.errors import StoreError, nearest
    from harness.scoring import SCORED, score_results
    from harness.store import Store

    if observable not in (*SCORED, "all"):
        raise StoreError(
            f"--observable {observable!r} is not scored{nearest(observable, list(SCORED))};"
            f" allowed are {', '.join(SCORED)} and all"
        )
    problems: list[str] = []
    rows = score_results([Store(folder) for folder in folders], problems)
    for problem in problems:
        click.echo(problem, err=True)
    wanted = [r for r in rows if observable in (r["observable"], "all")]
    if form == "json":
        echo_json(wanted)
    elif form == "csv":
        click.echo(tables.comma_separated(wanted), nl=False)
    elif form == "markdown":
        click.echo(tables.markdown(wanted))
    elif not wanted:
        click.echo("nothing to score yet: no experiment has both a network and a theory", err=True)
    else:
        for name in dict.fromkeys(r["observable"] for r in wanted):
            tables.print_table([r for r in wanted if r["observable"] == name], name)
