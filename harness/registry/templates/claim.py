"""my-claim: a claim for limitbench to judge."""

from harness import Evidence, Finding, Judgement, claim


@claim(
    "my-claim",
    version="1",  # raise it whenever verdicts may change
    statement="Mean-field describes wide networks that learn features on digits.",
    source="where it is claimed: paper, figure or equation",
    experiments=["digits-jointly-rich"],  # without points of sweeps; or patterns: "digits-*"
)
def my_claim(evidence: Evidence) -> Judgement:
    """Limit gaps of the test predictor; intervals must lie under 5 % for the claim to hold."""
    rows = evidence.scores("digits-jointly-rich", "mean-field")  # raises where there are none
    return Judgement(
        [Finding.gap(row, at_most=0.05) for row in rows],
        "Its meaning, and where it holds.",
    )
