"""Put the leaderboard and figures of a results folder into the README and the front page.

Run by `make readme`, after `make demo`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from marked import fill

from harness.cli.tables import markdown
from harness.report import convergence, overview
from harness.report.figures.svg import save_svg
from harness.report.sections.summary import tallies
from harness.scoring import PRIMARY, score_results
from harness.store import Store, experiments

ROOT = Path(__file__).parents[1]


def main(results: str) -> None:
    """Rewrite the leaderboard of both pages and the figures in docs/images."""
    store = Store(results)
    rows = [r for r in score_results([store]) if r.observable == PRIMARY]
    theories = [tally.theory for tally in tallies(rows, experiments(store))]
    images = ROOT / "docs" / "images"
    images.mkdir(exist_ok=True)
    save_svg(overview(rows, theories=theories), images / "overview.svg")
    first = rows[0].experiment
    mine = [r for r in rows if r.experiment == first]
    save_svg(convergence(mine, theories=theories), images / "convergence.svg")
    for page in (ROOT / "README.md", ROOT / "docs" / "index.md"):
        fill(page, "leaderboard", markdown(rows))


if __name__ == "__main__":
    main(sys.argv[1])
