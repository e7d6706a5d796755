"""Output of `limitbench run --dry-run`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from harness.cli.common import echo_json
from harness.cli.layout import Column, Table, print_paragraph, print_table
from harness.progress import duration

if TYPE_CHECKING:
    from harness.execution import Plan
    from harness.registry import Registry
    from harness.store import Store


def show_plan(
    plan: Plan,
    store: Store,
    registry: Registry,
    plugin_dirs: tuple[str, ...],
    workers: int | None,
    memory: float | None,
    as_json: bool,
) -> int:
    """List the cells that a run would compute, with predicted time and memory.

    Returns:
        Exit status: 1 if an experiment cannot be run, else 0.
    """
    from harness.execution.cost.forecast import predicted_plan
    from harness.execution.cost.history import history_file, read_history
    from harness.execution.driver import inspect_plan
    from harness.execution.machine import allowed_memory, default_workers
    from harness.progress import Lines

    count = workers or default_workers()
    history = read_history(history_file())
    allowed = allowed_memory() if memory is None else memory * 2**20
    inspect_plan(
        plan,
        store,
        registry,
        Lines(quiet=True),
        plugin_dirs=plugin_dirs,
        workers=count,
        memory=allowed,
    )
    predicted = predicted_plan(plan, registry, history, count, allowed)
    status = 1 if plan.failed else 0
    if as_json:
        echo_json(predicted)
        return status
    print_table(plan_table(predicted["cells"]))
    total = predicted["total"]
    if not total["to_compute"]:
        print_paragraph(f"0 of {total['cells']} cells to compute: all are finished")
        return status
    notes = [
        f"{total['unknown']} cells of unknown time not counted" * bool(total["unknown"]),
        (
            f"{total['refused']} refused: they need more than the"
            f" {total['mebibytes_allowed']:,.0f} MiB that workers may use (--memory)"
        )
        * bool(total["refused"]),
        total["known"],
    ]
    print_paragraph(
        f"{total['to_compute']} of {total['cells']} cells to compute, about"
        f" {duration(total['elapsed_seconds'])} from start to report with {count} workers (jobs"
        f" take {duration(total['seconds'])} of one, {duration(total['compile_seconds'])} of them"
        f" compiling, {total['pilots']} pilot runs included), at most"
        f" {total['mebibytes']:,.0f} MiB each" + "".join(f"; {note}" for note in notes if note)
    )
    return status


def plan_table(cells: Iterable[dict[str, Any]]) -> Table:
    """Return a row for every cell: its status, predicted time and memory, and its name."""
    lines = []
    for row in cells:
        time, compiling, held = (
            "?" if row[k] is None else f"{row[k]:,.{digits}f}"
            for k, digits in (("seconds", 2), ("compile_seconds", 2), ("mebibytes", 0))
        )
        lines.append(
            (row["status"], f"{time} s", f"{compiling} s compiling", f"{held} MiB", row["cell"])
        )
    words = Column("", words=True)
    return Table("", (words, Column(""), Column(""), Column(""), words), lines, head=4)
