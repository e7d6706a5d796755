"""The decorator with which a plugin file declares a claim."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.claims.evidence import Evidence
from harness.claims.judgement import Judgement
from harness.registry.component import Params
from harness.registry.declare import declaration


def claim(
    name: str,
    *,
    version: str,
    statement: str,
    source: str,
    experiments: Sequence[str],
    order: int = 0,
    tags: set[str] | frozenset[str] = frozenset(),
) -> Callable[[Callable[[Evidence], Judgement]], Callable[[Evidence], Judgement]]:
    """Declare a claim: a function from the evidence to a judgement.

    Args:
        name: name of the claim in lists.
        version: changes whenever verdicts may.
        statement: the claim in words.
        source: paper, and figure or equation.
        experiments: names of the experiments that it examines, without the point of a sweep.
        order: position in lists.
        tags: search words.
    """
    return declaration(
        "claim",
        name,
        version,
        params=Params,
        tags=frozenset(tags),
        citation=source,
        summary=statement,
        statement=statement,
        experiments=tuple(experiments),
        order=order,
    )
