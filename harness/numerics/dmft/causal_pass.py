"""Infinitely wide networks of any depth: dynamical mean-field theory in one causal pass.

Every hidden unit of layer l is an independent draw of its pre-activations h^l and gradients g^l,
coupled to the others through averages. Everything at a step depends on earlier steps, then on the
layers below (forward) and above (backward), so the fields of S sampled units march once through
time; no iteration over trajectories is needed. With skips a unit is the same in all layers, and
one sample holds all of them. Source: arXiv:2205.09653, eqs. 6-9, discretised in
time exactly as a network's Euler steps are; docs/theory.md, section 4.

The sampling error of one replicate falls as 1/sqrt(S); independent replicates measure it, and
run side by side in the same compiled steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from harness.numerics.dmft import fields as fields_of
from harness.numerics.dmft import queries as looking
from harness.numerics.dmft.fields import Activation, Fields, Program, Training, Units
from harness.numerics.dmft.history import Array, empty_transition, grow
from harness.numerics.dmft.inputs import point_factor
from harness.numerics.dmft.noise import Dtype, Matrix, Noise, SampledNoise
from harness.numerics.dmft.queries import Joint, Queries, ReadQueries
from harness.numerics.dmft.response_free import FollowedQueries
from harness.numerics.dmft.shown import ShownUnits, UnitsRecorder
from harness.numerics.dmft.stage_start import meet_outputs, redrawn, with_readout
from harness.numerics.problem import StageArrays
from harness.numerics.solver_error import SolverError

SMALL_RICHNESS = 1e-3
"""Richness that stands for 0: displacements of the predictor are then linear to about as much."""

QUERY_BLOCK = 64
"""Most queries evaluated at once, which bounds memory."""


class RankError(SolverError):
    """The history explores more directions than the samples can resolve."""


class StageSolution(NamedTuple):
    """One replicate's solution of one stage; points are its training points, then its queries.

    Attributes:
        train: centred predictor on the training points, (records, train), with a last axis of
            outputs if there are several.
        query: centred predictor on the queries, (records, query), shaped alike.
        kernels: feature kernels Phi^1 ... Phi^L at the stage's end, (layers, points, points), on
            the training points, the queries and the probes.
        last_kernels: Phi^L at the recorded steps, (records, points, points).
        preactivations: draws of h^1 ... h^L at the stage's end, (layers, points, samples).
        rank: directions of features and of gradients explored so far, (layers - 1, 2).
        units: hidden units at the stage's start and end, where they are asked for.
    """

    train: Matrix
    query: Matrix
    kernels: Matrix
    last_kernels: Matrix
    preactivations: NDArray[Any]
    rank: NDArray[np.int64]
    units: ShownUnits | None = None


def solve(
    gram: Float[np.ndarray, "points points"],
    stages: Sequence[StageArrays],
    *,
    depth: int,
    phi: Activation,
    slope: Activation,
    samples: int,
    seeds: Sequence[tuple[int, ...]],
    branch_scale: float | None = None,
    tolerance: float = 1e-6,
    capacity: int = 128,
    dtype: Dtype = "float64",
    responses: bool = True,
    shown: bool = False,
) -> list[list[StageSolution]]:
    """Solve the mean-field theory in replicates, each with S hidden units per layer.

    Args:
        gram: K_x = x.x'/D between all points that any stage trains on or observes.
        stages: in the order in which they are trained, on one history.
        depth: hidden layers L, at least 1.
        phi: activation, elementwise on JAX arrays; the same function object in later calls reuses
            compiled code.
        slope: its derivative.
        samples: S, a power of two for the best spread of the draws.
        seeds: entropy of every replicate's sample; other seeds give independent replicates.
        branch_scale: b of layers with skips; None without skips.
        tolerance: relative variance below which a direction of the history is dropped; the
            resulting error is of this order, far below its square root.
        capacity: initial room for directions; doubled when it is exhausted, each time with a new
            compilation.
        dtype: precision; "float64" needs JAX's 64-bit mode.
        responses: whether to keep the response functions A and B.
        shown: whether solutions hold units.

    Returns:
        For each replicate, one solution per stage.

    Raises:
        RankError: if the history explores more than S / 4 directions.
    """
    branch = branch_of(depth, branch_scale)
    program = Program(phi, slope, tolerance, branch=branch, responses=responses)
    noises = [SampledNoise(samples, seed, branch is not None) for seed in seeds]
    return pass_through(gram, stages, depth, program, noises, capacity, dtype, shown)


def branch_of(depth: int, branch_scale: float | None) -> float | None:
    """Return b / sqrt(L), or None without skips, as one hidden layer is."""
    return None if branch_scale is None or depth == 1 else branch_scale / math.sqrt(depth)


def pass_through(
    gram: Float[np.ndarray, "points points"],
    stages: Sequence[StageArrays],
    depth: int,
    program: Program,
    noises: Sequence[Noise],
    capacity: int,
    dtype: Dtype,
    shown: bool = False,
) -> list[list[StageSolution]]:
    """March through all stages with each replicate's noise; `solve` describes the arguments."""
    gram = np.asarray(gram, dtype=np.float64)
    factor, spanned = point_factor(gram, [s.train for s in stages])
    rest = gram - factor @ factor.T
    train = max(len(s.train) for s in stages)
    every = np.unique(np.concatenate([s.train for s in stages]))
    outputs = stages[0].outputs
    starts = [n.start(factor.shape[1], depth, train, len(every), outputs) for n in noises]
    omega, w, nodes = (np.stack(v).astype(dtype) for v in zip(*starts, strict=True))
    one, samples = np.ones((), dtype), w.shape[-1]
    empty = empty_transition(len(noises), min(capacity, noises[0].limit), samples, one.dtype)
    units = Units(omega, omega, w, one, one, (empty,) * (depth - 1))
    if depth > 1 and len(every) > len(stages[0].train):
        units = _meet(units, program, noises, factor[every], depth)
    solutions: list[list[StageSolution]] = []
    for index, stage in enumerate(stages):
        if stage.redrawn and index > 0:
            # solutions without sampling redraw no layers: see `harness.numerics.dmft.march`
            units, omega = redrawn(units, omega, stage, cast(Sequence[SampledNoise], noises))
        units = with_readout(units, stage, index, noises)
        runner = _StageRunner(index, stage, depth, program, noises, factor, train, one.dtype)
        queries = runner.queries(nodes, omega, units.w, rest, spanned[index])
        before = units.w
        units, found = runner.run(units, queries, runner.joint(rest, samples), shown)
        if stage.linearised:
            kept = tuple(t._replace(memory=t.reference) for t in units.transitions)
            units = units._replace(w=before, omega=units.omega_start, transitions=kept)
        solutions.append(found)
    return [list(replicate) for replicate in zip(*solutions, strict=True)]


def _meet(
    units: Units, program: Program, noises: Sequence[Noise], factor: Matrix, depth: int
) -> Units:
    """Add the untrained layers' features on the points of all stages to the history.

    At infinite width the noise of gradients is independent of these features. Over a sample it is
    made orthogonal only to the history at its draw, so the features join before any training.
    """
    points = len(factor)
    units = _make_room(units, program, noises[0].limit, points)
    dtype = units.w.dtype
    zeros, number = np.zeros((len(noises), points), dtype), np.zeros((), dtype)
    training = Training(
        factor.astype(dtype), np.ones(points, dtype), zeros[0], zeros, *(number,) * 4
    )
    draws = [noise.untrained(points, depth, dtype) for noise in noises]
    up = tuple(np.stack(draw) for draw in zip(*draws, strict=True))
    return fields_of.begin(program, units, training, up, (), frozen=True)[0]


class _StageRunner:
    """One stage in progress: host-side bookkeeping around the compiled steps."""

    def __init__(
        self,
        index: int,
        stage: StageArrays,
        depth: int,
        program: Program,
        noises: Sequence[Noise],
        factor: Matrix,
        train: int,
        dtype: np.dtype[Any],
    ) -> None:
        self.index, self.stage, self.depth = index, stage, depth
        self.program, self.noises = program._replace(loss=stage.loss), noises
        self.factor, self.train = factor, train
        self.frozen = stage.frozen
        self.dtype = dtype
        count, pad = len(stage.train), (0, train - len(stage.train))
        rates = stage.rates
        if stage.linearised:
            rates = rates._replace(richness=SMALL_RICHNESS)
        self.training = Training(
            self._array(np.pad(factor[stage.train], (pad, (0, 0)))),
            self._array(np.pad(np.ones(count), pad)),
            self._array(np.pad(stage.y, (pad, *[(0, 0)] * len(stage.outputs)))),
            self._array(np.zeros((len(noises), train, *stage.outputs))),
            *map(self._array, (rates.richness, rates.dt, rates.decay, rates.elastic)),
        )

    def _array(self, values: Any) -> NDArray[Any]:
        return np.asarray(values, self.dtype)

    def queries(
        self, nodes: NDArray[Any], omega: NDArray[Any], w: Any, rest: Matrix, spanned: int
    ) -> Queries:
        """Return the points whose predictor the stage observes.

        Args:
            nodes: nodes of every replicate, as in `Queries`.
            omega: untrained first-layer weights.
            w: readout weights at the stage's start.
            rest: covariance of the inputs beyond the training directions.
            spanned: training directions of this stage and those before it.
        """
        factor, query = self.factor, self.stage.query
        blocks = max(1, -(-len(query) // QUERY_BLOCK))
        size = -(-len(query) // blocks)
        pad = (0, blocks * size - len(query))
        # directions that only later stages train along still equal all other directions
        along, later = factor[query].copy(), np.arange(factor.shape[1]) >= spanned
        own = np.maximum(np.diag(rest)[query], 0.0) + np.sum(along[:, later] ** 2, axis=1)
        along[:, later] = 0.0
        return Queries(
            self._array(np.pad(along, (pad, (0, 0))).reshape(blocks, size, factor.shape[1])),
            self._array(np.pad(own, pad).reshape(blocks, size)),
            nodes,
            omega,
            np.array(w),  # steps use up the arrays that they change
        )

    def joint(self, rest: Matrix, samples: int) -> Joint:
        """Return the points whose kernels the stage observes; arguments as for `queries`."""
        looked = np.concatenate([self.stage.query, self.stage.probe]).astype(np.int64)
        values, vectors = np.linalg.eigh(rest[np.ix_(looked, looked)])
        shape = (self.depth, len(looked), samples)
        return Joint(
            self._array(self.factor[looked]),
            self._array(vectors * np.sqrt(np.maximum(values, 0.0))),
            np.stack([noise.looks(shape, self.dtype) for noise in self.noises]),
        )

    def run(
        self, units: Units, queries: Queries, joint: Joint, shown: bool
    ) -> tuple[Units, list[StageSolution]]:
        """Train all replicates through the stage, and observe its recorded steps."""
        stage, program, count = self.stage, self.program, len(self.stage.train)
        units = _make_room(units, program, self.noises[0].limit, self.train)
        draws = [n.block(self.index, self.train, self.depth, self.dtype) for n in self.noises]
        up, down = (
            tuple(self._array(np.stack(draw)) for draw in zip(*side, strict=True))
            for side in zip(*draws, strict=True)
        )
        units, fields = fields_of.begin(program, units, self.training, up, down, frozen=self.frozen)
        sampled = program.reserved is None and not self.frozen
        if stage.linearised and stage.outputs and sampled:
            units, fields = self._meet_outputs(units, fields)
        centred = stage.center or self.index == 0 or stage.readout != "keep"
        looks = len(stage.query), self.training
        seen: FollowedQueries | ReadQueries
        if program.responses:
            seen = ReadQueries(program, queries, *looks, units, centred)
        else:
            seen = FollowedQueries(program, queries, *looks, self.frozen)
        if centred:
            self.training = self.training._replace(start=np.array(fields.output))
        told = (self.program, self.noises, self.index, joint, fields, count)
        recorder = UnitsRecorder(*told) if shown else None
        rows: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]] = []
        step, joined = 0, None
        for pause in stage.records.tolist():
            units, fields = self._advance(units, fields, step, pause)
            step = pause
            known = np.asarray(fields.output) - self.training.start
            if joined is None or not self.frozen:
                joined = looking.joint_fields(program, units, fields, joint, count)
            rows.append(
                (
                    known[:, :count],
                    seen.output(units, fields, pause),
                    np.asarray(joined[1]),
                )
            )
        assert joined is not None
        solutions = self._solutions(units, rows, joined[0])
        if recorder is not None:
            every = recorder.units(units, fields, stage.linearised)
            pairs = zip(solutions, every, strict=True)
            solutions = [found._replace(units=own) for found, own in pairs]
        return units, solutions

    def _meet_outputs(self, units: Units, fields: Fields) -> tuple[Units, Fields]:
        """Return the state with the gradients of every output in the history."""
        outputs = math.prod(self.stage.outputs)
        units = _make_room(units, self.program, self.noises[0].limit, (outputs + 1) * self.train)
        shape = (outputs, self.train, units.w.shape[-1])
        rngs = [np.random.default_rng((n.entropy, self.index, outputs)) for n in self.noises]
        draws = tuple(
            self._array(np.stack([rng.standard_normal(shape, np.float32) for rng in rngs]))
            for _ in range(self.depth - 1)
        )
        units = meet_outputs(self.program, units, self.training, fields, draws)
        return units, _padded(fields, units)

    def _advance(self, units: Units, fields: Fields, step: int, pause: int) -> tuple[Units, Fields]:
        """Take the steps up to a record, and enlarge the history where needed."""
        entropy = np.array([noise.entropy for noise in self.noises], np.uint64)
        trained = None if self.stage.trained is None else tuple(self.stage.trained)
        while step < pause:
            if not self.frozen:
                units = _make_room(units, self.program, self.noises[0].limit, self.train)
                fields = _padded(fields, units)
            units, fields, reached = fields_of.advance(
                self.program,
                units,
                fields,
                self.training,
                entropy,
                np.int64(self.index),
                np.int32(step),
                np.int32(pause),
                trained=trained,
            )
            step = int(reached)
        return units, fields

    def _solutions(
        self, units: Units, rows: Sequence[tuple[NDArray[Any], ...]], h: tuple[Array, ...]
    ) -> list[StageSolution]:
        ranks = [[int(t.features), int(t.gradients)] for t in units.transitions]
        draws = np.stack([np.asarray(layer) for layer in h], axis=1)
        features = np.asarray(self.program.phi(draws), dtype=np.float64)
        final = features @ features.swapaxes(-1, -2) / features.shape[-1]
        train, query, last = (
            np.stack(v, axis=1).astype(np.float64) for v in zip(*rows, strict=True)
        )
        return [
            StageSolution(
                train[r],
                query[r],
                final[r],
                last[r],
                draws[r],
                np.array(ranks, dtype=np.int64).reshape(-1, 2),
            )
            for r in range(len(draws))
        ]


def _make_room(units: Units, program: Program, limit: int, points: int) -> Units:
    """Grow the history's arrays when the directions of `points` more points may not fit."""
    if not units.transitions:
        return units
    used = max(max(int(t.features), int(t.gradients)) for t in units.transitions)
    capacity = have = units.transitions[0].memory.shape[-1]
    while capacity < used + points:
        capacity *= 2
    if used + points > limit:
        raise RankError(
            f"the history explores up to {used + points} directions, too many for"
            f" {units.w.shape[-1]} samples, which resolve {limit}",
            f"take more samples, or a tolerance above {program.tolerance:g}",
        )
    capacity = min(capacity, limit)
    if capacity == have:
        return units
    return units._replace(transitions=tuple(grow(t, capacity) for t in units.transitions))


def _padded(fields: Fields, units: Units) -> Fields:
    """Return the fields, with coefficients padded to the capacity of the histories."""
    if not units.transitions:
        return fields
    more = units.transitions[0].memory.shape[-1] - fields.c[0].shape[-2]
    if not more:
        return fields
    return fields._replace(c=tuple(np.pad(c, ((0, 0), (0, more), (0, 0))) for c in fields.c))
