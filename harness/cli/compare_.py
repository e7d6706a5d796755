"""`limitbench compare`."""

from __future__ import annotations

from typing import Any

import click


@click.command("compare")
@click.argument("before", metavar="DIR")
@click.argument("after", metavar="DIR")
def command(before: str, after: str) -> None:
    """Show what changed between two results folders, on the predictor at the end.

    A change counts as real when the intervals of the limit gap do not overlap.
    """
    from harness.scoring import PRIMARY, score_results
    from harness.store import Store

    def scored(folder: str) -> dict[tuple[str, str], dict[str, Any]]:
        rows = score_results([Store(folder)])
        return {(r["experiment"], r["theory"]): r for r in rows if r["observable"] == PRIMARY}

    old, new = scored(before), scored(after)
    for key in sorted(old.keys() | new.keys()):
        label = f"{key[0]} · {key[1]}"
        if key not in new:
            click.echo(f"{label}: only in {before}")
        elif key not in old:
            click.echo(f"{label}: only in {after}")
        else:
            click.echo(f"{label}: {_change(old[key], new[key])}")


def _change(old: dict[str, Any], new: dict[str, Any]) -> str:
    gaps = f"limit gap {_gap(old)} -> {_gap(new)}"
    a, b = old["limit_gap_ci"], new["limit_gap_ci"]
    apart = a is not None and b is not None and (a[1] < b[0] or b[1] < a[0])
    verdicts = (
        old["verdict"]
        if old["verdict"] == new["verdict"]
        else f"{old['verdict']} -> {new['verdict']}"
    )
    return f"{verdicts}; {gaps}{'; changed' if apart else '; within the intervals'}"


def _gap(row: dict[str, Any]) -> str:
    text = f"{100 * row['limit_gap']:.2f} %"
    if row["limit_gap_ci"] is None:
        return text
    low, high = (100 * v for v in row["limit_gap_ci"])
    return f"{text} [{low:.2f}, {high:.2f}]"
