"""Write the reference leaderboard of the repository from a results folder.

Run by `make reference`, after `make demo`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import harness
from harness.cli.tables import excluded, markdown, overall_markdown
from harness.formats import markdown_list, markdown_text
from harness.scoring import overall, score_folders
from harness.store import Store
from harness.store.files import write_text

TARGET = Path(__file__).parents[1] / "results" / "reference"
REMEDY = "make it writable"


def main(results: str) -> None:
    """Write leaderboard.json, leaderboard.md and README.md into results/reference."""
    store = Store(results)
    scores = score_folders([store])
    TARGET.mkdir(parents=True, exist_ok=True)
    text = json.dumps([row.as_json() for row in scores.rows], indent=1, allow_nan=False)
    write_text(TARGET / "leaderboard.json", f"{text}\n", REMEDY)
    parts = ["# Reference leaderboard", "## Overall, by theory", overall_markdown(overall(scores))]
    for name in dict.fromkeys(row.observable for row in scores.rows):
        rows = [row for row in scores.rows if row.observable == name]
        parts += [f"## `{name}`", markdown(rows)]
    lines = [*scores.notes, *excluded(scores)]
    parts += [markdown_list(lines)] if lines else []
    write_text(TARGET / "leaderboard.md", "\n\n".join(parts) + "\n", REMEDY)
    write_text(TARGET / "README.md", how_it_was_made(store), REMEDY)


def provenance(stores: Sequence[Store]) -> tuple[str, str, str, str]:
    """Return suites, days, machines and versions as Markdown, from the cells themselves."""
    suites = sorted({manifest.suite for store in stores for manifest in store.manifests()})
    records = [record for store in stores for record in store.cells()]
    environments = [record.facts.environment for record in records]
    versions = {
        f"{name} {version}" for each in environments for name, version in each.versions.items()
    }
    pythons = {f"Python {each.python}" for each in environments}
    machines = {
        f"processors of a worker: {each.processors}, JAX on {', '.join(each.devices)}"
        for each in environments
    }
    days = sorted({record.facts.started[:10] for record in records})
    suite_names, made, machine, found = map(
        markdown_text,
        (
            ", ".join(suites),
            " to ".join(dict.fromkeys((days[0], days[-1]))),
            "; ".join(sorted(machines)),
            ", ".join(sorted(pythons) + sorted(versions)),
        ),
    )
    return suite_names, made, machine, found


def how_it_was_made(store: Store) -> str:
    """Return command, date, times, versions and machine in words, from the cells themselves."""
    suites, made, machine, versions = provenance([store])
    cells = harness.load(store.root).cells
    seconds = cells.groupby(cells["width"].isna())["seconds"].sum()
    return f"""# How this leaderboard was made

`leaderboard.json` (every row, in full precision) and `leaderboard.md` were written by
`make reference`, which runs `limitbench run {suites}` and scores its results.
[Scoring](../../docs/scoring.md) explains the numbers.

- date: {made}
- cells: {len(cells)}, of which {int((cells["status"] == "done").sum())} done
- time: {seconds[False]:,.0f} s of training networks, {seconds[True]:,.0f} s of theories, added over
  workers, compilation included
- machine: {machine}
- versions: {versions}

Every row names the versions of its task, architecture, regime and theory. Running it again on
another machine changes the last digits of networks, which compute in single precision.
"""


if __name__ == "__main__":
    main(sys.argv[1])
