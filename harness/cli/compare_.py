"""`limitbench compare`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from harness.cli.common import complete_folder
from harness.cli.layout import print_entry, say, wide_option
from harness.formats import percent_cell

if TYPE_CHECKING:
    from harness.scoring import ScoreRow

Key = tuple[str, str, str]


@click.command("compare")
@click.argument("before", metavar="DIR", shell_complete=complete_folder)
@click.argument("after", metavar="DIR", shell_complete=complete_folder)
@wide_option
def command(before: str, after: str) -> None:
    """Show the changes between two results folders, on the predictor at the end.

    A change counts as real when the intervals of the limit gap do not overlap. Versions and
    parameters that changed are named.
    """
    from harness.cli.tables import excluded
    from harness.scoring import PRIMARY, Scores, score_folders
    from harness.store import Store

    def scored(folder: str) -> tuple[dict[Key, ScoreRow], Scores]:
        scores = score_folders([Store(folder)], (PRIMARY,))
        rows = {(r.experiment, r.theory, r.apart or ""): r for r in scores.rows}
        return rows, scores

    (old, old_scores), (new, new_scores) = scored(before), scored(after)
    new = _matched(old, new)
    for key in sorted(old.keys() | new.keys()):
        label = " · ".join(part for part in key if part)
        if key not in new:
            print_entry(label, f"only in {before}")
        elif key not in old:
            print_entry(label, f"only in {after}")
        else:
            print_entry(label, _change(old[key], new[key]))
    for folder, scores in ((before, old_scores), (after, new_scores)):
        for line in (*scores.notes, *excluded(scores)):
            say(f"{folder}: {line}", err=True)


def _matched(old: Mapping[Key, ScoreRow], new: Mapping[Key, ScoreRow]) -> dict[Key, ScoreRow]:
    """Return new rows under the keys of the old ones of the same cell.

    A folder marks names only where it has several problems of them.
    """
    known = {(row.experiment, row.problem, row.cell): key for key, row in old.items()}
    return {
        known.get((row.experiment, row.problem, row.cell), key): row for key, row in new.items()
    }


def _change(old: ScoreRow, new: ScoreRow) -> str:
    a, b = old.limit_gap_ci, new.limit_gap_ci
    apart = a is not None and b is not None and (a[1] < b[0] or b[1] < a[0])
    verdicts = old.verdict if old.verdict == new.verdict else f"{old.verdict} -> {new.verdict}"
    parts = [verdicts, f"limit gap {_gap(old)} -> {_gap(new)}", *_what_differs(old, new)]
    return "; ".join([*parts, "changed" if apart else "within the intervals"])


def _what_differs(old: ScoreRow, new: ScoreRow) -> list[str]:
    """Return versions, sources, widths and seeds that are not the same."""
    names = dict.fromkeys([*old.versions, *new.versions])
    pairs: list[tuple[str, Any, Any]] = [
        (f"{name} version", old.versions.get(name), new.versions.get(name)) for name in names
    ]
    pairs += [
        (f"source of {name}", old.sources.get(name), new.sources.get(name))
        for name in dict.fromkeys([*old.sources, *new.sources])
    ]
    widths, former = (" ".join(map(str, row.widths)) for row in (new, old))
    pairs += [("widths", former, widths), ("seeds", old.seeds, new.seeds)]
    return [f"{name} {before} -> {after}" for name, before, after in pairs if before != after]


def _gap(row: ScoreRow) -> str:
    text = percent_cell(row.limit_gap)
    if row.limit_gap_ci is None:
        return text
    low, high = (100 * v for v in row.limit_gap_ci)
    return f"{text} [{low:.2f}, {high:.2f}]"
