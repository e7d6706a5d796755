"""How networks approach a theory as width grows: pure functions on arrays, and the leaderboard."""

from harness.scoring.leaderboard import PRIMARY, SCORED, leaderboard, score_results
from harness.scoring.statistics import Score, score

__all__ = ["PRIMARY", "SCORED", "Score", "leaderboard", "score", "score_results"]
