"""Two-layer linear networks at infinite width: exact moments, and the loss of typical draws."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import (
    DivergenceError,
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
"""Compiled calls that a recorded step is worth: its observables are taken one by one."""
EXPLOSION = 1e3
"""A training loss beyond this many times its start is an explosion, as for networks."""


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
    the task `linear-transfer`, the last stage has two predictions more, for typical draws of
    large dimension trained to convergence: `loss/test-asymptotic`, of the ridgeless readout, and
    `loss/test-asymptotic-rank-one`, of a readout that resolves the spike of the kernel only.
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
        if architecture.connectivity != "dense":
            return f"describes dense layers, not {architecture.connectivity} ones"
        if architecture.depth != 1:
            return f"describes one hidden layer, not {architecture.depth}"
        if architecture.activation != "linear":
            return f"describes the activation linear, not {architecture.activation}"
        return None

    def cost(self, size: ProblemSize) -> Work:
        """Return the work of the moments' steps and of what is recorded of them."""
        trained = {stage.data: size.train(stage) for stage in size.stages}
        rank = min(sum(trained.values()), size.inputs)
        work = Work(0.0, programs=PROGRAMS)
        for stage in size.stages:
            seen, records = size.seen(stage), len(recorded_steps(stage.steps))
            work += Work(
                4.0 * stage.steps * rank * (size.train(stage) + rank)
                + 2.0 * records * seen * rank * (seen + rank),
                8.0 * stage.steps * rank**2 + 4.0 * records * seen**2,
                RECORD_CALLS * records,
                8.0 * (6 * rank**2 + 6 * seen**2),
            )
        return work

    def predict(self, problem: Problem) -> Trajectory:
        """Take the moments through every stage."""
        from harness import numerics
        from harness import points as points_of

        stages, points = problem.protocol.stages, points_of.stacked_points(problem)
        basis = numerics.span_basis(points.x[points.trained])
        moments = numerics.initial_moments(basis.shape[1])
        notes: dict[str, float | int | str] = {"rank": basis.shape[1]}
        found = []
        for index, stage in enumerate(stages):
            if stage.readout != "keep":
                fresh = numerics.initial_moments(basis.shape[1])
                readout = fresh.readout * float(stage.readout == "reset")
                moments = fresh._replace(readout=readout, hidden=moments.hidden)
            moments, observed = _solve(problem, stage, basis, moments)
            found.append(observed)
            if index == 0 and _from_scratch(stage):
                notes["boost_deviation"] = _boost_deviation(moments, stage.richness)
        for name, value in _asymptotic_losses(problem).items():
            last = np.array([stages[-1].steps])
            found[-1][f"loss/{name}"] = Observable(last, np.array([value]))
        return Trajectory(tuple(found), notes)


def _solve(
    problem: Problem, stage: Stage, basis: Any, moments: Any
) -> tuple[Any, dict[str, Observable]]:
    """Return the moments at the end of a stage, and what it shows."""
    from harness import numerics, observables

    points, y, sets = observables.stage_points(problem.data, stage)
    x = problem.architecture.input_map(points)
    factor, gram = x @ basis, x @ x.T / x.shape[1]
    train = slice(*sets.train)
    names = ("richness", "step_size", "decay", "elastic", "temperature")
    rates = numerics.StageRates(*(np.float64(getattr(stage, n)) for n in names))
    offset = numerics.moment_outputs(moments, factor, rates.richness) * float(stage.center)
    reference = None
    if stage.elastic > 0:
        reference = numerics.ReferenceMoments(moments.cross, moments.hidden, moments.hidden)
    limit = EXPLOSION * (np.mean(y[train] ** 2) + np.mean((y[train] + offset[train]) ** 2))
    steps = recorded_steps(stage.steps)
    frozen = stage.trainable == "readout"
    rows: list[dict[str, Any]] = []
    outputs = []
    for interval in np.diff(steps, prepend=0).tolist():
        moments, reference = numerics.advance_moments(
            moments,
            reference,
            factor[train],
            (y + offset)[train],
            rates,
            interval,
            frozen=frozen,
        )
        with np.errstate(all="ignore"):  # what explodes is told below
            output = numerics.moment_outputs(moments, factor, rates.richness) - offset
            loss = np.mean((y[train] - output[train]) ** 2)
        outputs.append(output)
        if not loss <= limit:
            raise DivergenceError(
                "linear-transfer: the loss stopped being finite or exploded (dt ="
                f" {stage.dt:g}, richness = {stage.richness:g}); use a smaller dt, for example"
                f" {stage.step_size / 4:.2g}"
            )
        if not frozen:

            def block(a: slice, b: slice, now: Any = moments) -> Any:
                return numerics.moment_kernel(now, factor[a], factor[b], gram[a, b])

            rows.append(observables.curves(sets, y, output, block))
    kernel = numerics.moment_kernel(moments, factor, factor, gram)
    if frozen:  # one kernel for all records
        shared = observables.recorded_curves(sets, y, np.stack(outputs), kernel)
        curves = {name: np.asarray(values) for name, values in shared.items()}
    else:
        curves = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    variances = np.maximum(np.diag(kernel), 0.0)[None]
    final = observables.gaussian_snapshot(sets, output, variances, kernel[None])
    return moments, observables.stage_observables(steps, curves, final)


def _from_scratch(stage: Stage) -> bool:
    """Return whether a first stage follows the gradient of all weights from N(0, 1)."""
    forces = (stage.decay, stage.elastic, stage.temperature)
    return stage.trainable == "all" and stage.readout != "zero" and not any(forces)


def _boost_deviation(moments: Any, richness: float) -> float:
    """Return how far discrete steps took <W W^T> from the boost of gradient flow, relative."""
    from harness import numerics

    boost = numerics.boosted_moments(moments.cross / richness, richness).hidden
    return float(np.linalg.norm(moments.hidden - boost) / np.linalg.norm(boost))


def _asymptotic_losses(problem: Problem) -> dict[str, float]:
    """Return the losses of typical draws by name, where the problem is one they describe."""
    from harness import numerics

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
        kind: numerics.asymptotic_fine_tuning_loss(
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
