"""Claims on the page: verdict, numbers and figure of each claim that the results bear on."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.claims import MARKS, Finding, JudgedClaim, judge_claims, listed_claims
from harness.claims.judgement import jointly
from harness.report.parts import figure
from harness.report.wording import NBSP

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from harness.registry import Registry
    from harness.report.figures.svg import Picture
    from harness.results import Results

GREEK = {
    name: unicodedata.lookup(f"Greek small letter {name}")
    for name in ("alpha", "beta", "chi", "delta", "gamma", "nu")
}
_SYMBOL = re.compile(rf"\b(He|[A-Za-z]|{'|'.join(GREEK)})(?:_(\d+))?\b")
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")

COLORED_AS = {"reproduced": "agrees", "not reproduced": "disagrees", "undecided": "undecided"}
"""Verdicts on theories that give verdicts on claims their colours."""


@dataclass(frozen=True)
class FindingLine:
    """One number of a claim, as text for the page."""

    mark: str
    verdict: str
    what: str
    value: str
    interval: str
    claimed: str
    draws: str


@dataclass(frozen=True)
class ClaimSection:
    """One claim, as text and figure for the page.

    Attributes:
        anchor: id of its heading.
        name, statement, source, verdict: of the claim.
        color: the verdict on a theory that has the same colour.
        conclusion: scope and likely reason, or the open question, or the reason for no judgement.
        lines: its findings.
        conditions: other conditions: name, verdict, and findings.
        picture: its figure, if it has one.
    """

    anchor: str
    name: str
    statement: str
    source: str
    verdict: str
    color: str
    conclusion: str
    lines: list[FindingLine]
    conditions: list[tuple[str, str, list[FindingLine]]]
    picture: Picture | None


def claim_sections(
    results: Results, registry: Registry, experiments: Iterable[str], drawn: bool
) -> list[ClaimSection]:
    """Judge the claims that need any of the given experiments.

    Args:
        results: evidence for the claims.
        registry: source of the claims.
        experiments: names of the experiments on the page.
        drawn: whether claims have figures.
    """
    judged = judge_claims(listed_claims(registry, experiments), results, registry)
    return [_section(claim, drawn) for claim in judged]


def claimed_range(finding: Finding) -> str:
    """Return the range that a claim allows, and the smallest effect that counts, in symbols."""
    asked = ", ".join(f"{sign}{NBSP}{end:.3g}" for sign, end in finding.bounds)
    return asked + (f"; counts from {finding.smallest:.3g}" if finding.smallest else "")


def with_symbols(text: str) -> str:
    """Return a claim's text with Greek letters, indices and arrows for a page."""

    def symbol(match: re.Match[str]) -> str:
        return GREEK.get(match[1], match[1]) + (match[2] or "").translate(_SUBSCRIPTS)

    return _SYMBOL.sub(symbol, text).replace("->", "→").replace("^2", "²")


def _section(claim: JudgedClaim, drawn: bool) -> ClaimSection:
    component, found = claim.component, claim.judgement
    return ClaimSection(
        anchor=f"claim-{component.name}",
        name=component.name,
        statement=with_symbols(component.statement),
        source=component.citation,
        verdict=claim.verdict,
        color=COLORED_AS[claim.verdict],
        conclusion=with_symbols(claim.conclusion),
        lines=[] if found is None else finding_lines(found.findings),
        conditions=[]
        if found is None
        else [
            (with_symbols(c.name), c.verdict, finding_lines(c.findings)) for c in found.conditions
        ],
        picture=_picture(claim) if drawn else None,
    )


def finding_lines(findings: Sequence[Finding]) -> list[FindingLine]:
    """Return the page's lines for the numbers behind a claim or a condition."""
    return [
        FindingLine(
            MARKS[each.verdict],
            each.verdict,
            with_symbols(each.finding.what),
            f"{each.finding.value:.3g}",
            f"{each.low:.3g} to {each.high:.3g}",
            claimed_range(each.finding),
            each.sample,
        )
        for each in jointly(findings)
    ]


def _picture(claim: JudgedClaim) -> Picture | None:
    """Return a claim's figure, if it has one."""
    from harness.report.figures.claims import claim_figure
    from harness.report.figures.style import styled

    drawn = None if claim.judgement is None else claim.judgement.figure
    if drawn is None:
        return None

    def draw() -> Axes:
        with styled():
            return claim_figure(drawn)

    name = claim.component.name
    return figure(f"claim-{name}-figure", "Evidence on the claim", name, "", draw)[0]
