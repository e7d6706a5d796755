"""The claim that features of a source can harm, and the conditions under which they do."""

from __future__ import annotations

from harness import Condition, Evidence, Finding, Judgement, claim, claims

from .plateau import plateau_losses
from .ratios import EXACT, PAPER, against_formula, grid_losses, with_ratios


@claim(
    "negative-transfer",
    version="2",
    statement="With limited source data, noise aligned with the target causes negative transfer at"
    " high nu_2: fine-tuning is worse than without a source.",
    source=f"{PAPER}, Section 4 on limited source data",
    experiments=[
        "linear-limited",
        "linear-l*-control",
        "linear-label-noise",
        "linear-j*",
        "linear-rank-one",
    ],
    order=4,
    tags={"linear", "fine-tuning"},
)
def negative_transfer(evidence: Evidence) -> Judgement:
    """Losses with and without a source on the same draws; the control has the initial features."""
    on = ["data_seed", "noise", "nu2"]

    def excess(
        experiment: str, control: str, what: str, aligned: bool = True, best: bool = False
    ) -> Finding:
        look = evidence.best if best else evidence.final
        with_source, without = (
            with_ratios(look(name, solver=EXACT)) for name in (experiment, control)
        )
        joined = claims.paired(with_source, without, on)
        joined = joined[joined["nu2"] == joined["nu2"].max()]
        ends = joined["noise"].max() if aligned else joined["noise"].min()
        joined = joined[joined["noise"] == ends]
        return Finding.mean(
            f"{what}: loss / control - 1 at nu_2 = {joined['nu2'].max():g}, noise alignment"
            f" {ends:g}",
            joined["value"] / joined["other"] - 1,
            at_least=0.0,
            smallest=claims.SMALLEST,
        )

    stated = excess("linear-limited", "linear-limited-control", "readout trained to convergence")
    conditions = [
        Condition(
            "the noise is anti-aligned with the target",
            [excess("linear-limited", "linear-limited-control", "converged", aligned=False)],
        ),
        Condition(
            "labels of both tasks are noisy",
            [excess("linear-label-noise", "linear-label-noise-control", "converged")],
        ),
        Condition(
            "labels are noisy and each readout is stopped at its best",
            [excess("linear-label-noise", "linear-label-noise-control", "best", best=True)],
        ),
        Condition(
            "labels are noisy and the noise is anti-aligned",
            [
                excess(
                    "linear-label-noise", "linear-label-noise-control", "converged", aligned=False
                )
            ],
        ),
        Condition(
            "features go on learning on the target, with the readout kept",
            [excess("linear-jointly-rich", "linear-jointly-rich-control", "converged")],
        ),
        Condition(
            "features go on learning, and the noise is anti-aligned",
            [
                excess(
                    "linear-jointly-rich", "linear-jointly-rich-control", "converged", aligned=False
                )
            ],
        ),
        Condition(
            "the readout is so short of time, or so ridged, that it learns along the spike only",
            _plateau_harm(evidence),
        ),
    ]
    grid = grid_losses(evidence, "linear-limited")
    return Judgement(
        [stated],
        "A converged ridgeless readout cannot lose: a spike, whatever its direction, costs one"
        " dimension of many, and the identity part of the kernel fits the rest (loss never above"
        " 1 - nu_2). The loss exceeds 1 - nu_2 where only the spike is resolved and a^2 < nu_2; and"
        " a little where features go on learning from a source that is of no use (a near 0).",
        conditions,
        against_formula(grid, "noise", "noise alignment {}"),
    )


def _plateau_harm(evidence: Evidence) -> list[Finding]:
    plateau = plateau_losses(evidence)
    worst = plateau[plateau["nu2"] == plateau["nu2"].max()]
    return [
        Finding.mean(
            f"loss - (1 - nu_2) at nu_2 = {worst['nu2'].max():g}, noise alignment {noise:g}"
            f" (a^2 = {part['overlap2'].mean():.2g})",
            part["value"] - (1 - part["nu2"]),
            at_least=0.0,
            smallest=claims.SMALLEST,
        )
        for noise, part in worst.groupby("noise")
    ]
