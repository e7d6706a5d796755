"""How networks approach a theory as width grows: pure functions on arrays, and the leaderboard."""

from harness.scoring.comparison import Comparison, compare, comparisons
from harness.scoring.folders import score_folders, score_results
from harness.scoring.leaderboard import (
    ScoredFolder,
    Scores,
    Unscored,
    keep_scores,
    score_compared,
    score_folder,
)
from harness.scoring.overall import TheoryRow, overall
from harness.scoring.row import ScoreRow
from harness.scoring.statistics import Score, limit_gap, score
from harness.scoring.values import PRIMARY, SCORED

__all__ = [
    "PRIMARY",
    "SCORED",
    "Comparison",
    "Score",
    "ScoreRow",
    "ScoredFolder",
    "Scores",
    "TheoryRow",
    "Unscored",
    "compare",
    "comparisons",
    "keep_scores",
    "limit_gap",
    "overall",
    "score",
    "score_compared",
    "score_folder",
    "score_folders",
    "score_results",
]
