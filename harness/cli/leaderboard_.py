"""`limitbench leaderboard`."""

from __future__ import annotations

import click

from harness.cli.common import (
    complete_folder,
    echo_json,
    load_registry,
    plugin_dir_option,
    say,
)
from harness.cli.layout import print_entry, wide_option


@click.command("leaderboard")
@click.argument(
    "folders", metavar="DIR...", nargs=-1, required=True, shell_complete=complete_folder
)
@click.option("--observable", default="output/test", show_default=True, help='Or "all".')
@click.option("--overall", is_flag=True, help="One row a theory, over all experiments.")
@click.option("--json", "form", flag_value="json", help="As one JSON array, in full precision.")
@click.option("--csv", "form", flag_value="csv", help="As comma-separated values.")
@click.option("--markdown", "form", flag_value="markdown", help="As a Markdown table.")
@wide_option
@plugin_dir_option
def command(
    folders: tuple[str, ...],
    observable: str,
    overall: bool,
    form: str | None,
    plugin_dirs: tuple[str, ...],
) -> None:
    """Show how closely each theory describes wide networks, from one or more results folders.

    The limit gap is the distance between the theory and the networks' limit of infinite width,
    relative to the theory. A theory agrees if the gap's 95 % interval lies under 5 %. Cells of
    several folders are scored together where all versions, sources and parameters agree.
    Components whose source differs here are listed on stderr.
    """
    from harness.cli import tables
    from harness.errors import StoreError, nearest
    from harness.scoring import ARRAYS, PRIMARY, SCORED, score_folders
    from harness.scoring import overall as over_all
    from harness.store import Store

    stores = [Store(folder) for folder in folders]
    own = (name for store in stores for m in store.manifests() for name in m.scored)
    known = list(dict.fromkeys([*SCORED, *ARRAYS, *own]))
    if observable not in (*known, "all"):
        raise StoreError(
            f"--observable {observable!r} is not scored{nearest(observable, known)};"
            f" allowed are {', '.join(known)} and all"
        )
    wanted = known if observable == "all" else [observable]
    scores = score_folders(stores, wanted)
    changed = tables.other_sources(scores.rows, load_registry(plugin_dirs))
    for line in (*scores.notes, *changed, *tables.excluded(scores.unscored)):
        say(line, err=True)
    if not scores.rows and form is None:
        click.echo("nothing to score yet: no experiment has both a network and a theory", err=True)
        return
    summary = over_all(scores, PRIMARY if observable == "all" else observable)
    if form == "json":
        echo_json([row.as_json() for row in (summary if overall else scores.rows)])
    elif form == "csv":
        click.echo(tables.comma_separated(summary if overall else scores.rows), nl=False)
    elif form == "markdown":
        click.echo(tables.overall_markdown(summary) if overall else tables.markdown(scores.rows))
    else:
        if not overall:
            for name in wanted:
                tables.print_leaderboard([r for r in scores.rows if r.observable == name], name)
            for whose, advice in tables.open_questions(scores.rows):
                print_entry(whose, advice)
        tables.print_overall(summary)
