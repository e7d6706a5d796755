"""Claims of the literature, put to the test: findings, verdicts, and the evidence behind them."""

from harness.claims.declare import claim
from harness.claims.drawing import LINE_COLORS, draw_distances, draw_means, label_axes
from harness.claims.evidence import (
    Evidence,
    averaged,
    curve_distances,
    gains_by,
    paired,
    ratio_of_means,
)
from harness.claims.judge import JudgedClaim, judge_claims, listed_claims
from harness.claims.judgement import MARKS, SMALLEST, TOLERANCE, Condition, Finding, Judgement

__all__ = [
    "LINE_COLORS",
    "MARKS",
    "SMALLEST",
    "TOLERANCE",
    "Condition",
    "Evidence",
    "Finding",
    "JudgedClaim",
    "Judgement",
    "averaged",
    "claim",
    "curve_distances",
    "draw_distances",
    "draw_means",
    "gains_by",
    "judge_claims",
    "label_axes",
    "listed_claims",
    "paired",
    "ratio_of_means",
]
