"""`limitbench run`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harness.cli.common import (
    complete_suite,
    echo_json,
    load_registry,
    only_option,
    plugin_dir_option,
    workers_option,
)
from harness.cli.layout import say, wide_option

if TYPE_CHECKING:
    from harness.execution.calls import Spent
    from harness.scoring import Scores


@click.command("run")
@click.argument("suite", shell_complete=complete_suite)
@click.option(
    "--results", metavar="DIR", help="Where results go; results/<suite's name> by default."
)
@only_option
@plugin_dir_option
@workers_option
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="S",
    help="Seconds after which a job is stopped and its cells fail.",
)
@click.option(
    "--memory",
    type=click.FloatRange(min=0, min_open=True),
    metavar="MIB",
    help="MiB that all workers may use together; 90 % of the free memory by default. With"
    " --scheduler, of each Dask worker; 90 % of its limit by default.",
)
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Number of retries for a job whose worker died.",
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Run on a Dask cluster: an address, a scheduler file, or 'config' for the cluster that"
    " Dask's configuration names.",
)
@click.option(
    "--resources",
    metavar="NAME=N,...",
    help="Dask worker resources that every job needs, such as GPU=1; with --scheduler.",
)
@click.option(
    "--shared-results",
    is_flag=True,
    help="Workers write to DIR, which they share; else results come back here; with --scheduler.",
)
@click.option(
    "--dry-run", is_flag=True, help="List the cells and forecast their time; run nothing."
)
@click.option("--fresh", is_flag=True, help="Compute cells again that have a result.")
@click.option("--json", "as_json", is_flag=True, help="Print the leaderboard as JSON.")
@wide_option
def command(
    suite: str,
    results: str | None,
    only: tuple[str, ...],
    plugin_dirs: tuple[str, ...],
    workers: int | None,
    timeout: float | None,
    memory: float | None,
    retries: int,
    scheduler: str | None,
    resources: str | None,
    shared_results: bool,
    dry_run: bool,
    fresh: bool,
    as_json: bool,
) -> int:
    """Run the missing cells of a suite, score it, write the report.

    SUITE is a TOML file or the name of a bundled suite (`limitbench list suites`). Cells that
    have a result are not computed again; failed cells are tried again. Exit status: 0 if all
    cells are done, 1 if some failed, 2 for a wrong suite, 130 if interrupted.
    """
    from harness.execution import plan_suite
    from harness.runs import cluster_at, compute, publish, results_folder
    from harness.store import Store
    from harness.suites import load_suite, same_problems

    if scheduler is None and (resources or shared_results):
        raise click.UsageError("--resources and --shared-results go with --scheduler")
    if scheduler is not None and workers is not None:
        raise click.UsageError(
            "--workers applies only to local runs; with --scheduler, every thread of every Dask"
            " worker runs a job"
        )
    needed = parse_resources(resources)
    if scheduler is not None:
        from harness.execution.cluster.scheduler import check_scheduler

        check_scheduler(scheduler)  # before anything is loaded or planned for it
    registry = load_registry(plugin_dirs)
    plan = plan_suite(load_suite(suite, registry), fresh, only)
    for same in same_problems(plan.suite):
        say(f"the same problem with the same solvers, computed once: {', '.join(same)}", err=True)
    store = Store(results or results_folder(plan.suite.name))
    store.check()
    if dry_run:
        from harness.cli.plan import show_plan

        return show_plan(plan, store, registry, plugin_dirs, workers, memory, as_json)
    cluster = None if scheduler is None else cluster_at(scheduler, registry, needed, shared_results)
    done = compute(
        plan,
        store,
        plugin_dirs=plugin_dirs,
        workers=workers,
        timeout=timeout,
        memory=memory,
        retries=retries,
        cluster=cluster,
    )
    if done.spent.seconds + done.spent.compiling:
        say(spent_on(done.spent), err=True)
    note = "; the report lists them" if done.failed else ""
    count = f"{done.computed} cells computed, {done.found} found, {done.failed} failed{note}"
    say(count, err=True)
    scores, path = publish(store, registry)
    show_scores(scores, {e.name for e in plan.suite.experiments}, as_json)
    say(f"report: {path}", err=as_json)
    return 1 if done.failed else 0


def show_scores(scores: Scores, names: set[str], as_json: bool) -> None:
    """Print the leaderboard of some experiments, and list the theories without a place on it."""
    from harness.cli.tables import excluded, print_leaderboard
    from harness.scoring import PRIMARY

    unscored = [each for each in scores.unscored if each.experiment in names]
    for line in (*scores.notes, *excluded(scores, unscored)):
        say(line, err=True)
    rows = [r for r in scores.rows if r.observable == PRIMARY and r.experiment in names]
    if as_json:
        echo_json([row.as_json() for row in rows])
    elif rows:
        print_leaderboard(rows, PRIMARY)


def spent_on(spent: Spent) -> str:
    """Return in words how the workers of a run spent their time."""
    from harness.progress import duration

    return (
        f"{duration(spent.compiling)} of compiling ({spent.compiled} programs; {spent.loaded} were"
        f" kept), {duration(spent.seconds)} of computing"
    )


def parse_resources(text: str | None) -> dict[str, float]:
    """Return resources by name from ``NAME=N,...``."""
    found = {}
    for part in (text or "").split(","):
        name, _, number = part.partition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError:
            found[name.strip()] = 0.0
    found = found if text else {}
    if not all(name and 0 < number < float("inf") for name, number in found.items()):
        raise click.BadParameter(
            f"{text!r}; write NAME=N,... as in GPU=1", param_hint="--resources"
        )
    return found
