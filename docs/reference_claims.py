"""Write the claims, leaderboard and figures of all suites with claims from their results folders.

Run by `make paper`, after the suites. Fills `results/reference/paper`, docs/verdicts.md, the blocks
between markers of docs/claims.md and the README, and the figures in docs/images/claims. Claims that
need none of the given folders keep what an earlier run has written of them.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from marked import fill, filled
from reference_leaderboard import provenance

import harness
from harness.claims import MARKS, JudgedClaim, Judgement, judge_claims, listed_claims
from harness.claims.judgement import JointFinding, jointly
from harness.cli.tables import excluded, markdown, overall_markdown
from harness.errors import NotEnoughError
from harness.formats import bold, markdown_list, markdown_table, markdown_text
from harness.registry import Component
from harness.report.figures.claims import claim_figure
from harness.report.figures.style import styled
from harness.report.figures.svg import save_svg
from harness.report.sections.claims import claimed_range, with_symbols
from harness.scoring import PRIMARY, overall, score_folders
from harness.store import CellRecord, Store
from harness.store.files import write_text

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "results" / "reference" / "paper"
FIGURES = ROOT / "docs" / "images" / "claims"
ARTICLE, VERDICTS = ROOT / "docs" / "claims.md", ROOT / "docs" / "verdicts.md"
FIRST = "2507.04448"
"""The paper whose claims the README shows."""

ROW = re.compile(r"^\| (\d+)\\?\. .*$", re.MULTILINE)
SECTION = re.compile(r"^### (\d+)\. .*?(?=^### |\Z)", re.MULTILINE | re.DOTALL)
"""The parts of docs/verdicts.md and the README that belong to one claim, with its number."""


def main(folders: Sequence[str]) -> None:
    """Judge the claims on the results of all suites together, and write the verdicts."""
    stores = [Store(folder) for folder in folders]
    registry = harness.Registry.load()
    results = harness.load(*folders)
    names = results.cells["experiment"].unique()
    former = _former()
    judged = [
        claim
        for claim in judge_claims(listed_claims(registry, names), results, registry)
        if claim.judgement is not None or claim.component.name not in former
    ]
    known = listed_claims(registry)
    found = {claim.component.name: claim.as_row() for claim in judged}
    kept = [claim for claim in known if claim.name in former and claim.name not in found]
    rows = [row for claim in known for row in [(former | found).get(claim.name)] if row]
    _write(TARGET / "claims.json", _json(rows))
    for claim in judged:
        draw(claim)
    scores = score_folders(stores, [PRIMARY])
    _write(TARGET / "leaderboard.json", _json([row.as_json() for row in scores.rows]))
    lines = [*scores.notes, *excluded(scores)]
    parts = ["# Leaderboard", overall_markdown(overall(scores)), markdown(scores.rows)]
    parts += [markdown_list(lines)] if lines else []
    _write(TARGET / "leaderboard.md", "\n\n".join(parts))
    _write(TARGET / "README.md", how_it_was_made(stores, results, kept))
    orders = {claim.order for claim in kept}
    verdicts = with_former(table(judged), filled(VERDICTS, "verdicts"), ROW, orders, "\n")
    numbers = "\n\n".join(map(in_full, judged))
    fill(VERDICTS, "verdicts", f"{count(rows)}\n\n{verdicts}")
    numbers = with_former(numbers, filled(VERDICTS, "numbers"), SECTION, orders, "\n\n")
    fill(VERDICTS, "numbers", numbers)
    first = table([claim for claim in judged if FIRST in claim.component.citation])
    readme = ROOT / "README.md"
    fill(readme, "claims", with_former(first, filled(readme, "claims"), ROW, orders, "\n"))
    asked = re.findall(r"<!-- claim ([\w-]+) -->", ARTICLE.read_text(encoding="utf-8"))
    for claim in judged:
        if claim.component.name in asked:
            fill(ARTICLE, f"claim {claim.component.name}", in_short(claim))


def _former() -> dict[str, dict[str, Any]]:
    """Return the rows of claims that an earlier run has judged, by name."""
    path = TARGET / "claims.json"
    rows = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return {row["claim"]: row for row in rows if row["findings"]}


def with_former(
    new: str, former: str, part: re.Pattern[str], kept: Collection[int], between: str
) -> str:
    """Return the new parts of claims and the former ones of kept claims, in order of numbers."""
    parts = {int(found[1]): found[0].strip() for found in part.finditer(former)}
    parts = {number: text for number, text in parts.items() if number in kept}
    parts |= {int(found[1]): found[0].strip() for found in part.finditer(new)}
    head = part.split(new, maxsplit=1)[0].strip()
    return between.join([*([head] if head else []), *(parts[number] for number in sorted(parts))])


def count(rows: Sequence[dict[str, Any]]) -> str:
    """Return how many claims have which verdict, in words."""
    found = Counter(row["verdict"] for row in rows)
    return f"{len(rows)} claims: " + ", ".join(f"{n} {v}" for v, n in found.most_common()) + "."


def table(judged: Sequence[JudgedClaim]) -> str:
    """Return a row for each claim: statement, verdict, and the number that decides or is open."""
    return markdown_table(("claim", "verdict", "finding"), map(brief, judged))


def brief(claim: JudgedClaim) -> tuple[str, str, str]:
    """Return a claim's row in a table: statement, verdict, and the first number."""
    found = claim.judgement
    first = claim.reason
    if found is not None:
        first = "; ".join(deciding(claim, found))
    order = claim.component.order
    return f"{order}. {with_symbols(claim.component.statement)}", bold(claim.verdict), first


def deciding(claim: JudgedClaim, found: Judgement) -> tuple[str, str]:
    """Return how many numbers hold, and the first one that has the claim's verdict, in words."""
    joint = jointly(found.findings)
    held = sum(each.verdict == "reproduced" for each in joint)
    shown = next(each for each in joint if each.verdict == claim.verdict)
    return f"{held} of {len(joint)} numbers hold", in_words(shown)


def in_words(each: JointFinding) -> str:
    """Return a number with its joint interval, smallest effect and draws, in a line."""
    found = each.finding
    text = f"{with_symbols(found.what)}: {found.value:.3g} [{each.low:.3g}, {each.high:.3g}]"
    text += f", claimed {claimed_range(found)}" if found.bounds else ""
    return text + (f"; draws: {each.sample}" if each.sample else "")


def in_short(claim: JudgedClaim) -> str:
    """Return a claim with its verdict, deciding number, reason and figure, as Markdown."""
    component, found = claim.component, claim.judgement
    anchor = f"verdicts.md#{component.order}-{component.name}"
    head = f"> **{component.order}.** {markdown_text(with_symbols(component.statement))}"
    if found is None:
        return f"{head}\n\n**Undecided**: {markdown_text(claim.reason)}"
    held, shown = deciding(claim, found)
    verdict = bold(claim.verdict.capitalize())
    line = f"{verdict}: {held} ([all]({anchor})). {markdown_text(shown)}."
    parts = [head, line, markdown_text(with_symbols(claim.conclusion))]
    if found.figure is not None:
        parts.append(f"![Evidence on {component.name}](images/claims/{component.name}.svg)")
    return "\n\n".join(parts)


def in_full(claim: JudgedClaim) -> str:
    """Return a claim with all its numbers, as Markdown."""
    component, found = claim.component, claim.judgement
    parts = [
        f"### {component.order}. {component.name}",
        f"> {markdown_text(with_symbols(component.statement))}\n>\n"
        f"> {markdown_text(component.citation)}",
        f"{bold(claim.verdict.capitalize())}.",
    ]
    if found is None:
        return "\n\n".join([*parts, markdown_text(claim.reason)])
    rows: list[tuple[str, ...]] = []
    groups = [("", found.findings), *((c.name, c.findings) for c in found.conditions)]
    for name, findings in groups:
        if name:
            rows.append((f"Condition: {with_symbols(name)}", "", "", "", "", ""))
        for each in jointly(findings):
            number, interval = each.finding, f"{each.low:.3g} to {each.high:.3g}"
            cells = (with_symbols(number.what), f"{number.value:.3g}", interval)
            rows.append((*cells, claimed_range(number), each.sample, MARKS[each.verdict]))
    numbers = ("number", "value", "95 % interval, joint", "claimed", "draws", "holds")
    conclusion = markdown_text(with_symbols(claim.conclusion))
    return "\n\n".join([*parts, conclusion, markdown_table(numbers, rows)])


def draw(claim: JudgedClaim) -> None:
    """Save the figure of a claim; one whose results are incomplete keeps the former figure."""
    if claim.judgement is None or claim.judgement.figure is None:
        return
    FIGURES.mkdir(parents=True, exist_ok=True)
    with styled():
        try:
            axes = claim_figure(claim.judgement.figure)
        except NotEnoughError as error:
            sys.stderr.write(f"{claim.component.name}: no figure: {error}\n")
            return
        save_svg(axes, FIGURES / f"{claim.component.name}.svg")


def how_it_was_made(
    stores: Sequence[Store], results: harness.Results, kept: Sequence[Component]
) -> str:
    """Return command, dates, times, versions and machine, from the cells themselves."""
    suites, made, machine, versions = provenance(stores)
    cells = results.cells
    seconds = cells.groupby(cells["width"].isna())["seconds"].sum()
    statuses = cells["status"].value_counts()
    counts = ", ".join(f"{count} {status}" for status, count in statuses.items())
    numbers = ", ".join(str(claim.order) for claim in kept)
    records = {store.root.name: list(store.cells()) for store in stores}
    spent = ", ".join(f"{suite} {_minutes(own):.0f}" for suite, own in records.items())
    earlier = f"- not judged again, from an earlier run: claims {numbers}\n" if kept else ""
    return f"""# How these verdicts were made

`make paper` runs the suites {suites}
with `limitbench run` and judges the claims on their results together, as `limitbench claims DIR...`
does. CIFAR-10 and Fashion-MNIST are subsets (600 and 300 training images a class, the first of
each), read from `TFDS_DATA_DIR`.

- date: {made}
- cells: {len(cells)} ({counts})
- time: {seconds[False]:,.0f} s of training networks, {seconds[True]:,.0f} s of theories, added over
  workers, compilation included
- minutes of it by suite: {spent}
- sources of components: {_sources(itertools.chain.from_iterable(records.values()))}
- machine: {machine}
- versions: {versions}
{earlier}
`claims.json` and `leaderboard.json` have every number in full precision, `leaderboard.md` the
ranking. The verdicts are in `docs/verdicts.md` as tables, and in `docs/claims.md` as an article,
with the figures of `docs/images/claims`.
"""


def _minutes(records: Iterable[CellRecord]) -> float:
    """Return the minutes of computing cells, added over workers."""
    return sum(record.facts.seconds for record in records) / 60


def _sources(records: Iterable[CellRecord]) -> str:
    """Say whether each component had the same source in all cells, as cells of one commit have."""
    found: dict[str, set[str]] = {}
    for record in records:
        for kind, digest in record.facts.sources.items():
            found.setdefault(f"{kind} {record.facts.components[kind].name}", set()).add(digest)
    several = sorted(name for name, digests in found.items() if len(digests) > 1)
    return markdown_text(f"several of {', '.join(several)}" if several else "one of each")


def _json(value: object) -> str:
    return json.dumps(value, indent=1, allow_nan=False)


def _write(path: Path, text: str) -> None:
    write_text(path, text.rstrip("\n") + "\n", "make it writable")


if __name__ == "__main__":
    main(sys.argv[1:])
