"""Scores of theories against networks of growing width: pure functions, and the leaderboard."""

from harness.scoring.folders import score_folders, score_results
from harness.scoring.leaderboard import (
    ScoredFolder,
    Scores,
    Unscored,
    keep_scores,
    score_folder,
    score_problems,
)
from harness.scoring.overall import TheoryRow, overall
from harness.scoring.power import Power, power
from harness.scoring.problems import ProblemResults, group_by_problem, read_problems
from harness.scoring.ranking import Comparison, Ranking, Record, Standing, rank_theories
from harness.scoring.row import ScoreRow
from harness.scoring.statistics import Score, limit_gap, score
from harness.scoring.values import ARRAYS, PRIMARY, RANKED, SCORED

__all__ = [
    "ARRAYS",
    "PRIMARY",
    "RANKED",
    "SCORED",
    "Comparison",
    "Power",
    "ProblemResults",
    "Ranking",
    "Record",
    "Score",
    "ScoreRow",
    "ScoredFolder",
    "Scores",
    "Standing",
    "TheoryRow",
    "Unscored",
    "group_by_problem",
    "keep_scores",
    "limit_gap",
    "overall",
    "power",
    "rank_theories",
    "read_problems",
    "score",
    "score_folder",
    "score_folders",
    "score_problems",
    "score_results",
]
