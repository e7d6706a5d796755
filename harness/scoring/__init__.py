"""How networks approach a theory as width grows: pure functions on arrays, and the leaderboard."""

from harness.scoring.comparison import Comparison, compare, comparisons
from harness.scoring.leaderboard import (
    PRIMARY,
    SCORED,
    Scores,
    Unscored,
    leaderboard,
    score_compared,
    score_folders,
    score_results,
)
from harness.scoring.overall import overall
from harness.scoring.statistics import Score, limit_gap, score

__all__ = [
    "PRIMARY",
    "SCORED",
    "Comparison",
    "Score",
    "Scores",
    "Unscored",
    "compare",
    "comparisons",
    "leaderboard",
    "limit_gap",
    "overall",
    "score",
    "score_compared",
    "score_folders",
    "score_results",
]
