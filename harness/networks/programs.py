"""The two compiled programs of training: steps, and hidden layers.

Compiling takes longer than training small networks. So there are only these two for each width
and precision, and everything else is NumPy. The numbers of a stage are arguments, the number of
steps included. Stages with sets of different sizes share the programs where filling up the
smaller set takes less time than compiling again (`shared_rows`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int, Int32, UInt32
from numpy.typing import NDArray

from harness.networks.draws import THREEFRY
from harness.networks.modules import Layers
from harness.networks.transforms import Terms, UpdateRates, Weights, gradient_flow
from harness.numerics.compiling import compiler_options
from harness.numerics.losses import point_losses

FILLING_FLOPS = 2e9
"""Work on filler rows, in training a network, that is cheaper than compiling a program."""


# arrays of the following classes come from NumPy and go through JAX


class State(NamedTuple):
    """State that a training step changes, with a leading axis for several networks.

    Attributes:
        weights: trained weights: {"hidden", "readout"}, or {"readout"}.
        step: steps done in this stage.
        diverged: first step whose loss was not finite or exploded, or -1.
    """

    weights: Weights
    step: Int[Any, " networks"]
    diverged: Int[Any, " networks"]


class Frame(NamedTuple):
    """Constants of a stage, for each network.

    Attributes:
        start: predictor at the stage's start on the training points; zero if it does not centre.
        frozen: last-layer features of the training points if they do not change, else None.
        reference: hidden weights at the start if the stage pulls back to them, else None.
        limit: training loss beyond which it has exploded.
        key: of the noise; None without a temperature.
        origin: weights around which the network is linearised, else None.
    """

    start: Float[Any, "networks rows *outputs"]
    frozen: Float[Any, "networks rows units"] | None
    reference: Any
    limit: Float[Any, " networks"]
    key: UInt32[Any, "networks 2"] | None
    origin: Weights | None = None


class Training(NamedTuple):
    """The training points of a stage, filled up with copies that do not count.

    Attributes:
        x: inputs; None if their features are frozen.
        y: labels, with a last axis of outputs if there are several.
        counts: mask of the rows that are points.
    """

    x: Float[Any, "rows ..."] | None
    y: Float[Any, " rows *outputs"]
    counts: Bool[Any, " rows"]


class Recorded(NamedTuple):
    """Records of networks after each interval.

    Attributes:
        features: of the last layer at the points seen; None if the stage does not change them.
        readout: weights of the readout.
        output: predictor of a linearised network at the points seen, else None.
    """

    features: Float[Any, "networks records seen units"] | None
    readout: Float[Any, "networks records units *outputs"]
    output: Float[Any, "networks records seen *outputs"] | None = None


class StepProgram(NamedTuple):
    """Constants of compiled steps."""

    module: nn.Module
    width: int
    terms: Terms


def shared_rows(counts: Sequence[int], work: Sequence[float]) -> list[int]:
    """Return the number of rows for each stage's points.

    Args:
        counts: number of points, by stage.
        work: floating-point operations that a stage spends on a point.

    Returns:
        The largest count for all stages, or each stage's own if filling up takes too long.
    """
    most = max(counts)
    filling = sum((most - count) * each for count, each in zip(counts, work, strict=True))
    return [most] * len(counts) if filling <= FILLING_FLOPS else list(counts)


def filled(points: NDArray[Any], rows: int) -> NDArray[Any]:
    """Return points followed by copies of the first of them, `rows` in all."""
    return np.concatenate([points, np.repeat(points[:1], rows - len(points), axis=0)])


def apply_layers(module: nn.Module, hidden: Any, x: Array) -> Layers:
    """Return the hidden layers of one network."""
    return cast(Layers, module.apply({"params": hidden}, x))


def readout_scale(width: int, features: int) -> float:
    """Return N sqrt(K) for a readout that acts on K N features."""
    return math.sqrt(width * features)


def predictor(
    features: Float[Array, "points units"], weights: Weights, width: int, richness: Any
) -> Float[Array, " points *outputs"]:
    """Return f = w . psi / (gamma N sqrt(K)), of every output."""
    return features @ weights["readout"] / (richness * readout_scale(width, features.shape[-1]))


def linearised(
    program: StepProgram, origin: Weights, moved: Weights, x: Array, richness: Any
) -> Float[Array, " points *outputs"]:
    """Return the change of the predictor to first order in a displacement of the weights."""

    def output(weights: Weights) -> Array:
        features = apply_layers(program.module, weights["hidden"], x).features[-1]
        return predictor(features, weights, program.width, richness)

    return cast(Array, jax.jvp(output, (origin,), (moved,))[1])


def advance(
    program: StepProgram,
    state: State,
    frame: Frame,
    data: Training,
    rates: UpdateRates,
    seen: Float[Array, "seen ..."] | None,
    intervals: Int32[np.ndarray, " records"],
) -> tuple[State, Recorded]:
    """Take Euler steps of every network, and record after each interval, as one compiled loop.

    Args:
        program: constants of the compiled steps.
        state: of the networks; used up.
        frame: of the stage.
        data: of the stage.
        rates: of the stage.
        seen: inputs at which features are recorded; None if the stage does not change them.
        intervals: number of steps from one record to the next.
    """
    taken = _advance()(program, state, frame, data, rates, seen, intervals)
    return cast(tuple[State, Recorded], taken)


def hidden_layers(module: nn.Module, hidden: Any, network: int, x: Array) -> Layers:
    """Return the hidden layers of one of several networks."""
    return cast(Layers, _hidden_layers()(module, hidden, network, x))


def compiled_calls(
    at: Sequence[int], burst: int, together: int
) -> Iterator[list[tuple[int, int | None]]]:
    """Yield calls of compiled steps: intervals, each with the step to record after it, if any.

    Args:
        at: increasing steps to record.
        burst: most steps of a call.
        together: most intervals of a call.
    """
    call: list[tuple[int, int | None]] = []
    done, left = 0, burst
    for pause in at:
        while True:
            steps = min(left, pause - done)
            done, left = done + steps, left - steps
            call.append((steps, pause if done == pause else None))
            if len(call) == together or not left:
                yield call
                call, left = [], burst
            if done == pause:
                break
    if call:
        yield call


@functools.cache
def _advance() -> Callable[..., Any]:
    return jax.jit(
        _intervals,
        static_argnames="program",
        donate_argnames="state",
        compiler_options=compiler_options(),
    )


@functools.cache
def _hidden_layers() -> Callable[..., Any]:
    return jax.jit(_layers, static_argnames="module", compiler_options=compiler_options())


def _layers(module: nn.Module, hidden: Any, network: Array, x: Array) -> Layers:
    own = jax.tree.map(lambda w: w[network] if len(w) > 1 else w[0], hidden)
    return apply_layers(module, own, x)


def _intervals(
    program: StepProgram,
    state: State,
    frame: Frame,
    data: Training,
    rates: UpdateRates,
    seen: Array | None,
    intervals: Array,
) -> tuple[State, Recorded]:
    def look(weights: Weights, origin: Weights | None) -> Recorded:
        if seen is None:
            return Recorded(None, weights["readout"])
        if origin is not None:
            output = linearised(program, origin, weights, seen, rates.richness)
            return Recorded(None, weights["readout"], output)
        features = apply_layers(program.module, weights["hidden"], seen).features[-1]
        return Recorded(features, weights["readout"])

    # the axis of networks stays outside the loop: inside, a lone network's costs a copy a step
    def one(state: State, frame: Frame) -> tuple[State, Recorded]:
        step = functools.partial(_step, program, data, rates, frame)

        def interval(state: State, steps: Array) -> tuple[State, Recorded]:
            state = jax.lax.fori_loop(0, steps, lambda _, s: step(s), state)
            return state, look(state.weights, frame.origin)

        return jax.lax.scan(interval, state, intervals)

    return cast(tuple[State, Recorded], _for_each(one)(state, frame))


def _step(
    program: StepProgram, data: Training, rates: UpdateRates, frame: Frame, state: State
) -> State:
    """Take one Euler step of one network."""

    def output_of(weights: Weights) -> Array:
        if frame.origin is not None:
            return linearised(program, frame.origin, weights, cast(Array, data.x), rates.richness)
        features: Any = frame.frozen
        if data.x is not None:
            features = apply_layers(program.module, weights["hidden"], data.x).features[-1]
        return predictor(features, weights, program.width, rates.richness)

    def summed_loss(weights: Weights) -> tuple[Array, Array]:
        output = output_of(weights)
        each = point_losses(program.terms.loss, data.y, output - frame.start)
        found = jnp.sum(jnp.where(data.counts, each, 0))
        # the squared loss of a step is half of the one that is observed
        half = 0.5 if program.terms.loss == "squared" else 1.0
        return half * found, found / jnp.sum(data.counts, dtype=found.dtype)

    key = frame.key
    if key is not None:
        key = jax.random.fold_in(jax.random.wrap_key_data(key, impl=THREEFRY), state.step)
    rule = gradient_flow(program.terms, rates, program.width, frame.reference, key)
    gradients, loss = jax.grad(summed_loss, has_aux=True)(state.weights)
    updates, _ = rule.update(gradients, rule.init(state.weights), state.weights)
    bad = ~(loss <= frame.limit) & (state.diverged < 0)
    return State(
        optax.apply_updates(state.weights, program.terms.trained(updates)),
        state.step + 1,
        jnp.where(bad, state.step, state.diverged),
    )


def _for_each(one: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of networks along a leading axis from a function of one network.

    A lone network gets no axis of length one: on CPUs, batched products of one matrix take up to
    five times as long where its width is a power of two.
    """

    def every(*networks: Any) -> Any:
        if jax.tree.leaves(networks)[0].shape[0] > 1:
            return jax.vmap(one)(*networks)
        alone = one(*jax.tree.map(lambda v: v[0], networks))
        return jax.tree.map(lambda v: v[None], alone)

    return every
