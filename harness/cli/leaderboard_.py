"""`limitbench leaderboard`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.common import complete_folder, echo_json, load_registry, plugin_dir_option
from harness.cli.layout import print_entry, say, wide_option

if TYPE_CHECKING:
    from harness.scoring import Scores


@click.command("leaderboard")
@click.argument(
    "folders", metavar="DIR|FILE...", nargs=-1, required=True, shell_complete=complete_folder
)
@click.option("--observable", default="output/test", show_default=True, help='Or "all".')
@click.option("--overall", is_flag=True, help="One row a theory, over all experiments.")
@click.option(
    "--ranking",
    is_flag=True,
    help="Rank the theories over all experiments: outputs, losses, feature kernels, laws of"
    " pre-activations, cost.",
)
@click.option("--json", "form", flag_value="json", help="As one JSON array, in full precision.")
@click.option("--csv", "form", flag_value="csv", help="As comma-separated values.")
@click.option("--markdown", "form", flag_value="markdown", help="As a Markdown table.")
@wide_option
@plugin_dir_option
def command(
    folders: tuple[str, ...],
    observable: str,
    overall: bool,
    ranking: bool,
    form: str | None,
    plugin_dirs: tuple[str, ...],
) -> None:
    """Show how closely each theory describes wide networks, from results folders or submissions.

    The limit gap is the distance between the theory and the networks' limit of infinite width,
    relative to the theory. A theory agrees if the gap's 95 % interval lies under 5 %. Cells of
    several folders are scored together where all versions, sources and parameters agree.
    Components whose source differs here are listed on stderr.
    """
    from harness.cli import tables
    from harness.errors import StoreError, nearest
    from harness.scoring import ARRAYS, PRIMARY, RANKED, SCORED, score_folders
    from harness.store import Store
    from harness.submissions.pack import results_of

    if ranking and (overall or observable == "all" or form == "csv"):
        raise click.UsageError("--ranking takes one observable, and neither --overall nor --csv")
    context = click.get_current_context()
    stores = [
        context.with_resource(results_of(folder)) if Path(folder).is_file() else Store(folder)
        for folder in folders
    ]
    own = (name for store in stores for m in store.manifests() for name in m.scored)
    everything = list(dict.fromkeys([*SCORED, *own]))
    known = list(dict.fromkeys([*everything, *ARRAYS]))
    if observable not in (*known, "all"):
        raise StoreError(
            f"--observable {observable!r} is not scored{nearest(observable, known)};"
            f" allowed are {', '.join(known)} and all"
        )
    wanted = everything if observable == "all" else [observable]
    if ranking:
        wanted = list(dict.fromkeys([observable, *RANKED]))
    scores = score_folders(stores, wanted)
    changed = tables.other_sources(scores.rows, load_registry(plugin_dirs))
    for line in (*scores.notes, *changed, *tables.excluded(scores)):
        say(line, err=True)
    if not scores.rows and form is None:
        say("nothing to score yet: no experiment has both a network and a theory", err=True)
        return
    if ranking:
        show_ranking(scores, observable, form)
    else:
        show(scores, wanted, PRIMARY if observable == "all" else observable, overall, form)


def show(
    scores: Scores, observables: Sequence[str], primary: str, overall: bool, form: str | None
) -> None:
    """Print leaderboards and their summary, as tables or in another form.

    Args:
        scores: scores of the observables.
        observables: one table each.
        primary: observable of the summary.
        overall: whether the summary is printed alone.
        form: "json", "csv", "markdown" or None.
    """
    from harness.cli import tables
    from harness.scoring import overall as over_all

    summary = over_all(scores, primary)
    if form == "json":
        echo_json([row.as_json() for row in (summary if overall else scores.rows)])
    elif form == "csv":
        click.echo(tables.comma_separated(summary if overall else scores.rows), nl=False)
    elif form == "markdown":
        click.echo(tables.overall_markdown(summary) if overall else tables.markdown(scores.rows))
    else:
        if not overall:
            for name in observables:
                tables.print_leaderboard([r for r in scores.rows if r.observable == name], name)
            for whose, advice in tables.open_questions(scores.rows):
                print_entry(whose, advice)
        tables.print_overall(summary)


def show_ranking(scores: Scores, observable: str, form: str | None) -> None:
    """Print the ranking of theories, as a table, Markdown or JSON."""
    from harness.cli import ranking_table
    from harness.scoring import rank_theories

    found = rank_theories(scores, observable)
    if form == "json":
        echo_json(found.as_json())
    elif form == "markdown":
        click.echo(ranking_table.markdown(found))
    else:
        ranking_table.print_ranking(found)
