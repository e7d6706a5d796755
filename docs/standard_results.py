"""Pack the networks and theories of the suite `standard`, and write the tables about them.

Run by `make standard`, after the suite: writes results/standard, and the tables between marks in
results/standard/README.md, docs/standard.md and the README.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from marked import fill

from harness.cli.ranking_table import markdown
from harness.formats import markdown_table, percent_cell
from harness.report.figures.svg import save_svg
from harness.scoring import RANKED, Power, power, rank_theories, read_problems, score_folders
from harness.site.figures import cost_and_gap
from harness.store import Store
from harness.submissions import pack

ROOT = Path(__file__).parents[1]
EXACT = ("mean-field", "adaptive-kernel", "dmft", "linear-transfer")
"""Theories that are exact in their domains, the preferred first."""

POWER = (
    "experiment",
    "right theory",
    "95 % interval of its gap",
    "verdict",
    "10 % too large",
    "10 % elsewhere",
    "half the seeds: not refuted",
    "gap 0 in the interval",
    "10 % too large refuted",
)


def main(results: str) -> None:
    """Write the file of networks and theories, and all tables."""
    store, folder = Store(results), ROOT / "results" / "standard"
    folder.mkdir(parents=True, exist_ok=True)
    header = pack([store], folder / "standard-1.parquet")
    size = (folder / "standard-1.parquet").stat().st_size
    sys.stdout.write(f"{header.cells} cells in {size / 1e6:.2f} MB\n")
    ranking = rank_theories(score_folders([store], RANKED))
    found = power(read_problems([store], []), EXACT)
    save_svg(cost_and_gap(ranking), ROOT / "docs" / "images" / "standard.svg")
    for page in (folder / "README.md", ROOT / "docs" / "standard.md", ROOT / "README.md"):
        fill(page, "standard ranking", markdown(ranking))
    fill(ROOT / "docs" / "standard.md", "standard power", power_table(found))


def power_table(found: Sequence[Power]) -> str:
    """Return the power of every experiment, and of all, as a Markdown table."""
    lines = [
        (
            one.experiment,
            one.theory,
            f"{percent_cell(one.interval[0])} – {percent_cell(one.interval[1])}",
            one.verdict,
            one.wrong,
            one.apart,
            *(f"{100 * share:.0f} %" for share in (one.agreed, one.covered, one.found_out)),
        )
        for one in found
    ]
    count = len(found)
    agree = sum(one.verdict == "agrees" for one in found)
    wrong, apart = (
        sum(verdict == "disagrees" for verdict in verdicts)
        for verdicts in zip(*((one.wrong, one.apart) for one in found), strict=True)
    )
    means = [
        sum(shares) / count
        for shares in zip(*((o.agreed, o.covered, o.found_out) for o in found), strict=True)
    ]
    lines.append(
        (
            f"all {count}",
            "",
            "",
            f"{agree} agree",
            f"{wrong} disagree",
            f"{apart} disagree",
            *(f"{100 * share:.1f} %" for share in means),
        )
    )
    return markdown_table(POWER, lines)


if __name__ == "__main__":
    main(sys.argv[1])
