"""Ensembles of finite networks, and the compiled loops that train them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jaxtyping import Array, Float, Int

from harness import observables
from harness.networks.modules import Layers
from harness.networks.transforms import Rates, Terms, Weights, gradient_flow
from harness.records import Problem, Stage

EXPLOSION = 1e3
"""A training loss beyond this many times its start is an explosion, not a transient."""

BURST_FLOPS = 2e10
"""Work of one compiled call: a fraction of a second, so that Ctrl-C and progress are felt."""

Dtype = Literal["float32", "float64"]


class State(NamedTuple):
    """What a training step changes, for one network.

    Attributes:
        weights: {"hidden", "readout"}.
        optimizer: state of the Optax chain.
        step: steps done in this stage.
        diverged: first step whose loss was not finite or exploded, or -1.
    """

    weights: Weights
    optimizer: Any
    step: Int[Array, ""]
    diverged: Int[Array, ""]


class Frame(NamedTuple):
    """What stays fixed during a stage, for one network.

    Attributes:
        start: predictor at the stage's start on all points, subtracted when the stage centres.
        frozen: last-layer features of the training points if they do not change, else None.
        limit: training loss beyond which it has exploded.
    """

    start: Float[Array, " points"]
    frozen: Float[Array, "train units"] | None
    limit: Float[Array, ""]


class StageProgram(NamedTuple):
    """What is fixed when a stage is compiled."""

    module: nn.Module
    width: int
    terms: Terms
    sets: observables.Sets
    center: bool


class Course(NamedTuple):
    """A stage under way: its program and what its steps need beside the state.

    Attributes:
        program, frame, rates: of the stage.
        x, y: every point that the stage looks at.
    """

    program: StageProgram
    frame: Frame
    x: Float[Array, "points ..."]
    y: Float[Array, " points"]
    rates: Rates


def _layers(module: nn.Module, weights: Weights, x: Array) -> Layers:
    layers = module.apply({"params": weights["hidden"]}, x)
    return cast(Layers, layers)


def _readout(
    features: Float[Array, "points units"], weights: Weights, width: int, richness: Array
) -> Float[Array, " points"]:
    return features @ weights["readout"] / (richness * width)


@partial(jax.jit, static_argnames=("module", "width", "dtype"))
def _initialise(module: nn.Module, width: int, dtype: Dtype, seeds: Array, x: Array) -> Weights:
    def one(seed: Array) -> Weights:
        hidden_key, readout_key = jax.random.split(_key(seed, width, 0))
        hidden = module.init(hidden_key, x)
        units = jax.eval_shape(module.apply, hidden, x).features[-1].shape[1]
        readout = jax.random.normal(readout_key, (units,), dtype)
        return {"hidden": hidden.get("params", {}), "readout": readout}

    return jax.lax.map(one, seeds)


def _key(seed: Array | int, width: int, stream: int) -> Array:
    """Return the key of a seed's stream; networks of different widths share no randomness."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), width), stream)


@jax.jit
def _stage_keys(seeds: Array, width: int, stream: int) -> Array:
    return jax.vmap(lambda seed: _key(seed, width, stream))(seeds)


def _for_each(one: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of networks along a leading axis from a function of one network.

    A lone network gets no axis of length one: on processors, batched products of one matrix take up
    to five times as long where its width is a power of two.
    """

    def every(*networks: Any) -> Any:
        if jax.tree.leaves(networks)[0].shape[0] > 1:
            return jax.vmap(one)(*networks)
        alone = one(*jax.tree.map(lambda v: v[0], networks))
        return jax.tree.map(lambda v: v[None], alone)

    return every


@partial(jax.jit, static_argnames=("program", "readout"))
def _begin(
    program: StageProgram,
    readout: Literal["keep", "reset", "zero"],
    weights: Weights,
    keys: Array,
    x: Array,
    y: Array,
    rates: Rates,
) -> tuple[State, Frame]:
    """Set the readout, measure the predictor from which the stage starts, start the optimiser."""

    def one(weights: Weights, key: Array) -> tuple[State, Frame]:
        noise_key, readout_key = jax.random.split(key)
        w = weights["readout"]
        if readout == "zero":
            w = jnp.zeros_like(w)
        elif readout == "reset":
            w = jax.random.normal(readout_key, w.shape, w.dtype)
        weights = {"hidden": weights["hidden"], "readout": w}
        features = _layers(program.module, weights, x).features[-1]
        start = _readout(features, weights, program.width, rates.richness)
        start = start if program.center else jnp.zeros_like(start)
        train = slice(*program.sets.train)
        first = jnp.mean(y[train] ** 2) + jnp.mean((y[train] - start[train]) ** 2)
        frozen = None if program.terms.hidden else features[train]
        step = gradient_flow(program.terms, rates, program.width, noise_key)
        zero = jnp.zeros((), jnp.int32)
        return State(weights, step.init(weights), zero, zero - 1), Frame(
            start, frozen, EXPLOSION * first
        )

    return _for_each(one)(weights, keys)


def _stepper(
    program: StageProgram,
    frame: Frame,
    x: Float[Array, "points ..."],
    y: Float[Array, " points"],
    rates: Rates,
) -> Callable[[State], State]:
    """Return one Euler step of every network."""
    optimizer = gradient_flow(program.terms, rates, program.width)
    train = slice(*program.sets.train)
    x, y = x[train], y[train]

    def half_error(weights: Weights, frame: Frame) -> tuple[Array, Array]:
        if frame.frozen is not None:
            features = frame.frozen
        else:
            features = _layers(program.module, weights, x).features[-1]
        output = _readout(features, weights, program.width, rates.richness)
        error = jnp.sum((y - (output - frame.start[train])) ** 2)
        return error / 2, error / len(y)

    def one(state: State, frame: Frame) -> State:
        gradients, loss = jax.grad(half_error, has_aux=True)(state.weights, frame)
        updates, moved = optimizer.update(gradients, state.optimizer, state.weights)
        bad = ~(loss <= frame.limit) & (state.diverged < 0)
        return State(
            optax.apply_updates(state.weights, updates),
            moved,
            state.step + 1,
            jnp.where(bad, state.step, state.diverged),
        )

    every = _for_each(one)
    return lambda state: every(state, frame)


@partial(jax.jit, static_argnames=("program",), donate_argnames=("state",))
def _advance(
    program: StageProgram,
    state: State,
    frame: Frame,
    x: Float[Array, "points ..."],
    y: Float[Array, " points"],
    rates: Rates,
    steps: int,
) -> State:
    """Take Euler steps of every network, as one compiled loop."""
    step = _stepper(program, frame, x, y, rates)
    return jax.lax.fori_loop(0, steps, lambda _, s: step(s), state)


def _curves(
    program: StageProgram, weights: Weights, frame: Frame, x: Array, y: Array, rates: Rates
) -> dict[str, Float[Array, " networks"]]:
    def one(weights: Weights, frame: Frame) -> dict[str, Array]:
        phi = _layers(program.module, weights, x).features[-1]
        output = _readout(phi, weights, program.width, rates.richness) - frame.start
        return observables.unit_curves(program.sets, y, output, phi)

    return _for_each(one)(weights, frame)


_observe = jax.jit(_curves, static_argnames=("program",))


@partial(jax.jit, static_argnames=("program",), donate_argnames=("state",))
def _record(
    program: StageProgram,
    state: State,
    frame: Frame,
    x: Float[Array, "points ..."],
    y: Float[Array, " points"],
    rates: Rates,
    intervals: Int[Array, " records"],
) -> tuple[State, dict[str, Float[Array, "records networks"]]]:
    """Take all steps of a stage and observe after each interval, as one compiled loop."""
    step = _stepper(program, frame, x, y, rates)

    def interval(state: State, steps: Array) -> tuple[State, dict[str, Array]]:
        state = jax.lax.fori_loop(0, steps, lambda _, s: step(s), state)
        return state, _curves(program, state.weights, frame, x, y, rates)

    return jax.lax.scan(interval, state, intervals)


@partial(jax.jit, static_argnames=("program",))
def _snapshot(
    program: StageProgram, weights: Weights, frame: Frame, x: Array, y: Array, rates: Rates
) -> dict[str, Array]:
    def one(weights: Weights, frame: Frame) -> dict[str, Array]:
        layers = _layers(program.module, weights, x)
        phi = layers.features[-1]
        output = _readout(phi, weights, program.width, rates.richness) - frame.start
        return observables.unit_snapshot(program.sets, y, output, *layers)

    # one network at a time: kernels of every layer are large, and needed only once a stage
    return jax.lax.map(lambda entry: one(*entry), (weights, frame))


class Ensemble:
    """Networks of one width and several seeds, trained stage by stage.

    Args:
        problem: with every dt resolved to a number.
        width: N.
        seeds: one network each; results of a seed do not depend on the others.
        dtype: precision of weights and data.
    """

    def __init__(
        self, problem: Problem, width: int, seeds: Sequence[int], dtype: Dtype = "float32"
    ) -> None:
        self.problem, self.width, self.dtype = problem, width, dtype
        self.seeds = jnp.asarray(seeds, jnp.uint32)
        self.module = problem.architecture.network(width)
        sample = jnp.asarray(problem.data.target.x[:1], dtype)
        self.weights = _initialise(self.module, width, dtype, self.seeds, sample)

    def flops(self, stage: Stage) -> float:
        """Return the floating-point operations of one step of all networks, roughly."""
        hidden = sum(w.size for w in jax.tree.leaves(self.weights["hidden"]))
        size = (6 * hidden if stage.trainable == "all" else 0) + 4 * self.weights["readout"].size
        return float(size) * len(self.problem.data.train(stage.data))

    def run(
        self, index: int, at: Sequence[int], stage: Stage | None = None
    ) -> Iterator[tuple[State, Callable[[], dict[str, Array]], Callable[[], dict[str, Array]]]]:
        """Train stage `index`, pausing at the given steps.

        Args:
            index: 0-based stage of the problem's protocol.
            at: increasing steps at which to pause.
            stage: used in place of the problem's own.

        Yields:
            The state at each pause, and functions that compute the curves and the snapshot
            there. After exhaustion `weights` holds the trained weights.
        """
        stage = stage or self.problem.protocol.stages[index]
        course, state = self._begin(index, stage)
        program, *given = course
        burst = max(1, int(BURST_FLOPS / max(self.flops(stage), 1.0)))
        done = 0
        for pause in at:
            while done < pause:
                steps = min(burst, pause - done)
                state = _advance(program, state, *given, steps)
                done += steps
            weights = state.weights
            yield (
                state,
                lambda: _observe(program, weights, *given),  # noqa: B023
                lambda: _snapshot(program, weights, *given),  # noqa: B023
            )
        self.weights = state.weights

    def record(
        self, index: int, at: Sequence[int]
    ) -> tuple[State, dict[str, Float[Array, "records networks"]], dict[str, Array]]:
        """Train stage `index` in one compiled call, for stages that are short.

        Returns:
            The state at the end, the curves at the given steps, and the snapshot at the end.
        """
        course, state = self._begin(index, self.problem.protocol.stages[index])
        program, *given = course
        intervals = jnp.asarray(np.diff(at, prepend=0), jnp.int32)
        state, curves = _record(program, state, *given, intervals)
        self.weights = state.weights
        return state, curves, _snapshot(program, state.weights, *given)

    def _begin(self, index: int, stage: Stage) -> tuple[Course, State]:
        points, labels, sets = observables.stage_points(self.problem.data, stage)
        x, y = jnp.asarray(points, self.dtype), jnp.asarray(labels, self.dtype)
        program = StageProgram(self.module, self.width, Terms.of(stage), sets, stage.center)
        rates = Rates.of(stage, self.dtype)
        # the first stage starts from the initial readout unless it asks for zero
        readout = stage.readout if index or stage.readout == "zero" else "keep"
        keys = _stage_keys(self.seeds, self.width, index + 1)
        state, frame = _begin(program, readout, self.weights, keys, x, y, rates)
        return Course(program, frame, x, y, rates), state
