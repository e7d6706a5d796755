"""`limitbench score`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harness.cli.common import (
    complete_name,
    counted,
    echo_json,
    only_option,
    plugin_dir_option,
    workers_option,
)
from harness.cli.layout import print_entry, say, wide_option

if TYPE_CHECKING:
    from harness.contest import Entry


@click.command("score")
@click.argument("theory", shell_complete=complete_name)
@click.option(
    "--against",
    default="standard",
    show_default=True,
    metavar="standard|DIR|FILE",
    help="Networks: those that come with limitbench, a results folder, or a submission.",
)
@only_option
@click.option(
    "--results", metavar="DIR", help="Where its cells go; results/score-<theory> by default."
)
@plugin_dir_option
@workers_option
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="S",
    help="Seconds after which a solution is stopped and fails.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the leaderboard as JSON.")
@wide_option
def command(
    theory: str,
    against: str,
    only: tuple[str, ...],
    results: str | None,
    plugin_dirs: tuple[str, ...],
    workers: int | None,
    timeout: float | None,
    as_json: bool,
) -> int:
    """Solve a theory on problems whose networks are at hand, and rank it among others.

    THEORY is a name (`limitbench list theories`), or a plugin file that declares one. No network
    is trained. Solutions that are finished are not computed again. A theory is ranked on the
    experiments that it supports. Exit status: 0, or 1 if a solution failed.
    """
    from harness.cli.tables import excluded
    from harness.contest import enter, find_theory

    name, registry, folders = find_theory(theory, plugin_dirs)
    entry = enter(
        name,
        registry,
        against,
        results=results,
        plugin_dirs=folders,
        only=only,
        workers=workers,
        timeout=timeout,
    )
    outside = [each for each in entry.scores.unscored if each.theory == name]
    for line in (*entry.scores.notes, *entry.notes, *excluded(entry.scores, outside)):
        say(line, err=True)
    if as_json:
        echo_json([row.as_json() for row in entry.scores.rows])
    else:
        show(entry)
    return 1 if entry.outcome.failed else 0


def show(entry: Entry) -> None:
    """Print a theory's place, its verdicts, the ranking, and the comparisons with others."""
    from harness.cli import ranking_table, tables

    ranking, theory = entry.ranking, entry.theory
    rows = [
        r for r in entry.scores.rows if r.theory == theory and r.observable == ranking.observable
    ]
    tables.print_leaderboard(rows, f"{ranking.observable}, {theory} alone")
    ranking_table.print_ranking(ranking)
    for whose, words in ranking_table.comparisons(ranking, theory):
        print_entry(whose, words)
    own = next((each for each in ranking.standings if each.theory == theory), None)
    if own is None or own.rank is None:
        say(f"{theory}: supports none of the {counted(len(ranking.experiments), 'experiment')}")
        return
    record = own.records[ranking.observable]
    tied = [e.theory for e in ranking.standings if e.rank == own.rank and e.theory != theory]
    beside = f", tied with {', '.join(tied)}" if tied else ""
    say(
        f"{theory}: rank {own.rank} of {len(ranking.standings)}{beside}; agrees with the networks"
        f" in {record.agrees} of the {own.domain} experiments that it supports, of"
        f" {own.experiments}"
    )
