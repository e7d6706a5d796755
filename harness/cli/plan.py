"""What `limitbench run --dry-run` prints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from harness.cli.common import echo_json
from harness.cli.layout import Column, Table, print_paragraph, print_table
from harness.cli.progress import duration

if TYPE_CHECKING:
    from harness.execution import Plan
    from harness.registry import Registry


def show_plan(
    plan: Plan, registry: Registry, workers: int | None, memory: float | None, as_json: bool
) -> None:
    """List the cells that a run would compute, with predicted time and memory."""
    from harness.execution.cost import predicted_plan
    from harness.execution.driver import allowed_memory, default_workers
    from harness.execution.machine import calibrate, known_rates, worker_threads

    count = workers or default_workers()
    rates = known_rates(worker_threads(count))
    if not rates.calibrated:
        click.echo("measuring how fast this machine is, once; about ten seconds", err=True)
        rates = calibrate(worker_threads(count))
    allowed = allowed_memory() if memory is None else memory * 2**20
    predicted = predicted_plan(plan, registry, rates, count, allowed)
    if as_json:
        echo_json(predicted)
        return
    print_table(plan_table(predicted["cells"]))
    total = predicted["total"]
    notes = [
        f"{total['unknown']} cells of unknown time not counted" * bool(total["unknown"]),
        (
            f"{total['refused']} refused: they need more than the"
            f" {total['mebibytes_allowed']:,.0f} MiB that workers may use (--memory)"
        )
        * bool(total["refused"]),
        "this machine could not be measured: typical rates" * (not total["calibrated"]),
    ]
    print_paragraph(
        f"{total['to_compute']} of {total['cells']} cells to compute, about"
        f" {duration(total['elapsed_seconds'])} with {count} workers"
        f" ({duration(total['seconds'])} of one, {total['pilots']} pilot runs included, compilation"
        f" not), at most {total['mebibytes']:,.0f} MiB each"
        + "".join(f"; {note}" for note in notes if note)
    )


def plan_table(cells: Iterable[dict[str, Any]]) -> Table:
    """Return a row for every cell: its status, predicted time and memory, and its name."""
    lines = []
    for row in cells:
        time, held = (
            "?" if row[k] is None else f"{row[k]:,.{digits}f}"
            for k, digits in (("seconds", 2), ("mebibytes", 0))
        )
        lines.append((row["status"], f"{time} s", f"{held} MiB", row["cell"]))
    columns = (Column("", words=True), Column(""), Column(""), Column("", words=True))
    return Table("", columns, lines, head=3)
