"""`limitbench check`."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import click

from harness.cli.common import counted, echo_json, load_registry, plugin_dir_option, workers_option
from harness.cli.layout import print_entry, say, wide_option

if TYPE_CHECKING:
    from harness.store import CellRecord
    from harness.submissions.check import Checked
    from harness.submissions.comparison import Comparison


@click.command("check")
@click.argument("file", metavar="FILE|DIR")
@click.option(
    "--cells",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Cells to draw and run again, at least; a tenth more are drawn, and every network brings"
    " another seed.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Repeats a draw; a new one by default.")
@plugin_dir_option
@workers_option
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="S",
    help="Seconds after which a job is stopped; its cells cannot be re-run then.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
@wide_option
def command(
    file: str,
    cells: int,
    seed: int | None,
    plugin_dirs: tuple[str, ...],
    workers: int | None,
    timeout: float | None,
    as_json: bool,
) -> int:
    """Check a submission, or a results folder, and run cells drawn at random again.

    Of every cell, checksums are compared, data are made anew, and losses are compared with outputs.
    The components of cells that are run again must be installed here; nothing in the submission is
    run. Exit status: 0 if nothing is wrong and every drawn cell comes out the same, 1 otherwise, 2
    if the file is no submission.
    """
    from harness.progress import shown_progress
    from harness.submissions.check import check
    from harness.submissions.pack import results_of

    seed = secrets.randbits(63) if seed is None else seed
    registry = load_registry(plugin_dirs)
    with results_of(file) as store, shown_progress() as watcher:
        found = check(
            store,
            registry,
            watcher,
            cells=cells,
            seed=seed,
            plugin_dirs=plugin_dirs,
            workers=workers,
            timeout=timeout,
        )
    if as_json:
        echo_json(as_plain(found))
    else:
        for key, fault in found.faults:
            print_entry(key, fault)
        for record, comparison in found.again:
            print_entry(title(record), words(comparison))
    for reason, count in found.unchecked.items():
        say(f"{counted(count, 'cell')} not compared with data: {reason}", err=True)
    same = sum(c.verdict.startswith("same") for _, c in found.again)
    say(
        f"{counted(found.cells, 'cell')} checked, {counted(len(found.faults), 'fault')} found;"
        f" {len(found.again)} drawn with --seed {seed}, {same} of them came out the same",
        err=True,
    )
    return 0 if found.passed else 1


def title(record: CellRecord) -> str:
    """Return a cell's experiment and solver, for a line."""
    solver = record.facts.solver
    which = "" if solver.width is None else f" width {solver.width} seed {solver.seed}"
    return f"{record.facts.experiment} · {solver.name}{which}"


def words(found: Comparison) -> str:
    """Return the verdict on a cell, with its reason and numbers."""
    if found.reason:
        return f"{found.verdict}: {found.reason}"
    if not found.observable:
        return found.verdict
    return (
        f"{found.verdict}: {found.observable} by {found.difference:.2g}; allowed are"
        f" {found.allowed:.2g}"
    )


def as_plain(found: Checked) -> dict[str, Any]:
    """Return the outcome as plain JSON."""
    return {
        "cells": found.cells,
        "seed": found.seed,
        "passed": found.passed,
        "faults": [{"cell": key, "fault": fault} for key, fault in found.faults],
        "not_compared_with_data": found.unchecked,
        "again": [
            {
                "cell": record.key,
                "experiment": record.facts.experiment,
                "solver": record.facts.solver.name,
                "width": record.facts.solver.width,
                "seed": record.facts.solver.seed,
                "verdict": c.verdict,
                "reason": c.reason,
                "observable": c.observable,
                "difference": c.difference,
                "allowed": c.allowed,
            }
            for record, c in found.again
        ],
    }
