"""Claims on kernel rescaling against kernel adaptation, in stationary two-layer networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Condition, Evidence, Finding, Judgement, claim, claims

PAPER = "arXiv:2502.03210"
SAME = 1e-3
"""Relative distance below which two theories are the same."""
LINEAR, NONLINEAR = "rivals-linear", "rivals-nonlinear"
EXACT, RESCALING, GAUSSIAN = "adaptive-kernel", "kernel-rescaling", "gaussian-adaptation"
KERNEL, OUTPUT = "kernel/feature", "output/test"


def _gaps(
    evidence: Evidence, experiment: str, theory: str, observable: str, **allowed: float
) -> list[Finding]:
    """Return the limit gaps of a theory on an experiment, with the range that is claimed."""
    rows = evidence.scores(experiment, theory, observable)
    return [Finding.gap(row, **allowed) for row in rows]


def _apart(evidence: Evidence, theory: str) -> Finding:
    """Return the distance of a theory's mean output from the exact one, on linear networks."""
    outputs = {
        name: evidence.final(LINEAR, OUTPUT, solver=name).sort_values("index")["value"].to_numpy()
        for name in (theory, EXACT)
    }
    distance = np.linalg.norm(outputs[theory] - outputs[EXACT]) / np.linalg.norm(outputs[EXACT])
    return Finding(
        what=f"linear: distance of the predictors of {theory} and {EXACT}",
        value=float(distance),
        at_most=SAME,
    )


def _drawn(evidence: Evidence, experiment: str, observable: str) -> Any:
    """Return a function that draws the distance of networks from each theory over width."""
    rows = {
        theory: evidence.scores(experiment, theory, observable)[0]
        for theory in (EXACT, GAUSSIAN, RESCALING, "lazy-nngp")
    }

    def draw(ax: Any) -> None:
        claims.draw_distances(ax, rows, f"distance from theory, {observable}")

    return draw


@claim(
    "rescaling-same-output",
    version="1",
    statement="In linear networks kernel rescaling and kernel adaptation predict the same mean"
    " output, and networks follow both.",
    source=f"{PAPER}, linear networks",
    experiments=[LINEAR],
    order=21,
    tags={"bayesian", "linear"},
)
def rescaling_same_output(evidence: Evidence) -> Judgement:
    """Distances of the predictors, and the limit gaps of the theories."""
    theories = (RESCALING, GAUSSIAN)
    return Judgement(
        [
            *(_apart(evidence, theory) for theory in theories),
            *(
                finding
                for theory in (*theories, EXACT)
                for finding in _gaps(evidence, LINEAR, theory, OUTPUT, at_most=claims.TOLERANCE)
            ),
        ],
        "The adapted kernel differs from the prior's along the labels alone, by the factor with"
        " which rescaling multiplies all of it: outputs cannot tell the two apart.",
        (),
        _drawn(evidence, LINEAR, OUTPUT),
    )


@claim(
    "kernels-tell-apart",
    version="1",
    statement="The feature kernels of linear networks tell adaptation from rescaling: networks have"
    " the adapted kernel.",
    source=f"{PAPER}, linear networks",
    experiments=[LINEAR],
    order=22,
    tags={"bayesian", "linear", "kernel"},
)
def kernels_tell_apart(evidence: Evidence) -> Judgement:
    """Limit gaps of the theories for the feature kernel."""
    return Judgement(
        [
            *_gaps(evidence, LINEAR, EXACT, KERNEL, at_most=claims.TOLERANCE),
            *_gaps(evidence, LINEAR, RESCALING, KERNEL, at_least=claims.TOLERANCE),
        ],
        "The kernel of rescaling is that of its predictor, q Phi_0; networks keep the prior's"
        " kernel in all directions but that of the labels.",
        (),
        _drawn(evidence, LINEAR, KERNEL),
    )


@claim(
    "outputs-tell-apart",
    version="1",
    statement="In nonlinear networks the mean outputs differ too: networks follow the adapted"
    " kernel, and rescaling fails.",
    source=f"{PAPER}, nonlinear networks",
    experiments=[NONLINEAR],
    order=23,
    tags={"bayesian"},
)
def outputs_tell_apart(evidence: Evidence) -> Judgement:
    """Limit gaps of the theories for the test predictor."""
    return Judgement(
        [
            *_gaps(evidence, NONLINEAR, EXACT, OUTPUT, at_most=claims.TOLERANCE),
            *_gaps(evidence, NONLINEAR, RESCALING, OUTPUT, at_least=claims.TOLERANCE),
        ],
        "Units of the exact law are not Gaussian: the best Gaussian law is nearer to networks than"
        " rescaling, and still apart from them where features are rich.",
        [
            Condition(
                "adaptation within Gaussian laws suffices",
                _gaps(evidence, NONLINEAR, GAUSSIAN, OUTPUT, at_most=claims.TOLERANCE),
            )
        ],
        _drawn(evidence, NONLINEAR, OUTPUT),
    )
