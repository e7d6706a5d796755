"""Write the claims, leaderboard and figures of the paper's suites from their results folders.

Run by `make paper`, after the suites. Fills `results/reference/paper`, and the tables between
markers in the README and in docs/claims.md.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from marked import fill
from reference_leaderboard import provenance

import harness
from harness.claims import MARKS, JudgedClaim, judge_claims, listed_claims
from harness.claims.judgement import jointly
from harness.cli.tables import excluded, markdown, overall_markdown
from harness.formats import bold, markdown_list, markdown_table, markdown_text
from harness.report.figures.claims import claim_figure
from harness.report.figures.style import styled
from harness.report.figures.svg import save_svg
from harness.report.sections.claims import claimed_range
from harness.scoring import PRIMARY, overall, score_folders
from harness.store import Store
from harness.store.files import write_text

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "results" / "reference" / "paper"


def main(folders: Sequence[str]) -> None:
    """Judge the claims on the results of all suites together, and write the verdicts."""
    stores = [Store(folder) for folder in folders]
    registry = harness.Registry.load()
    results = harness.load(*folders)
    judged = judge_claims(listed_claims(registry), results, registry)
    (TARGET / "figures").mkdir(parents=True, exist_ok=True)
    _write("claims.json", _json([claim.as_row() for claim in judged]))
    _write("claims.md", "\n\n".join(["# Claims", *map(in_full, judged)]))
    for claim in judged:
        draw(claim)
    scores = score_folders(stores, [PRIMARY])
    _write("leaderboard.json", _json(scores.rows))
    lines = [*scores.notes, *excluded(scores.unscored)]
    parts = ["# Leaderboard", overall_markdown(overall(scores)), markdown(scores.rows)]
    parts += [markdown_list(lines)] if lines else []
    _write("leaderboard.md", "\n\n".join(parts))
    _write("README.md", how_it_was_made(stores, results))
    table = markdown_table(("claim", "verdict", "finding"), map(brief, judged))
    for page in (ROOT / "README.md", ROOT / "docs" / "claims.md"):
        fill(page, "claims", table)
    fill(ROOT / "docs" / "claims.md", "numbers", "\n\n".join(map(in_full, judged)))


def brief(claim: JudgedClaim) -> tuple[str, str, str]:
    """Return a claim's row in a table: statement, verdict, and the first number."""
    found = claim.judgement
    first = claim.reason
    if found is not None:
        joint = jointly(found.findings)
        held = sum(each.verdict == "reproduced" for each in joint)
        shown = next(each for each in joint if each.verdict == claim.verdict)
        first = (
            f"{held} of {len(joint)} numbers hold; {shown.finding.what}:"
            f" {shown.finding.value:.3g} [{shown.low:.3g}, {shown.high:.3g}]"
        )
    order = claim.component.order
    return f"{order}. {claim.component.statement}", bold(claim.verdict), first


def in_full(claim: JudgedClaim) -> str:
    """Return a claim with all its numbers, as Markdown."""
    component, found = claim.component, claim.judgement
    parts = [
        f"### {component.order}. `{component.name}`: {claim.verdict}",
        f"> {markdown_text(component.statement)}\n>\n> {markdown_text(component.citation)}",
    ]
    if found is None:
        return "\n\n".join([*parts, markdown_text(claim.reason)])
    rows: list[tuple[str, ...]] = []
    groups = [("", found.findings), *((c.name, c.findings) for c in found.conditions)]
    for name, findings in groups:
        if name:
            rows.append((f"Condition: {name}", "", "", "", "", ""))
        for each in jointly(findings):
            number, interval = each.finding, f"{each.low:.3g} to {each.high:.3g}"
            cells = (number.what, f"{number.value:.3g}", interval, claimed_range(number))
            rows.append((*cells, each.sample, MARKS[each.verdict]))
    head = ("number", "value", "95 % interval", "claimed", "draws", "holds")
    table = markdown_table(head, rows)
    return "\n\n".join([*parts, markdown_text(claim.conclusion), table])


def draw(claim: JudgedClaim) -> None:
    """Save the figure of a claim."""
    if claim.judgement is None or claim.judgement.figure is None:
        return
    with styled():
        axes = claim_figure(claim.judgement.figure)
        save_svg(axes, TARGET / "figures" / f"{claim.component.name}.svg")


def how_it_was_made(stores: Sequence[Store], results: harness.Results) -> str:
    """Return command, dates, times, versions and machine, from the cells themselves."""
    suites, made, machine, versions = provenance(stores)
    cells = results.cells
    seconds = cells.groupby(cells["width"].isna())["seconds"].sum()
    statuses = cells["status"].value_counts()
    counts = ", ".join(f"{count} {status}" for status, count in statuses.items())
    return f"""# How these verdicts were made

`make paper` runs the suites {suites}
with `limitbench run` and judges the claims on their results together, as `limitbench claims DIR...`
does. CIFAR-10 and Fashion-MNIST are subsets (600 and 300 training images a class, the first of
each), read from `TFDS_DATA_DIR`.

- date: {made}
- cells: {len(cells)} ({counts})
- time: {seconds[False]:,.0f} s of training networks, {seconds[True]:,.0f} s of theories, added over
  workers, on a machine that had other work to do at the same time
- machine: {machine}
- versions: {versions}

`claims.json` and `leaderboard.json` have every number in full precision, `claims.md` and
`leaderboard.md` the tables, `figures/` the evidence on each claim.
"""


def _json(value: object) -> str:
    return json.dumps(value, indent=1, allow_nan=False)


def _write(name: str, text: str) -> None:
    write_text(TARGET / name, text.rstrip("\n") + "\n", "make it writable")


if __name__ == "__main__":
    main(sys.argv[1:])
