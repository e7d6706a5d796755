"""Networks of any depth at infinite width, by dynamical mean-field theory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

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
    Unkeyed,
    Work,
    recorded_steps,
    theory,
)

FIRST_SAMPLES = 512
MOST_SAMPLES = 2**16
MOST_REPLICATES = 64
MORE_REPLICATES = 1.5
"""Missing samples that more replicates make up for, at least."""
SAMPLES_TO_REPLICATES = 32
"""Samples of a replicate for each replicate, at least, where more of them are taken: their programs
are there already, while more samples in each also reduce bias. Bias, about 1 / S, stays below the
error, about 0.3 / sqrt(R S) in small problems."""
SAMPLES_EXPONENT = 0.8
"""Share, on a logarithmic scale, of what errors like 1 / sqrt(S) would ask for that is enough:
they mostly fall faster, like S^-0.49 to S^-0.63; where they do not, samples are added again."""
SIDE_BY_SIDE = 8192
"""Samples of all replicates that run side by side: more of them leave the processor's cache."""
STEP_PRODUCTS, LOOK_PRODUCTS = 180.0, 42.0
"""Operations of matrix products for every direction, sample and point, of a step and of a look; as
many as at a network's rate, which these narrow products do not reach, take as long."""
KINK = 2.0
"""Times as much where the activation has a kink: its history explores more directions."""
LINEAR_STEP_PRODUCTS, LINEAR_LOOK_PRODUCTS = 80.0, 60.0
"""The same in exact solutions, whose steps seldom meet new directions."""
STEP_ELEMENTS, LOOK_ELEMENTS = 8.0, 6.0
"""Numbers that pass through everything else for every sample and point."""
CALLS, LINEAR_CALLS = 100.0, 30.0
"""Compiled calls' worth of time that a stage takes on the host, sampled and exact."""
PROGRAMS = 24.0
"""Compiled programs of a solution."""
LINEAR_ROOM = 128
"""Directions for which an exact solution makes room at first."""
ITEM = 4
"""Bytes of the numbers that networks train with, whose rates count."""


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
    memory_gib: Annotated[float, Field(gt=0), Unkeyed()] = 4.0
    """Bound on the memory of the histories."""
    precision: Literal["float32", "float64"] = "float32"
    """Arithmetic of the fields."""
    seed: int = Field(default=0, ge=0)
    """Seed of the samples."""


@theory(
    "dmft",
    version="4",
    tags={"deep", "adaptive"},
    citation="Bordelon & Pehlevan, arXiv:2205.09653 (NeurIPS 2022)",
)
class DMFT:
    """Infinite-width limit of dense networks of any depth: DMFT in one causal pass.

    The fields of every layer march once through the discrete steps of training, all stages on one
    history; response functions come from Stein's lemma, and the history keeps only the directions
    that training explores. Linear networks are solved exactly, by propagating coefficients
    instead of samples. Cost: depth x steps x samples x points x explored directions.

    Domain: dense layers of any depth and activation, every protocol option but temperature. Where
    training ends far in the lazy regime, `lazy-ntk` is the limit, without sampling. The bias of
    finite samples, about 1 / S, is below the standard error that is given.
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

    def cost(self, size: ProblemSize) -> Work:
        """Return the work of all replicates, or of the one exact solution of a linear network.

        Without given samples it is that of the first and smallest number. How many directions the
        history explores is known only afterwards: it is counted with the room first made for them.
        """
        p = self.params
        trained = [size.train(stage) for stage in size.stages]
        if size.activation == "linear":
            looked = max(size.seen(stage) for stage in size.stages)
            room = max(LINEAR_ROOM, 2 * max(trained))
            # a field is a vector over coordinates: of inputs and queries, two for each direction
            units, together, itemsize = looked + sum(trained) + 2 * room, 1, 2 * ITEM
            replicates, calls = 1, LINEAR_CALLS
            products = LINEAR_STEP_PRODUCTS, LINEAR_LOOK_PRODUCTS
        else:
            most = self._affordable(size.depth, size.total)
            units, itemsize = p.samples or min(FIRST_SAMPLES, most), np.dtype(p.precision).itemsize
            room = min(_room(sum(trained)), units // 4)
            together, replicates = self._together(units, most), p.replicates
            kink = KINK if size.activation == "relu" else 1.0
            calls, products = CALLS, (kink * STEP_PRODUCTS, kink * LOOK_PRODUCTS)
        count, share = float(units * replicates), itemsize / ITEM
        work = Work(0.0)
        for stage, train in zip(size.stages, trained, strict=True):
            steps = 1 if stage.trainable == "readout" else stage.steps
            records = len(recorded_steps(stage.steps))
            trains, looks = float(steps * train), float(records * size.seen(stage))
            inner = (size.depth - 1) * room
            outer = 1 + min(sum(trained), size.inputs)
            work += Work(
                count * share * inner * (products[0] * trains + products[1] * looks)
                + count * share * outer * (4.0 * trains + 2.0 * looks),
                count * share * size.depth * (STEP_ELEMENTS * trains + LOOK_ELEMENTS * looks),
                calls * -(-replicates // together),
            )
        held = size.depth * (8 * room + 4 * size.total) * itemsize * units * together
        return Work(work.flops, work.elements, work.calls, float(held), PROGRAMS)

    def predict(self, problem: Problem) -> Trajectory:
        """Solve in replicates, with more samples until the target error is met."""
        if problem.architecture.activation == "linear":
            return _trajectory(problem, [_solve_linear(problem)], {"samples": 0})
        from harness import numerics, observables

        p = self.params
        points = sum(len(data) for data in problem.data.sets().values())
        affordable = self._affordable(problem.architecture.depth, points)
        most = p.samples or min(MOST_SAMPLES, affordable)
        first = p.samples or min(FIRST_SAMPLES, most)
        given = _points_and_stages(problem)
        solutions: dict[int, list[Any]] = {}

        def capacity(samples: int) -> int:
            """Return room for directions, given how many were explored with other samples."""
            points = sum(len(stage.train) for stage in given[1])
            others = [f for n in solutions if n != samples for f in solutions[n]]
            return _room(points, [int(f[-1].rank.max(initial=0)) for f in others])

        def solve(total: int) -> Trajectory:
            """Take more samples in each replicate; replicates where little or memory is missing."""
            samples = max([first, *solutions])
            count = len(solutions.get(samples, []))
            more = total / (p.replicates * samples)
            room = max(MORE_REPLICATES, samples / (SAMPLES_TO_REPLICATES * p.replicates))
            if samples < most and (more > room or count >= MOST_REPLICATES):
                samples = min(most, samples * 2 ** max(1, round(SAMPLES_EXPONENT * np.log2(more))))
                count, more = 0, 1.0
            sets = max(count // p.replicates + 1, round(more))
            replicates = min(MOST_REPLICATES, p.replicates * sets)
            while True:
                found = solutions.setdefault(samples, [])
                together = self._together(samples, affordable)
                try:
                    while len(found) < replicates:
                        following = range(len(found), min(len(found) + together, replicates))
                        seeds = [(p.seed, replicate) for replicate in following]
                        found += self._solve(problem, given, samples, seeds, capacity(samples))
                except numerics.RankError as error:
                    if samples >= most:
                        raise LimitbenchError(
                            f"dmft: {error}; {samples} samples a replicate are the bound of"
                            f" {'the parameter' if p.samples else f'memory_gib = {p.memory_gib:g}'}"
                        ) from None
                    samples *= 2
                    continue
                notes = {"samples": samples * len(found), "replicates": len(found)}
                return _trajectory(problem, found, notes)

        return observables.until_accurate(
            solve,
            p.target_error,
            first * p.replicates,
            p.samples * p.replicates if p.samples else most * MOST_REPLICATES,
        )

    def _affordable(self, depth: int, points: int) -> int:
        """Return how many samples fit in the memory bound, for a few hundred directions."""
        numbers = depth * (4 * 512 + 4 * points)
        size = np.dtype(self.params.precision).itemsize
        return max(64, 2 ** int(np.log2(self.params.memory_gib * 2**30 / (numbers * size))))

    def _together(self, samples: int, most: int) -> int:
        """Return how many replicates run side by side, where one may have most samples."""
        return max(1, min(self.params.replicates, min(most, SIDE_BY_SIDE) // samples))

    def _solve(
        self,
        problem: Problem,
        given: tuple[Any, list[Any]],
        samples: int,
        seeds: Sequence[tuple[int, ...]],
        capacity: int,
    ) -> list[Any]:
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
            seeds=seeds,
            tolerance=p.tolerance or p.target_error / 100,
            capacity=capacity,
            dtype=p.precision,
        )


def _room(points: int, explored: Sequence[int] = ()) -> int:
    """Return room for the directions of the history that training may explore, or has before."""
    return 32 * int(np.ceil(max(64, 4 * points + 24, *(points + n for n in explored)) / 32))


def _solve_linear(problem: Problem) -> Any:
    from harness import numerics

    gram, stages = _points_and_stages(problem)
    return numerics.solve_deep_linear(gram, stages, depth=problem.architecture.depth)


def _points_and_stages(problem: Problem) -> tuple[Any, list[Any]]:
    """Return K_x between all points, and the stages with points as indices into it."""
    from harness import numerics, observables
    from harness import points as points_of

    points = points_of.stacked_points(problem)
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
                f" {stage.richness:g}); use a smaller dt, for example"
                f" {stage.step_size / 4:.2g}"
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
