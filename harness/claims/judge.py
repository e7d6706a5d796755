"""Judging claims, each on the results available; a claim that fails affects no other."""

from __future__ import annotations

import fnmatch
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.claims.evidence import Evidence
from harness.claims.judgement import Judgement, Verdict, jointly
from harness.errors import NotEnoughError
from harness.processes import one_thread

if TYPE_CHECKING:
    from harness.registry import Component, Registry
    from harness.results import Results


@dataclass(frozen=True)
class JudgedClaim:
    """A claim and its judgement.

    Attributes:
        component: the claim.
        judgement: findings and verdict; None if there were too few results, or the claim raised.
        reason: why there is no judgement; empty where there is one.
        failure: the traceback of a claim that raised.
    """

    component: Component
    judgement: Judgement | None = None
    reason: str = ""
    failure: str = ""

    @property
    def verdict(self) -> Verdict:
        """The verdict; undecided without a judgement."""
        return "undecided" if self.judgement is None else self.judgement.verdict

    @property
    def conclusion(self) -> str:
        """Conclusion: the claim's own words once it is decided, else the open points."""
        found = self.judgement
        if found is None:
            return self.reason
        if self.verdict != "undecided" or not found.findings:
            return found.conclusion
        held = sum(each.verdict == "reproduced" for each in jointly(found.findings))
        total = len(found.findings)
        note = f" Noted with it, for where it is decided: {found.conclusion}"
        return (
            f"Not decided by these results: {held} of {total} findings"
            f" {'holds' if held == 1 else 'hold'}, and none is refuted; more draws of the data, or"
            f" more networks, narrow the intervals.{note if found.conclusion else ''}"
        )

    def as_row(self) -> dict[str, Any]:
        """Return everything but the figure as plain JSON."""
        found = self.judgement
        return {
            "claim": self.component.name,
            "version": self.component.version,
            "statement": self.component.statement,
            "source": self.component.citation,
            "experiments": list(self.component.experiments),
            "verdict": self.verdict,
            "conclusion": self.conclusion,
            "findings": []
            if found is None
            else [each.as_row() for each in jointly(found.findings)],
            "conditions": []
            if found is None
            else [
                {
                    "condition": condition.name,
                    "verdict": condition.verdict,
                    "findings": [each.as_row() for each in jointly(condition.findings)],
                }
                for condition in found.conditions
            ],
        }


def listed_claims(registry: Registry, experiments: Iterable[str] | None = None) -> list[Component]:
    """Return all claims in their order, or those that need one of some experiments.

    Args:
        registry: the components.
        experiments: names, with or without the point of a sweep.
    """
    claims = sorted(registry.components("claim"), key=lambda c: (c.order, c.name))
    if experiments is None:
        return claims
    bases = {name.partition("[")[0] for name in experiments}
    return [
        claim
        for claim in claims
        if any(fnmatch.filter(bases, pattern) for pattern in claim.experiments)
    ]


def judge_claims(
    claims: Sequence[Component], results: Results, registry: Registry
) -> list[JudgedClaim]:
    """Judge claims on the results of one or more folders.

    A claim without enough results is undecided and names the missing ones; one that raises
    affects no other.
    """
    evidence = Evidence(results, registry)
    return [_judge(claim, evidence) for claim in claims]


def _judge(claim: Component, evidence: Evidence) -> JudgedClaim:
    try:
        with one_thread():
            found = claim.make(evidence)
        if not isinstance(found, Judgement):
            raise TypeError(f"it returned a {type(found).__name__}, not a Judgement")
    except NotEnoughError as error:
        return JudgedClaim(claim, reason=f"not enough results: {error}")
    except Exception as error:  # a contributed claim may raise anything
        line = " ".join(str(error).split())
        reason = f"the claim failed: {type(error).__name__}: {line}"
        return JudgedClaim(claim, reason=reason, failure=traceback.format_exc())
    return JudgedClaim(claim, found)
