"""How networks approach a theory as width grows: pure functions on arrays, and the leaderboard."""

from harness.scoring.leaderboard import PRIMARY, SCORED, leaderboard, score_results
from harness.scoring.statistics import Score, limit_gap, score

__all__ = ["PRIMARY", "SCORED", "Score", "leaderboard", "limit_gap", "score", "score_results"]
