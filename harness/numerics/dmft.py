"""Infinitely wide networks of any depth: dynamical mean-field theory in one causal pass.

Every hidden unit of layer l is an independent draw of its pre-activations h^l and gradients g^l,
coupled to the others through averages. Everything at a step depends on earlier steps, then on the
layers below (forward) and above (backward), so the fields of S sampled units march once through
time; no iteration over trajectories is needed. Source: arXiv:2205.09653, eqs. 6-9, discretised in
time exactly as a network's Euler steps are; docs/theory.md, section 4.

The sampling error of one replicate falls as 1/sqrt(S); independent replicates measure it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import NDArray

from harness.numerics import dmft_fields as fields_of
from harness.numerics.causal_cholesky import empty_transition, grow
from harness.numerics.dmft_fields import Activation, Fields, Program, Training, Units
from harness.numerics.dmft_noise import Dtype, Matrix, Noise, SampledNoise

QUERY_BLOCK = 32
"""Queries evaluated at once, which bounds memory."""


class RankError(ValueError):
    """The history explores more directions than the samples can resolve."""


class Stage(NamedTuple):
    """One stage of training; points are indices into the Gram matrix given to `solve`.

    Attributes:
        train: points trained on, at least one.
        y: their labels.
        query: points looked at, at recorded steps only; may be empty.
        richness: gamma > 0.
        dt: Euler step, in units of gradient-flow time.
        records: increasing steps at which outputs are recorded; the last is the stage's end.
        readout: whether the readout is kept, drawn afresh or set to zero at the start.
        trainable: all weights, or the readout alone.
        decay: weight decay lambda.
        elastic: coupling delta of hidden weights to their values at the stage's start.
        center: whether the predictor at the stage's start is subtracted. Where it vanishes at
            infinite width (a first stage, a fresh or zero readout) its sampling error is
            subtracted anyway.
        kernels: whether the last layer's feature kernel is kept at every recorded step.
    """

    train: Int[NDArray[Any], " train"]
    y: Float[NDArray[Any], " train"]
    query: Int[NDArray[Any], " query"]
    richness: float
    dt: float
    records: Int[NDArray[Any], " records"]
    readout: Literal["keep", "reset", "zero"] = "keep"
    trainable: Literal["all", "readout"] = "all"
    decay: float = 0.0
    elastic: float = 0.0
    center: bool = True
    kernels: bool = False


class StageSolution(NamedTuple):
    """What one replicate knows of one stage; points are its training points, then its queries.

    Attributes:
        train: centred predictor on the training points, (records, train).
        query: centred predictor on the queries, (records, query).
        kernels: feature kernels Phi^1 ... Phi^L at the stage's end, (layers, points, points).
        last_kernels: Phi^L at the recorded steps, (records, points, points), or None.
        preactivations: draws of h^1 ... h^L at the stage's end, (layers, points, samples).
        rank: directions of features and of gradients explored so far, (layers - 1, 2).
    """

    train: Matrix
    query: Matrix
    kernels: Matrix
    last_kernels: Matrix | None
    preactivations: NDArray[Any]
    rank: NDArray[np.int64]


def point_factor(
    gram: Float[NDArray[Any], "points points"],
    stages: Sequence[Int[NDArray[Any], " train"]],
    tolerance: float = 1e-12,
) -> Float[NDArray[np.float64], "points rank"]:
    """Return E with E E^T = K_x wherever a training point of any stage is involved.

    Columns are orthonormal directions of input space, those of the first stage's points first,
    each stage's by decreasing variance; a row holds a point's components along them.

    Args:
        gram: K_x = x.x'/D.
        stages: training points of every stage.
        tolerance: directions below this fraction of the largest variance are dropped.
    """
    n = gram.shape[0]
    factor, rest = np.zeros((n, 0)), np.array(gram, dtype=np.float64)
    scale = float(np.max(np.diag(gram), initial=0.0))
    for train in stages:
        values, vectors = np.linalg.eigh(rest[np.ix_(train, train)])
        kept = np.flatnonzero(values > tolerance * scale)[::-1]
        columns = rest[:, train] @ (vectors[:, kept] / np.sqrt(values[kept]))
        factor = np.concatenate([factor, columns], axis=1)
        rest = rest - columns @ columns.T
    return factor


def solve(
    gram: Float[NDArray[Any], "points points"],
    stages: Sequence[Stage],
    *,
    depth: int,
    phi: Activation,
    slope: Activation,
    samples: int,
    seed: tuple[int, ...],
    tolerance: float = 1e-6,
    capacity: int = 128,
    dtype: Dtype = "float64",
    progress: Callable[[float], None] | None = None,
) -> list[StageSolution]:
    """Solve the mean-field theory once, with one sample of S hidden units per layer.

    Args:
        gram: K_x = x.x'/D between all points that any stage trains on or looks at.
        stages: in the order in which they are trained, on one history.
        depth: hidden layers L, at least 1.
        phi: activation, elementwise on JAX arrays; the same function object in later calls reuses
            compiled code.
        slope: its derivative.
        samples: S, a power of two for the best spread of the draws.
        seed: entropy of the sample; independent replicates take other seeds.
        tolerance: relative variance below which a direction of the history is dropped; the error
            it leaves is of this order, far below its square root.
        capacity: directions for which room is made at first; doubled when it is exhausted, each
            time with a new compilation.
        dtype: precision; "float64" needs JAX's 64-bit mode.
        progress: called with the share of steps done.

    Returns:
        One solution per stage.

    Raises:
        RankError: if the history explores more than S / 4 directions.
    """
    noise = SampledNoise(samples, seed)
    program = Program(phi, slope, tolerance)
    return march(gram, stages, depth, program, noise, capacity, dtype, progress)


def march(
    gram: Float[NDArray[Any], "points points"],
    stages: Sequence[Stage],
    depth: int,
    program: Program,
    noise: Noise,
    capacity: int,
    dtype: Dtype,
    progress: Callable[[float], None] | None = None,
) -> list[StageSolution]:
    """March through all stages with the noise given; `solve` describes the arguments."""
    gram = np.asarray(gram, dtype=np.float64)
    factor = point_factor(gram, [s.train for s in stages])
    rest = gram - factor @ factor.T
    train = max(len(s.train) for s in stages)
    start = noise.start(factor.shape[1], depth, train)
    samples = start.w.shape[0]
    omega, w, one = (jnp.asarray(v, dtype) for v in (start.omega, start.w, 1.0))
    nodes = jnp.asarray(start.nodes, dtype)
    empty = empty_transition(min(capacity, noise.limit), samples, one.dtype)
    units = Units(omega, omega, w, one, one, (empty,) * (depth - 1))
    total, done = max(sum(int(s.records[-1]) for s in stages), 1), 0
    solutions = []
    for index, stage in enumerate(stages):
        units = _set_readout(units, stage, index, noise)
        runner = _StageRunner(index, stage, depth, program, noise, nodes, factor, rest, train)
        units = runner.begin(units, dtype)
        rows = []
        for at in stage.records.tolist():
            units = runner.advance(units, at)
            rows.append(runner.record(units))
            if progress is not None:
                progress((done + at) / total)
        done += int(stage.records[-1])
        solutions.append(runner.finish(units, rows))
    return solutions


def _set_readout(units: Units, stage: Stage, index: int, noise: Noise) -> Units:
    if stage.readout == "zero":
        return units._replace(w=jnp.zeros_like(units.w))
    if stage.readout == "reset" and index > 0:
        rows = units.transitions[-1].upper if units.transitions else units.w[None]
        history = rows.reshape(-1, units.w.shape[0]) * (1.0 if units.transitions else 0.0)
        return units._replace(w=noise.readout(index, history))
    return units


class _StageRunner:
    """One stage on its way: host-side bookkeeping around the compiled steps."""

    def __init__(
        self,
        index: int,
        stage: Stage,
        depth: int,
        program: Program,
        noise: Noise,
        nodes: Array,
        factor: Matrix,
        rest: Matrix,
        train: int,
    ) -> None:
        self.index, self.stage, self.depth = index, stage, depth
        self.program, self.noise, self.nodes = program, noise, nodes
        self.factor, self.rest, self.train = factor, rest, train
        self.frozen = stage.trainable == "readout"
        self.key = jax.random.fold_in(noise.key, index)
        self.step = jnp.int32(0)
        self.fields: Fields
        self.training: Training
        self.query_start: Matrix | float = 0.0

    def begin(self, units: Units, dtype: Dtype) -> Units:
        stage, count = self.stage, len(self.stage.train)
        pad = (0, self.train - count)
        numbers = (stage.richness, stage.dt, stage.decay, stage.elastic)
        self.training = Training(
            jnp.asarray(np.pad(self.factor[stage.train], (pad, (0, 0))), dtype),
            jnp.asarray(np.pad(np.ones(count), pad), dtype),
            jnp.asarray(np.pad(np.asarray(stage.y, dtype=np.float64), pad), dtype),
            jnp.zeros(self.train, dtype),
            *(jnp.asarray(v, dtype) for v in numbers),
        )
        self._place_queries(dtype)
        units = self._make_room(units)
        up, down = self.noise.block(self.index, self.train, self.depth, dtype)
        units, self.fields = fields_of.begin(
            self.program, units, self.training, up, down, frozen=self.frozen
        )
        if stage.center or self.index == 0 or stage.readout != "keep":
            self.training = self.training._replace(start=self.fields.output)
            self.query_start = self._query_outputs(units)
        return units

    def _place_queries(self, dtype: Dtype) -> None:
        query = self.stage.query
        size = min(QUERY_BLOCK, max(len(query), 1))
        blocks = -(-len(query) // size)
        pad = (0, blocks * size - len(query))
        e = np.pad(self.factor[query], (pad, (0, 0))).reshape(blocks, size, self.factor.shape[1])
        own = np.pad(np.maximum(np.diag(self.rest)[query], 0.0), pad).reshape(blocks, size)
        self.blocks = jnp.asarray(e, dtype), jnp.asarray(own, dtype)
        self.query = (
            jnp.asarray(self.factor[query], dtype),
            jnp.asarray(self.rest[np.ix_(query, query)], dtype),
        )

    def _query_outputs(self, units: Units) -> Matrix:
        if len(self.stage.query) == 0:
            return np.zeros(0)
        f = fields_of.query_outputs(
            self.program, units, *self.blocks, self.nodes, self.training.richness
        )
        return np.asarray(f, dtype=np.float64).ravel()[: len(self.stage.query)]

    def _make_room(self, units: Units) -> Units:
        """Grow the history's arrays when the next block may not fit."""
        if not units.transitions:
            return units
        used = max(max(int(t.features), int(t.gradients)) for t in units.transitions)
        capacity = have = units.transitions[0].memory.shape[0]
        while capacity < used + self.train:
            capacity *= 2
        if used + self.train > self.noise.limit:
            raise RankError(
                f"the history explores {used} directions, too many for {units.w.shape[0]} samples;"
                f" take more samples, or a tolerance above {self.program.tolerance:g}"
            )
        capacity = min(capacity, self.noise.limit)
        if capacity == have:
            return units
        return units._replace(transitions=tuple(grow(t, capacity) for t in units.transitions))

    def advance(self, units: Units, last: int) -> Units:
        """Train up to a step."""
        while int(self.step) < last:
            if not self.frozen:
                units = self._make_room(units)
                more = (0, sum(t.memory.shape[0] for t in units.transitions[:1]))
                c = tuple(jnp.pad(c, ((0, more[1] - c.shape[0]), (0, 0))) for c in self.fields.c)
                self.fields = self.fields._replace(c=c)
            units, self.fields, self.step = fields_of.advance(
                self.program,
                units,
                self.fields,
                self.training,
                self.key,
                self.step,
                jnp.int32(last),
                frozen=self.frozen,
            )
        return units

    def _joint(self, units: Units) -> tuple[Array, ...]:
        trained = tuple(h[: len(self.stage.train)] for h in self.fields.h)
        key = jax.random.fold_in(self.key, 2**31)
        return fields_of.joint_fields(self.program, units, trained, *self.query, key)

    def record(self, units: Units) -> tuple[Matrix, Matrix, Matrix | None]:
        """Return outputs on training points and queries, and the last kernel if asked for."""
        centred = self.fields.output - self.training.start
        train = np.asarray(centred, dtype=np.float64)[: len(self.stage.train)]
        query = self._query_outputs(units) - self.query_start
        kernel = self._kernel(self._joint(units)[-1]) if self.stage.kernels else None
        return train, query, kernel

    def _kernel(self, h: Array) -> Matrix:
        return np.asarray(fields_of.feature_kernel(self.program.phi, h), dtype=np.float64)

    def finish(
        self, units: Units, rows: Sequence[tuple[Matrix, Matrix, Matrix | None]]
    ) -> StageSolution:
        """Return the stage's solution."""
        h = self._joint(units)
        train, query, kernels = zip(*rows, strict=True)
        ranks = [[int(t.features), int(t.gradients)] for t in units.transitions]
        return StageSolution(
            np.stack(train),
            np.stack(query),
            np.stack([self._kernel(x) for x in h]),
            np.stack([k for k in kernels if k is not None]) if self.stage.kernels else None,
            np.stack([np.asarray(x) for x in h]),
            np.array(ranks, dtype=np.int64).reshape(-1, 2),
        )
