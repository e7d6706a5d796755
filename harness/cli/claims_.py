"""`limitbench claims`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from harness.cli.common import complete_suite, echo_json, load_registry, plugin_dir_option
from harness.cli.layout import print_paragraph, say, wide_option

if TYPE_CHECKING:
    from pathlib import Path

    from harness.claims import Finding, JudgedClaim
    from harness.registry import Component, Registry

TERMINAL_COLORS = {"reproduced": "green", "not reproduced": "red", "undecided": "yellow"}
LINE = 100
"""Columns beyond which prose is hard to read."""


@click.command("claims")
@click.argument("where", metavar="[SUITE | DIR...]", nargs=-1, shell_complete=complete_suite)
@click.option("--json", "as_json", is_flag=True, help="As one JSON array, in full precision.")
@click.option("--markdown", is_flag=True, help="As a Markdown table.")
@click.option(
    "--plan",
    is_flag=True,
    help="Say how many draws each mean needs, from the spread of those at hand.",
)
@wide_option
@plugin_dir_option
def command(
    where: tuple[str, ...],
    as_json: bool,
    markdown: bool,
    plan: bool,
    plugin_dirs: tuple[str, ...],
) -> None:
    """List claims of the literature, and judge them by results.

    Without an argument, list all of them. SUITE is a bundled suite or a file, whose results are
    taken from results/<suite's name>; DIR is a results folder, and several are judged together.
    A claim is reproduced if every number's 95 % interval lies inside the range it claims. With
    --plan, a short run of few draws tells how many a decision takes.
    """
    from harness.claims import JudgedClaim, judge_claims, listed_claims
    from harness.results import load

    registry = load_registry(plugin_dirs)
    if not where:
        judged = [JudgedClaim(c, reason="not judged") for c in listed_claims(registry)]
        if as_json or markdown:
            _print(judged, as_json)
        else:
            _list([claim.component for claim in judged])
        return
    folders, claims = _find(where, registry)
    if not folders:
        _list(claims)
        say(f"no results yet; `limitbench run {where[0]}` makes them", err=True)
        return
    results = load(*folders)
    if len(claims) == 0:
        claims = listed_claims(registry, results.cells["experiment"].unique())
    judged = judge_claims(claims, results, registry)
    for claim in judged:
        if claim.failure:
            click.echo(claim.failure, err=True)
    if as_json or markdown:
        _print(judged, as_json)
        return
    for claim in judged:
        _show(claim, plan)
    if not judged:
        say("no claim needs the experiments of these results", err=True)


def _find(where: tuple[str, ...], registry: Registry) -> tuple[list[Path], list[Component]]:
    """Return results folders, and the claims of a suite if one was named."""
    from pathlib import Path

    from harness.claims import listed_claims
    from harness.runs import results_folder
    from harness.suites import load_suite

    if len(where) > 1 or Path(where[0]).is_dir():
        return [Path(each) for each in where], []
    suite = load_suite(where[0], registry)
    folder = results_folder(suite.name)
    claims = listed_claims(registry, [e.name for e in suite.experiments])
    return ([folder] if folder.is_dir() else []), claims


def _list(claims: list[Component]) -> None:
    for claim in claims:
        click.secho(claim.name, bold=True)
        _say(claim.statement, "  ")
        _say(f"{claim.citation}; needs {', '.join(claim.experiments)}", "  ")


def _print(judged: list[JudgedClaim], as_json: bool) -> None:
    from harness.formats import bold, markdown_table

    rows = [claim.as_row() for claim in judged]
    if as_json:
        echo_json(rows)
        return
    lines = [(r["claim"], bold(r["verdict"]), r["statement"], r["conclusion"]) for r in rows]
    click.echo(markdown_table(("claim", "verdict", "statement", "finding"), lines))


def _show(claim: JudgedClaim, plan: bool) -> None:
    """Print a claim, its verdict and the numbers behind it."""
    click.secho(claim.component.name, bold=True, nl=False)
    click.echo("  ", nl=False)
    click.secho(claim.verdict, fg=TERMINAL_COLORS[claim.verdict], bold=True)
    _say(claim.component.statement, "  ")
    found = claim.judgement
    if found is None:
        _say(claim.reason, "  -> ")
    else:
        _show_findings(found.findings, "  ", plan)
        for condition in found.conditions:
            _say(f"{condition.name}: {condition.verdict}", "  if ")
            _show_findings(condition.findings, "    ", plan)
        if claim.conclusion:
            _say(claim.conclusion, "  -> ")
    click.echo()


def _show_findings(findings: Sequence[Finding], indent: str, plan: bool) -> None:
    """Print numbers with their joint intervals, the mark of each verdict, and the draws to plan."""
    from harness.claims import MARKS
    from harness.claims.judgement import jointly

    for each in jointly(findings):
        found = each.finding
        asked = " and ".join(f"{sign} {end:g}" for sign, end in found.bounds)
        asked += f" (counts from {found.smallest:g})" if found.smallest else ""
        text = f"{found.what}: {found.value:.3g} [{each.low:.3g}, {each.high:.3g}], claimed {asked}"
        text += f"; draws: {each.sample}" if each.sample else ""
        if plan and each.draws_to_plan:
            text += f"; plan {each.draws_to_plan}"
        _say(text, f"{indent}{MARKS[each.verdict]} ")


def _say(text: str, start: str) -> None:
    """Print an indented paragraph; names of experiments in it may come from strangers."""
    print_paragraph(text, len(start), start, LINE)
