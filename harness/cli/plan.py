"""What `limitbench run --dry-run` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harness.cli.common import echo_json
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
    from harness.execution.history import history_file, read_history

    count = workers or default_workers()
    history = read_history(history_file())
    allowed = allowed_memory() if memory is None else memory * 2**20
    predicted = predicted_plan(plan, registry, history, count, allowed)
    if as_json:
        echo_json(predicted)
        return
    lines = []
    for row in predicted["cells"]:
        time, compiling, held = (
            "?" if row[k] is None else f"{row[k]:,.{digits}f}"
            for k, digits in (("seconds", 2), ("compile_seconds", 2), ("mebibytes", 0))
        )
        lines.append(
            f"{row['status']:<8} {time:>10} s + {compiling:>6} s compiling {held:>8} MiB "
            f" {row['cell']}"
        )
    total = predicted["total"]
    notes = [
        f"{total['unknown']} cells of unknown time not counted" * bool(total["unknown"]),
        (
            f"{total['refused']} refused: they need more than the"
            f" {total['mebibytes_allowed']:,.0f} MiB that workers may use (--memory)"
        )
        * bool(total["refused"]),
        total["known"],
    ]
    lines.append(
        f"{total['to_compute']} of {total['cells']} cells to compute, about"
        f" {duration(total['elapsed_seconds'])} with {count} workers"
        f" ({duration(total['seconds'])} of one, {duration(total['compile_seconds'])} of them"
        f" compiling, {total['pilots']} pilot runs included), at most"
        f" {total['mebibytes']:,.0f} MiB each" + "".join(f"; {note}" for note in notes if note)
    )
    click.echo("\n".join(lines))
