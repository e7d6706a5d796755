"""Networks of any depth at infinite width, by dynamical mean-field theory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field

from harness import (
    DivergenceError,
    LimitbenchError,
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

FIRST_SAMPLES = 512
MOST_SAMPLES = 2**16
MOST_REPLICATES = 64
LIKELY_DIRECTIONS = 100
"""Directions of the history that training usually explores, beside one for each point."""


class DMFTParams(Params):
    """Parameters of `dmft`."""

    target_error: float = Field(default=0.01, gt=0)
    """Standard error to reach, as a fraction of the norm of the predictor on the test points."""
    samples: int | None = Field(default=None, ge=64, le=MOST_SAMPLES)
    """Hidden units of each layer and replicate; chosen for the target error when not given."""
    replicates: int = Field(default=8, ge=2, le=MOST_REPLICATES)
    """Independent solutions whose spread gives the standard errors; more are taken where memory
    bounds the samples of each."""
    tolerance: float | None = Field(default=None, gt=0, lt=1)
    """Relative variance below which a direction of the history is dropped; a hundredth of the
    target error when not given."""
    memory_gib: float = Field(default=4.0, gt=0)
    """Bound on the memory of the histories."""
    precision: Literal["float32", "float64"] = "float32"
    """Arithmetic of the fields."""
    seed: int = Field(default=0, ge=0)
    """Seed of the samples."""


@theory(
    "dmft",
    version="1",
    tags={"deep", "adaptive"},
    citation="Bordelon & Pehlevan, arXiv:2205.09653 (NeurIPS 2022)",
)
class DMFT:
    """Infinite-width limit of dense networks of any depth: DMFT in one causal pass.

    The fields of every layer march once through the discrete steps of training, all stages on one
    history; response functions come from Stein's lemma, and the history keeps only the directions
    that training explores. Linear networks are solved exactly, by propagating coefficients
    instead of samples. Cost: depth x steps x samples x points x explored directions.

    Domain: dense layers of any depth and activation, every protocol option but temperature.
    """

    def __init__(self, params: DMFTParams) -> None:
        self.params = params

    def supports(self, problem: Problem) -> str | None:
        """Return None for dense networks without noise, else the reason."""
        if problem.architecture.connectivity != "dense":
            return f"describes dense layers, not {problem.architecture.connectivity} ones"
        if any(stage.temperature > 0 for stage in problem.protocol.stages):
            return "describes training without noise (temperature = 0)"
        return None

    def cost(self, size: ProblemSize) -> Work | None:
        """Return the work of sampling; None for linear networks, which are not sampled.

        Without given samples it is that of the first and smallest solution. Of the directions of
        the history only a bound is known before it is explored.
        """
        if size.activation == "linear":
            return None
        p = self.params
        units = float((p.samples or FIRST_SAMPLES) * p.replicates)
        columns = sum(stage.steps * size.train(stage) for stage in size.stages)
        rank = min(columns, LIKELY_DIRECTIONS + size.total)
        work = Work(0.0)
        for stage in size.stages:
            fields = stage.steps * size.depth * units * size.train(stage)
            looks = len(recorded_steps(stage.steps)) * size.depth * units * size.seen(stage)
            work += Work(
                8.0 * (fields + looks) * rank, 30.0 * (fields + looks), 10.0 * p.replicates
            )
        itemsize = np.dtype(p.precision).itemsize
        held = units / p.replicates * size.depth * 4 * (rank + size.total) * itemsize
        return Work(work.flops, work.elements, work.calls, held)

    def predict(self, problem: Problem) -> Trajectory:
        """Solve in replicates, with more samples until the target error is met."""
        if problem.architecture.activation == "linear":
            return _trajectory(problem, [_solve_linear(problem)], {"samples": 0})
        from harness import numerics, observables

        p = self.params
        most = p.samples or min(MOST_SAMPLES, self._affordable(problem))
        first = p.samples or min(FIRST_SAMPLES, most)
        given = _points_and_stages(problem)
        solutions: dict[int, list[Any]] = {}

        def solve(total: int) -> Trajectory:
            """Take more samples a replicate, and more replicates where memory bounds these."""
            samples = min(most, 2 ** int(np.ceil(np.log2(max(1, total / p.replicates)))))
            samples = p.samples or max(samples, first, *solutions)
            replicates = p.replicates if p.samples else int(np.ceil(total / samples))
            replicates = min(MOST_REPLICATES, max(p.replicates, replicates))
            while True:
                found = solutions.setdefault(samples, [])
                try:
                    while len(found) < replicates:
                        found.append(self._solve(problem, given, samples, len(found)))
                except numerics.RankError as error:
                    if samples >= most:
                        raise LimitbenchError(
                            f"dmft: {error}; {samples} samples a replicate are the bound of"
                            f" {'the parameter' if p.samples else f'memory_gib = {p.memory_gib:g}'}"
                        ) from None
                    samples *= 2
                    continue
                notes = {"samples": samples * replicates, "replicates": replicates}
                return _trajectory(problem, found, notes)

        return observables.until_accurate(
            solve,
            p.target_error,
            first * p.replicates,
            p.samples * p.replicates if p.samples else most * MOST_REPLICATES,
        )

    def _affordable(self, problem: Problem) -> int:
        """Return how many samples fit in the memory bound, for a few hundred directions."""
        points = sum(len(d) for d in problem.data.sets().values())
        numbers = problem.architecture.depth * (4 * 512 + 4 * points)
        size = np.dtype(self.params.precision).itemsize
        return max(64, 2 ** int(np.log2(self.params.memory_gib * 2**30 / (numbers * size))))

    def _solve(
        self, problem: Problem, given: tuple[Any, list[Any]], samples: int, replicate: int
    ) -> Any:
        from harness import numerics

        p, architecture = self.params, problem.architecture
        gram, stages = given
        phi = numerics.activation(architecture.activation)
        return numerics.solve_dmft(
            gram,
            stages,
            depth=architecture.depth,
            phi=phi,
            slope=numerics.derivative(phi),
            samples=samples,
            seed=(p.seed, replicate),
            tolerance=p.tolerance or p.target_error / 100,
            dtype=p.precision,
        )


def _solve_linear(problem: Problem) -> Any:
    from harness import numerics

    gram, stages = _points_and_stages(problem)
    return numerics.solve_deep_linear(gram, stages, depth=problem.architecture.depth)


def _points_and_stages(problem: Problem) -> tuple[Any, list[Any]]:
    """Return K_x between all points, and the stages with points as indices into it."""
    from harness import numerics, observables
    from harness.points import stacked_points

    points = stacked_points(problem)
    where, stages = points.where, []
    for stage in problem.protocol.stages:
        _, y, bounds = observables.stage_points(problem.data, stage)
        train = where[stage.data]
        probe = np.arange(0)
        if bounds.probe not in (None, (bounds.train, bounds.test)):
            probe = np.concatenate([where["source"], where["source_test"]])
        stages.append(
            numerics.DMFTStage(
                train=train,
                y=y[slice(*bounds.train)],
                query=where[f"{stage.data}_test"],
                richness=stage.richness,
                dt=stage.step_size,
                records=recorded_steps(stage.steps),
                readout=stage.readout,
                trainable=stage.trainable,
                decay=stage.decay,
                elastic=stage.elastic,
                center=stage.center,
                kernels=True,
                probe=probe,
            )
        )
    return points.gram, stages


def _trajectory(problem: Problem, solutions: Sequence[Any], notes: dict[str, Any]) -> Trajectory:
    """Return the observables of replicates, or of one exact solution."""
    stages = [
        _observables(problem, stage, [solution[index] for solution in solutions])
        for index, stage in enumerate(problem.protocol.stages)
    ]
    return Trajectory(tuple(stages), notes)


def _observables(problem: Problem, stage: Stage, found: Sequence[Any]) -> dict[str, Observable]:
    from harness import observables

    _, y, sets = observables.stage_points(problem.data, stage)
    kept, train = sets.kept, slice(*sets.train)
    padded, finals = [], []
    for solution in found:
        outputs = np.concatenate([solution.train, solution.query], axis=1)
        # the predictor of a stage is not looked at beyond its own sets
        outputs = np.pad(outputs, ((0, 0), (0, len(y) - outputs.shape[1])))
        if not np.isfinite(outputs).all():
            raise DivergenceError(
                f"dmft: the predictor stopped being finite (dt = {stage.dt:g}, richness ="
                f' {stage.richness:g}); use a smaller dt, or dt = "auto"'
            )
        padded.append(outputs)
        fields: list[Any] = [np.asarray(h[train]) for h in solution.preactivations]
        finals.append(
            {
                "output/test": outputs[-1, slice(*sets.test)],
                "kernel/feature": solution.kernels[:, kept][:, :, kept],
                **observables.preactivation_laws(fields, y[train]),
            }
        )
    kernels = [solution.last_kernels for solution in found]
    steps = recorded_steps(stage.steps)
    return observables.solved_observables(steps, sets, y, padded, kernels, finals)
