"""Two-layer linear networks at infinite width: exact moments, and the loss of typical draws."""

from __future__ import annotations

import numpy as np

import harness
from harness import (
    Observable,
    Params,
    Problem,
    ProblemSize,
    Stage,
    Trajectory,
    Work,
    recorded_steps,
    theory,
)

PROGRAMS = 1.0
"""Compiled programs of a solution."""
RECORD_CALLS = 1.0
"""Time of a recorded step, in units of compiled calls: its observables are taken one by one."""


class LinearTransferParams(Params):
    """The theory takes no parameters: it is exact."""


@theory(
    "linear-transfer",
    version="2",
    tags={"two-layer", "linear", "adaptive", "exact"},
    citation="Lauditi, Bordelon & Pehlevan, arXiv:2507.04448, Results 2 and 4",
)
class LinearTransfer:
    """Exact infinite-width limit of two-layer linear networks, by their moment equations.

    Second moments of readout and hidden weights close among themselves; they are taken through
    the same discrete steps as the networks, for the data at hand: no sampling, no error. Where a
    readout is fine-tuned after a source of isotropic inputs with noiseless linear labels, as in
    the task `linear-transfer`, the last stage has two more predictions, for typical draws of
    large dimension trained to convergence: `loss/test-asymptotic`, for the ridgeless readout, and
    `loss/test-asymptotic-rank-one`, for a readout that resolves only the spike of the kernel.
    Cost: (rank of the training points)^2 a step.

    Domain: one dense hidden layer with activation "linear", every protocol option, any task. The
    asymptotic loss: source stage with all weights, target stage with the readout alone; no decay,
    coupling, temperature or label noise.
    """

    def __init__(self, params: LinearTransferParams) -> None:
        self.params = params

    def supports(self, problem: Problem) -> str | None:
        """Return None for one dense linear hidden layer, else the reason."""
        architecture = problem.architecture
        if architecture.depth != 1:
            return f"describes one hidden layer, not {architecture.depth}"
        if architecture.activation != "linear":
            return f"describes the activation linear, not {architecture.activation}"
        return problem.beyond()

    def cost(self, size: ProblemSize) -> Work:
        """Return the work of the moments' steps and of their recorded observables."""
        trained = {stage.data: size.train(stage) for stage in size.stages}
        rank = min(sum(trained.values()), size.inputs)
        work = Work(0.0, programs=PROGRAMS)
        for stage in size.stages:
            seen, records = size.seen(stage), len(recorded_steps(stage.steps))
            frozen = stage.trainable == "readout"  # the moments of hidden weights stay
            kernels = 1 if frozen else records
            work += Work(
                4.0 * stage.steps * rank * (size.train(stage) + (0 if frozen else rank))
                + 2.0 * kernels * seen * rank * (seen + rank),
                3.0 * stage.steps * rank * (1 if frozen else rank) + 4.0 * kernels * seen**2,
                RECORD_CALLS * records,
                8.0 * (6 * rank**2 + 6 * seen**2),
            )
        return work

    def predict(self, problem: Problem) -> Trajectory:
        """Take the moments through every stage."""
        found = harness.solving.solve_problem(problem, harness.numerics.solve_linear, None)
        *before, end = found.stages
        steps = np.array([problem.protocol.stages[-1].steps])
        asymptotic = {
            f"loss/{name}": Observable(steps, np.array([value]))
            for name, value in _asymptotic_losses(problem).items()
        }
        return Trajectory((*before, {**end, **asymptotic}), found.notes)


def _from_scratch(stage: Stage) -> bool:
    """Return whether a first stage follows the gradient of all weights from N(0, 1)."""
    forces = (stage.decay, stage.elastic, stage.temperature)
    return stage.trainable == "all" and stage.readout != "zero" and not any(forces)


def _asymptotic_losses(problem: Problem) -> dict[str, float]:
    """Return the losses of typical draws by name, for problems that they describe."""
    data, stages = problem.data, problem.protocol.stages
    facts = {
        name.removeprefix("isotropic-linear/"): value
        for name, value in data.facts.items()
        if name.startswith("isotropic-linear/")
    }
    if not facts or facts["label-noise"] > 0 or data.source is None or len(stages) != 2:
        return {}
    source, target = stages
    fine_tunes = (
        source.data == "source"
        and _from_scratch(source)
        and target.data == "target"
        and target.trainable == "readout"
        and target.decay == target.temperature == 0
        and (target.center or target.readout == "zero")
    )
    if not fine_tunes:
        return {}
    dimension = data.source.x.shape[1]
    loss = {
        kind: harness.numerics.asymptotic_fine_tuning_loss(
            source.richness,
            len(data.source) / dimension,
            len(data.target) / dimension,
            facts["alignment"],
            facts["noise-alignment"],
            kind,
        )
        for kind in ("ridgeless", "rank-one")
    }
    return {
        "test-asymptotic": loss["ridgeless"],
        "test-asymptotic-rank-one": loss["rank-one"],
    }
